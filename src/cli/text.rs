//! CHANNEL, MESSAGE and the options of a post as they are typed. A message of `-` is standard input, so that no text
//! needs a shell's quotes. What is wrong is said before anything is posted or printed.

use std::io::Read as _;

use clap::{Arg, ArgMatches};

use super::Fault;
use crate::domain::channel::{Channel, ChannelError};
use crate::domain::message::{Message, MessageError};
use crate::domain::options::{MessagePlace, PostOptions};
use crate::domain::percent::encode;

/// A post as it was typed; every part is one that a proxy takes.
pub(super) struct Typed {
    pub channel: Channel,
    /// As typed, before any cleaning.
    pub message: String,
    /// As a query, percent-encoded.
    pub query: String,
    pub options: PostOptions,
}

/// What the help says of MESSAGE.
pub(super) const INPUT: &str = "MESSAGE - reads standard input, UTF-8, to its end; one newline at its end is dropped. \
     A message that begins with - is written after --.";

/// `CHANNEL`
pub(super) fn channel_arg() -> Arg {
    Arg::new("channel")
        .value_name("CHANNEL")
        .required(true)
        .help("An alias, backend:target, or a target alone, as in /post/channel/{channel}")
}

/// `MESSAGE`
pub(super) fn message_arg() -> Arg {
    Arg::new("message")
        .value_name("MESSAGE")
        .required(true)
        .help("The text; - reads standard input")
}

/// Reads [`channel_arg`], [`message_arg`] and these options; of standard input at most so many bytes.
pub(super) fn read(
    arguments: &ArgMatches,
    options: &[(&str, &str)],
    max_input_bytes: usize,
) -> Result<Typed, Fault> {
    let channel = Channel::parse(value(arguments, "channel")).map_err(|error| {
        Fault::usage(match error {
            ChannelError::Empty => {
                "CHANNEL: it is empty; write an alias, an id or a name".to_owned()
            }
            other => format!("CHANNEL: {other}"),
        })
    })?;
    let pairs = options
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    let query = pairs.collect::<Vec<_>>().join("&");
    let (options, fault) = PostOptions::parse(query.as_bytes(), MessagePlace::Path);
    if let Some(fault) = fault {
        return Err(Fault::usage(fault.to_string()));
    }
    let message = match value(arguments, "message") {
        "-" => input(max_input_bytes)?,
        text => text.to_owned(),
    };
    Message::parse(&message).map_err(|error| {
        Fault::usage(match error {
            MessageError::Empty => "MESSAGE: it is empty or only white space".to_owned(),
            MessageError::Nul { .. } => format!("{error}; no platform takes it, so leave it out"),
        })
    })?;
    Ok(Typed {
        channel,
        message,
        query,
        options,
    })
}

/// The value of an argument; empty if it is not there.
pub(super) fn value<'a>(arguments: &'a ArgMatches, name: &str) -> &'a str {
    arguments.get_one::<String>(name).map_or("", String::as_str)
}

fn input(max_bytes: usize) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(max_bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let read = std::io::stdin().lock().take(limit).read_to_end(&mut bytes);
    read.map_err(|error| Fault::usage(format!("MESSAGE: cannot read standard input: {error}")))?;
    if bytes.len() > max_bytes {
        return Err(Fault::usage(format!(
            "MESSAGE: standard input has more than {max_bytes} bytes; shorten it"
        )));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Fault::usage(format!(
            "MESSAGE: standard input is not UTF-8 from byte {offset} (counted from 0) on; encode it first, as iconv does"
        ))
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}
