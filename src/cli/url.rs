//! `url`: the URL that posts exactly this text, signed if that is asked for. It calls nobody.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::text::{self, Typed};
use super::{Exit, Fault, print};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, CommandSettings};
use crate::domain::options::KNOWN;
use crate::domain::percent::{encode, encode_base64url};
use crate::domain::signing::{Scope, Signed};
use crate::domain::web_url::WebUrl;
use crate::env::{Env, parse_duration};
use crate::inbound::command::segment;

pub(super) const NAME: &str = "url";

/// A URL is pasted where it is forgotten; this one ends by itself.
const DEFAULT_EXPIRY: &str = "30d";
/// What a signature's time can hold: 15 digits of seconds (contract 2), kept far below.
const MAX_EXPIRY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Credentials are no options of a URL that is made here: one is signed.
const REFUSED: &[&str] = &["sig", "token"];

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Print the URL that posts a message")
        .arg(text::channel_arg())
        .arg(text::message_arg())
        .arg(
            Arg::new("option")
                .value_name("option=value")
                .num_args(0..)
                .help("Options of the post, such as level=error or 'title=Build #42'"),
        )
        .arg(
            Arg::new("sign")
                .long("sign")
                .value_name("SCOPE")
                .value_parser(["c", "m"])
                .help("Sign it with the first of SIGNING_KEYS: c opens the channel for any message, m exactly this message and these options"),
        )
        .arg(
            Arg::new("expires")
                .long("expires")
                .value_name("DURATION")
                .requires("sign")
                .help("How long the signature holds, such as 12h or 90d, or never [default: 30d]"),
        )
        .arg(
            Arg::new("b64")
                .long("b64")
                .action(ArgAction::SetTrue)
                .help("Write the message as base64url, for front proxies that rewrite %2F"),
        )
        .arg(
            Arg::new("query")
                .long("query")
                .action(ArgAction::SetTrue)
                .conflicts_with("b64")
                .help("Write the message as ?message=, for senders that can only add a query"),
        )
        .arg(
            Arg::new("base")
                .long("base")
                .value_name("URL")
                .help("Where callers reach the proxy; without it PUBLIC_URL, else http://HOST:PORT"),
        )
        .after_help(format!(
            "{}\n\nExamples:\n  message-webhook-proxy url deploys 'Build #42 passed' level=success\n  \
             message-webhook-proxy url deploys - --sign m --expires 7d --base https://proxy.example.org < message.txt\n  \
             curl -X POST \"$(message-webhook-proxy url deploys 'It works')\"",
            text::INPUT
        ))
}

pub(super) fn run(arguments: &ArgMatches, env: Env) -> Result<Exit, Fault> {
    let settings = config::parse_for_commands(env)?;
    let given = options(arguments)?;
    let typed = text::read(arguments, &given, settings.http.max_url_bytes)?;
    let target = target(arguments, &typed, &settings)?;
    let base = base(arguments, &settings)?;
    if target.len() > settings.http.max_url_bytes {
        return Err(Fault::usage(format!(
            "MESSAGE: the URL would have {} bytes, and the proxy takes {} (MAX_URL); shorten it",
            target.len(),
            settings.http.max_url_bytes
        )));
    }
    Ok(print(&format!("{base}{target}\n")))
}

/// The options as typed, each of which a proxy knows.
fn options(arguments: &ArgMatches) -> Result<Vec<(&str, &str)>, Fault> {
    let typed = arguments.get_many::<String>("option").into_iter().flatten();
    let pairs = typed.map(|text| {
        let known = |name: &str| KNOWN.iter().any(|known| known.name == name);
        match text.split_once('=') {
            Some((name, value)) if known(name) && !REFUSED.contains(&name) => Ok((name, value)),
            // What stands after = may be a credential, so nothing of it is repeated.
            Some((name, _)) if REFUSED.contains(&name) => Err(Fault::usage(format!(
                "{name}= is a credential and would be seen in the list of processes; --sign makes a URL that needs none"
            ))),
            _ => Err(Fault::usage(format!(
                "expected option=value with an option of {}; a message of several words is one argument, in quotes",
                names()
            ))),
        }
    });
    pairs.collect()
}

fn names() -> String {
    let names = KNOWN.iter().map(|known| known.name);
    let open: Vec<_> = names.filter(|name| !REFUSED.contains(name)).collect();
    open.join(", ")
}

fn target(
    arguments: &ArgMatches,
    typed: &Typed,
    settings: &CommandSettings,
) -> Result<String, Fault> {
    let channel = typed.channel.as_str();
    if is_dots(channel) {
        return Err(Fault::usage(
            "CHANNEL: every client takes . and .. out of a path; write an alias, an id or a name",
        ));
    }
    let path = format!("/post/channel/{}", segment(channel));
    let (path, message) = if arguments.get_flag("query") {
        (path, Some(format!("message={}", encode(&typed.message))))
    } else if arguments.get_flag("b64") || is_dots(&typed.message) {
        (
            format!("{path}/b64/{}", encode_base64url(&typed.message)),
            None,
        )
    } else {
        (format!("{path}/msg/{}", encode(&typed.message)), None)
    };
    let signature = signature(arguments, typed, settings)?;
    let parts = message
        .into_iter()
        .chain(Some(typed.query.clone()).filter(|query| !query.is_empty()))
        .chain(signature.map(|signature| format!("sig={signature}")));
    let query = parts.collect::<Vec<_>>().join("&");
    Ok(if query.is_empty() {
        path
    } else {
        format!("{path}?{query}")
    })
}

/// Clients take such a segment out of a path, written as `%2E` as well (RFC 3986, 5.2.4; the URL standard).
fn is_dots(text: &str) -> bool {
    matches!(text, "." | "..")
}

fn signature(
    arguments: &ArgMatches,
    typed: &Typed,
    settings: &CommandSettings,
) -> Result<Option<String>, Fault> {
    let scope = match text::value(arguments, "sign") {
        "" => return Ok(None),
        "c" => Scope::Channel,
        _ => Scope::Message,
    };
    let expires = match text::value(arguments, "expires") {
        "" => expiry(DEFAULT_EXPIRY)?,
        text => expiry(text)?,
    };
    let signed = Signed {
        channel: typed.channel.as_str(),
        message: &typed.message,
        options: &typed.options.given,
    };
    let signature = settings.keys.sign(scope, expires, signed);
    signature.map(Some).ok_or_else(|| {
        let line = "SIGNING_KEYS is not set; set it to the key that the proxy has, of at least 32 characters";
        Fault::Line(Exit::Configuration, line.to_owned())
    })
}

/// Unix seconds, 0 for never.
fn expiry(text: &str) -> Result<u64, Fault> {
    if text == "never" {
        return Ok(0);
    }
    let bad = || {
        Fault::usage(
            "--expires: expected a duration from 1s to 36500d, such as 12h or 90d, or never",
        )
    };
    let holds = parse_duration(text).map_err(|_| bad())?;
    if holds < Duration::from_secs(1) || holds > MAX_EXPIRY {
        return Err(bad());
    }
    Ok((SystemClock.unix() + holds).as_secs())
}

fn base(arguments: &ArgMatches, settings: &CommandSettings) -> Result<String, Fault> {
    match text::value(arguments, "base") {
        "" if settings.http.public_url.is_empty() => super::proxy::own_url(&settings.http)
            .ok_or_else(|| Fault::Line(Exit::Configuration, "PORT is 0, so the proxy's address is not known; write --base URL, or set PUBLIC_URL".to_owned())),
        "" => Ok(settings.http.public_url.clone()),
        text => super::proxy::parse_base("--base", text).map(|url: WebUrl| url.base().to_owned()),
    }
}
