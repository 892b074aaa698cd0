//! `send`: posts a message from here, with this environment's credentials, or through a running proxy. Without a proxy
//! nothing is stored: it is delivered within the wait, or it is not.

use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use futures_util::future::join_all;
use http::Method;
use serde_json::Value;

use super::output::{entries, is_json, json_arg, place, print_json, word};
use super::proxy::{self, Proxy, Told};
use super::text::{self, Typed};
use super::{Exit, Fault, print, say, wait_for};
use crate::backends::Part;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Settings};
use crate::dispatch::{Dispatcher, Installations, Platforms, Ready};
use crate::domain::channel::{Destination, ResolveError};
use crate::domain::delivery::{DeliveryId, Failure, Post};
use crate::domain::message::Message;
use crate::domain::options::KNOWN;
use crate::domain::percent::encode;
use crate::env::Env;
use crate::http::receipt::{Delivery, Receipt};
use crate::telemetry::Metrics;

pub(super) const NAME: &str = "send";

/// As long as a caller of the proxy waits that says nothing else (contract 1.3).
const DEFAULT_WAIT: Duration = Duration::from_secs(10);
/// What a proxy may take beyond the wait that it was asked for.
const MARGIN: Duration = Duration::from_secs(15);
/// Far more than `MAX_PARTS` posts can hold.
const MAX_INPUT_BYTES: usize = 4 * 1024 * 1024;

/// Credentials come from the environment: arguments are seen in the list of processes.
const NOT_HERE: &[&str] = &["sig", "token"];
const DRY: &str = "dry";

/// A destination, and its parts or why there are none.
type Aimed<'a> = (&'a Destination, Result<Ready, Failure>, Vec<Part>);

pub(super) fn command() -> Command {
    let options = KNOWN.iter().filter(|known| !NOT_HERE.contains(&known.name));
    let options = options.map(|known| {
        let arg = Arg::new(known.name).long(known.name).help(known.doc);
        if known.name == DRY {
            arg.help("Show what would be sent; post nothing")
                .action(ArgAction::SetTrue)
        } else {
            arg.value_name("VALUE")
        }
    });
    Command::new(NAME)
        .about("Post a message, from here or through a running proxy")
        .arg(text::channel_arg())
        .arg(text::message_arg())
        .args(options)
        .arg(proxy::to_arg("Post through the proxy at this address, with the secret in PROXY_TOKEN or PROXY_TOKEN_FILE; without it the post is made from here, with this environment's credentials, and nothing is stored"))
        .arg(json_arg())
        .after_help(format!(
            "{}\n\nExamples:\n  message-webhook-proxy send deploys 'Build #42 passed' --level success\n  \
             make 2>&1 | tail -n 20 | message-webhook-proxy send mattermost:team/builds - --title 'Build #42'\n  \
             PROXY_TOKEN_FILE=/run/secrets/ci message-webhook-proxy send deploys done --to https://proxy.example.org\n\n\
             Exit codes: 0 delivered or queued, 64 the message or an option is wrong, 69 not available now, 77 refused.",
            text::INPUT
        ))
}

pub(super) fn run(arguments: &ArgMatches, env: Env) -> Result<Exit, Fault> {
    let mut options: Vec<(&str, &str)> = KNOWN
        .iter()
        .filter(|known| !NOT_HERE.contains(&known.name) && known.name != DRY)
        .filter_map(|known| {
            Some((
                known.name,
                arguments.get_one::<String>(known.name)?.as_str(),
            ))
        })
        .collect();
    let is_dry = arguments.get_flag(DRY);
    options.extend(is_dry.then_some((DRY, "1")));
    let told = if text::value(arguments, "to").is_empty() {
        from_here(arguments, env, &options)?
    } else {
        through_proxy(arguments, env, &options)?
    };
    let shown = show(&told, is_json(arguments) || is_dry);
    // What was posted is not posted again because nobody could read its receipt; a dry run is nothing but what it shows.
    Ok(if is_dry {
        told.exit.worse(shown)
    } else {
        told.exit
    })
}

/// The receipt on standard output, what went wrong on standard error.
fn show(told: &Told, is_json: bool) -> Exit {
    let shown = if is_json && told.body.is_object() {
        print_json(&told.body)
    } else if told.exit == Exit::Done {
        print(&line(&told.body))
    } else {
        Exit::Done
    };
    if told.exit == Exit::Done {
        return shown;
    }
    let failed = entries(&told.body)
        .iter()
        .filter(|entry| word(entry, "status") == "failed");
    let lines: Vec<String> = failed
        .map(|entry| format!("{}: {}", place(entry), word(entry, "detail")))
        .collect();
    if lines.is_empty() {
        say(&told.line);
    }
    lines.iter().for_each(|line| say(line));
    shown
}

/// `delivered <id> mattermost:<id> https://…`
fn line(receipt: &Value) -> String {
    let mut words = vec![word(receipt, "status"), word(receipt, "id")];
    for entry in entries(receipt) {
        words.extend([place(entry), word(entry, "link")]);
    }
    words.retain(|word| !word.is_empty());
    format!("{}\n", words.join(" "))
}

fn through_proxy(
    arguments: &ArgMatches,
    env: Env,
    options: &[(&str, &str)],
) -> Result<Told, Fault> {
    let settings = config::parse_for_commands(env)?;
    let typed = text::read(arguments, options, MAX_INPUT_BYTES)?;
    let wait = typed.options.wait.unwrap_or(DEFAULT_WAIT);
    let channel = encode(typed.channel.as_str());
    // Base64url has no dots and slashes that a front proxy could change.
    let message = crate::domain::percent::encode_base64url(&typed.message);
    let query = match typed.query.as_str() {
        "" => String::new(),
        query => format!("?{query}"),
    };
    let target = format!("/post/channel/{channel}/b64/{message}{query}");
    wait_for(async {
        let proxy = Proxy::of(arguments, &settings, wait + MARGIN)?;
        let unanswered =
            "; a message may or may not have been posted (--once makes sending it again safe)";
        proxy.call(Method::POST, &target, unanswered).await
    })
}

fn from_here(arguments: &ArgMatches, env: Env, options: &[(&str, &str)]) -> Result<Told, Fault> {
    let settings = config::parse_platforms(env)?;
    let typed = text::read(arguments, options, MAX_INPUT_BYTES)?;
    if typed.options.once.is_some() {
        return Err(Fault::usage(
            "--once needs --to: without a proxy nothing remembers the key",
        ));
    }
    if typed.options.wait == Some(Duration::ZERO) {
        return Err(Fault::usage(
            "--wait 0 needs --to: without a proxy nothing stores the message",
        ));
    }
    let destinations = settings.directory.resolve(&typed.channel);
    let destinations = destinations.map_err(|error| Fault::usage(unresolved(&error)))?;
    wait_for(deliver(settings, typed, &destinations))
}

fn unresolved(error: &ResolveError) -> String {
    match error {
        ResolveError::Ambiguous { choices } => format!(
            "CHANNEL: it could belong to {}; write it as {}:… or set DEFAULT_BACKEND",
            choices.join(" or "),
            choices.first().copied().unwrap_or_default()
        ),
        ResolveError::NoTarget(backend) => {
            format!("CHANNEL: nothing follows '{backend}:'; write the channel's id or name after it")
        }
        ResolveError::NoBackend => {
            "CHANNEL: it is no alias, and no configured backend takes a channel's id or name; configure one, or add an alias to CHANNELS".to_owned()
        }
        ResolveError::UnknownAlias => {
            "CHANNEL: only aliases are posted to (ONLY_ALIASES), and this is none; add it to CHANNELS".to_owned()
        }
        ResolveError::Url => {
            "CHANNEL: a URL is no channel; give the webhook a name in CHANNELS and write that".to_owned()
        }
    }
}

/// Delivers to all destinations at once, each on its own; none gets anything if the message is too long for one.
async fn deliver(
    settings: Settings,
    typed: Typed,
    destinations: &[Destination],
) -> Result<Told, Fault> {
    let deadline = SystemClock.now() + typed.options.wait.unwrap_or(DEFAULT_WAIT);
    let (is_dry, max_parts) = (typed.options.dry, settings.max_parts);
    let dispatcher = dispatcher(settings)?;
    let post = post(typed)?;
    let (dispatcher, post) = (&dispatcher, &post);
    let aims = destinations.iter().map(|to| async move {
        let ready = dispatcher.ready(to, deadline).await;
        let parts = ready.as_ref().map(|ready| ready.render(post));
        let parts = parts.unwrap_or_default();
        (to, ready, parts)
    });
    let aimed: Vec<Aimed<'_>> = join_all(aims).await;
    if aimed.iter().any(|(.., parts)| parts.len() > max_parts) {
        return Err(Fault::usage(format!(
            "MESSAGE: it would take more than {max_parts} posts (MAX_PARTS); shorten it"
        )));
    }
    let tries = aimed.iter().map(|(to, aim, parts)| async {
        match aim {
            Err(failure) => {
                let entry = Delivery::untried(to.backend, to.channel(), failure);
                (entry, Some(failure.clone()))
            }
            Ok(ready) if is_dry => (Delivery::dry(ready, parts), None),
            Ok(ready) => {
                let outcome = dispatcher.deliver(ready, parts, deadline).await;
                let entry = Delivery::tried(ready, &outcome, parts.len());
                (entry, outcome.result.err())
            }
        }
    });
    let (entries, failures): (Vec<_>, Vec<_>) = join_all(tries).await.into_iter().unzip();
    let exits = failures.iter().flatten().map(Exit::of);
    let receipt = Receipt {
        id: post.id.to_string(),
        message: is_dry.then(|| post.message.as_str().to_owned()),
        replaced: post.message.replaced(),
        ..Receipt::of(entries)
    };
    Ok(Told {
        exit: exits.fold(Exit::Done, Exit::worse),
        body: serde_json::to_value(&receipt).unwrap_or_default(),
        line: String::new(),
    })
}

/// The proxy's own way to the platforms, without an outbox.
fn dispatcher(settings: Settings) -> Result<Dispatcher, Fault> {
    let metrics = Metrics::new()
        .map_err(|error| Fault::Line(Exit::Unavailable, format!("metrics: {error}")))?;
    let wire = proxy::wire(&settings.client);
    let platforms = Platforms::new(
        settings.platforms,
        &settings.webhooks,
        None,
        None,
        Installations::new(settings.outbox.keys),
        Arc::new(SystemClock),
        Arc::new(metrics),
    );
    Ok(Dispatcher::new(Arc::new(platforms), wire, None))
}

fn post(typed: Typed) -> Result<Post, Fault> {
    let message = Message::parse(&typed.message);
    let options = typed.options;
    Ok(Post {
        id: DeliveryId::generate(),
        message: message.map_err(|error| Fault::usage(format!("MESSAGE: {error}")))?,
        title: options.title,
        link: options.link,
        level: options.level,
        as_name: options.as_name,
        format: options.format,
    })
}
