//! From the raw target to domain types: decoded here, once, and nowhere else.

use crate::domain::channel::{Channel, ChannelError};
use crate::domain::message::{Message, MessageError};
use crate::domain::options::{MessagePlace, OptionError, PostOptions};
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

    /// Checks everything.
    ///
    /// # Errors
    /// The [`Problem`] of the first thing that is wrong: channel, options, message.
    pub fn check(self) -> Result<(Channel, Message, PostOptions), Problem> {
        let channel = self.channel.map_err(|e| encoding("the channel", e))?;
        let channel = Channel::parse(&channel).map_err(channel_problem)?;
        if let Some(fault) = self.fault {
            return Err(option_problem(fault));
        }
        let message = self.message.map_err(|e| encoding("the message", e))?;
        let message = Message::parse(&message).map_err(message_problem)?;
        Ok((channel, message, self.options))
    }
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
            "the channel holds a control character; a channel is an alias, an id or a name on one line",
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
