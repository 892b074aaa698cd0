//! From the raw target to domain types: decoded here, once, and nowhere else.

use crate::domain::channel::{Channel, ChannelError};
use crate::domain::message::{Message, MessageError};
use crate::domain::options::{MessagePlace, OptionError, PostOptions};
use crate::domain::own_url::OwnUrl;
use crate::domain::percent::{DecodeError, decode, decode_base64url};

use super::problem::{Code, Problem};
use super::route::Form;

/// A post's URL, decoded and not yet checked: what a signature covers.
pub struct Decoded {
    /// The channel.
    pub channel: Result<String, DecodeError>,
    /// The message.
    pub message: Result<String, DecodeError>,
    /// The options, without the message.
    pub options: PostOptions,
    /// What is wrong with the query.
    pub fault: Option<OptionError>,
}

impl Decoded {
    /// Decodes the raw channel, message and query.
    #[must_use]
    pub fn read(channel: &[u8], form: Form<'_>, query: &[u8]) -> Self {
        let place = if form == Form::Query {
            MessagePlace::Query
        } else {
            MessagePlace::Path
        };
        let (mut options, fault) = PostOptions::parse(query, place);
        let message = match form {
            Form::Path(raw) => decode(raw).map(std::borrow::Cow::into_owned),
            Form::Base64(raw) => decode_base64url(raw),
            Form::Query => Ok(options.message.take().unwrap_or_default()),
        };
        Self {
            channel: decode(channel).map(std::borrow::Cow::into_owned),
            message,
            options,
            fault,
        }
    }

    /// Checks everything. `own` is this proxy's URL where a GET to it posts: then no text may link to a post.
    ///
    /// # Errors
    /// The [`Problem`] of the first thing that is wrong: channel, options, message.
    pub fn check(self, own: Option<&OwnUrl>) -> Result<(Channel, Message, PostOptions), Problem> {
        let channel = self.channel.map_err(|e| encoding("the channel", e))?;
        let channel = Channel::parse(&channel).map_err(channel_problem)?;
        if let Some(fault) = self.fault {
            return Err(option_problem(fault));
        }
        let message = self.message.map_err(|e| encoding("the message", e))?;
        let mut message = Message::parse(&message).map_err(message_problem)?;
        let mut options = self.options;
        if let Some(own) = own {
            message.defuse(own);
            defuse(&mut options, own)?;
        }
        Ok((channel, message, options))
    }
}

/// Makes the texts of the options no links to a post, and refuses a link that is one: broken, it would lead nowhere.
fn defuse(options: &mut PostOptions, own: &OwnUrl) -> Result<(), Problem> {
    let link = options.link.as_ref();
    if link.is_some_and(|link| own.is_in(link.as_str())) {
        let detail = "the option 'link' holds a URL of this proxy that posts, and whatever follows it, a preview too, would post, because GET posts here; link to something else, or set ALLOW_GET=false";
        return Err(Problem::new(Code::BadOption, detail));
    }
    for text in [&mut options.title, &mut options.as_name] {
        if let Some(defused) = text.as_deref().and_then(|text| own.defused(text)) {
            *text = Some(defused);
        }
    }
    Ok(())
}

fn encoding(what: &str, error: DecodeError) -> Problem {
    let detail = match error {
        DecodeError::NotUtf8 { offset } => format!(
            "{what} is not UTF-8: byte {offset} (counted from 0, after percent-decoding) does not begin or go on a character; encode the text as UTF-8 first"
        ),
        DecodeError::NotBase64 => format!(
            "{what} is not base64url (letters, digits, '-' and '_', padding optional); `printf %s \"$TEXT\" | base64 -w0 | tr +/ -_` makes it"
        ),
    };
    Problem::new(Code::BadEncoding, detail)
}

fn channel_problem(error: ChannelError) -> Problem {
    match error {
        ChannelError::Empty => Problem::new(
            Code::EmptyChannel,
            "the channel is empty; the form is /post/channel/{channel}/msg/{message}",
        ),
        ChannelError::Control => Problem::new(
            Code::BadCharacter,
            "the channel holds a control character or a bidi override; a channel is an alias, an id or a name on one line",
        ),
        ChannelError::TooLong { .. } => Problem::new(Code::UnknownChannel, error.to_string()),
    }
}

fn message_problem(error: MessageError) -> Problem {
    match error {
        MessageError::Empty => Problem::new(
            Code::EmptyMessage,
            "the message is empty or only white space; write it after /msg/, percent-encoded, or in ?message=",
        ),
        MessageError::Nul { offset } => Problem::new(
            Code::BadCharacter,
            format!(
                "the message holds a NUL (%00) at byte {offset} of the decoded text; no platform takes it, so leave it out"
            ),
        ),
    }
}

fn option_problem(error: OptionError) -> Problem {
    match error {
        OptionError::NotText {
            name: "message",
            source,
        } => encoding("the message", source),
        other => Problem::new(Code::BadOption, other.to_string()),
    }
}
