//! `channels`: the ids and names that the bots can see, as a post's URL takes them.

use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};

use super::output::{Look, Progress, Table, Tint, is_json, json_arg, plain, print_json};
use super::{Exit, Fault, print, proxy, say, text, wait_for};
use crate::backends::{Backend, KINDS, Kind, Listed, Listing};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Settings};
use crate::dispatch::HttpWire;
use crate::domain::channel::CONSOLE;
use crate::domain::delivery::{Failure, Later};
use crate::env::Env;

pub(super) const NAME: &str = "channels";

/// A platform that never comes to an end is left.
const MAX_PAGES: usize = 2000;
/// For one platform, its pauses included: Slack answers 20 pages a minute (reference/slack.md 4.2, tier 2).
const MAX_TIME: Duration = Duration::from_secs(900);
/// When the platform asks for a pause and does not say how long.
const DEFAULT_PAUSE: Duration = Duration::from_secs(5);

/// What a backend showed, and why not all of it.
struct Seen {
    backend: &'static str,
    channels: Vec<Listed>,
    /// The platform has no list: how an id is found all the same.
    advice: Option<&'static str>,
    failure: Option<Failure>,
}

pub(super) fn command() -> Command {
    let names = KINDS.iter().map(|kind| kind.name);
    Command::new(NAME)
        .about("List the channels that the bots can see, by id and name")
        .arg(
            Arg::new("backend")
                .value_name("BACKEND")
                .value_parser(names.collect::<Vec<_>>())
                .help("Only this platform's"),
        )
        .arg(json_arg())
        .after_help(
            "Examples:\n  message-webhook-proxy channels\n  message-webhook-proxy channels slack | grep -v 'not a member'\n\n\
             Exit codes: 0 listed, 69 a platform is not available, 77 one has refused, 78 none is configured.",
        )
}

pub(super) fn run(arguments: &ArgMatches, env: Env) -> Result<Exit, Fault> {
    let look = Look::of(&env);
    let settings = config::parse_platforms(env)?;
    let asked = text::value(arguments, "backend");
    let bots = bots(&settings, asked)?;
    let seen = wait_for(async {
        let wire = proxy::wire(&settings.client);
        let mut seen = Vec::new();
        for (name, bot) in bots {
            seen.push(list(name, bot, &wire).await);
        }
        seen
    });
    let printed = if is_json(arguments) {
        print_json(&rows(&seen))
    } else {
        print(&table(&seen).text(look))
    };
    for Seen {
        backend,
        advice,
        failure,
        ..
    } in &seen
    {
        let wrong = failure.as_ref().map(ToString::to_string);
        if let Some(line) = wrong.as_deref().or(*advice) {
            say(&format!("{backend}: {line}"));
        }
    }
    let exits = seen
        .iter()
        .filter_map(|seen| seen.failure.as_ref())
        .map(Exit::of);
    Ok(exits.fold(printed, Exit::worse))
}

/// The configured bots, or the one that is asked for.
fn bots<'s>(
    settings: &'s Settings,
    asked: &str,
) -> Result<Vec<(&'static str, &'s dyn Backend)>, Fault> {
    let configured = settings
        .platforms
        .iter()
        .filter_map(|platform| Some((platform.name, &**platform.bot.as_ref()?)));
    let bots: Vec<_> = configured
        .filter(|(name, _)| {
            if asked.is_empty() {
                *name != CONSOLE
            } else {
                *name == asked
            }
        })
        .collect();
    if !bots.is_empty() {
        return Ok(bots);
    }
    let kinds = KINDS
        .iter()
        .filter(|kind| asked.is_empty() || kind.name == asked);
    let variables = kinds
        .filter_map(first_variable)
        .collect::<Vec<_>>()
        .join(" or ");
    let line = match asked {
        "" => format!(
            "no bot is configured; set the variables of a platform, which begin with {variables} (README)"
        ),
        name => format!(
            "no bot is configured for {name}; set its variables, which begin with {variables} (README)"
        ),
    };
    Err(Fault::Line(Exit::Configuration, line))
}

fn first_variable(kind: &Kind) -> Option<&'static str> {
    kind.vars.first().map(|var| var.name)
}

async fn list(backend: &'static str, bot: &dyn Backend, wire: &HttpWire) -> Seen {
    let progress = Progress::new();
    let deadline = SystemClock.now() + MAX_TIME;
    let mut seen = Seen {
        backend,
        channels: Vec::new(),
        advice: None,
        failure: None,
    };
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        progress.show(&format!("{backend}: {} channels …", seen.channels.len()));
        match page(bot, wire, cursor.as_deref(), deadline, &progress).await {
            Ok(Listing::None(advice)) => {
                seen.advice = Some(advice);
                return seen;
            }
            Ok(Listing::Page(page)) => {
                seen.channels.extend(page.channels);
                cursor = page.next;
            }
            Err(failure) => {
                seen.failure = Some(failure);
                return seen;
            }
        }
        if cursor.is_none() {
            return seen;
        }
    }
    let detail = format!("the list does not end after {MAX_PAGES} pages; the rest is left out");
    seen.failure = Some(Failure::later(Later::Unavailable, None, detail));
    seen
}

/// One page, after as many pauses as the platform asks for.
async fn page(
    bot: &dyn Backend,
    wire: &HttpWire,
    cursor: Option<&str>,
    deadline: Instant,
    progress: &Progress,
) -> Result<Listing, Failure> {
    loop {
        let failure = match bot.list(wire, cursor).await {
            Ok(listing) => return Ok(listing),
            Err(failure) => failure,
        };
        let Failure::Later {
            reason: Later::Throttled,
            retry_after,
            ..
        } = &failure
        else {
            return Err(failure);
        };
        let pause = retry_after
            .unwrap_or(DEFAULT_PAUSE)
            .max(Duration::from_secs(1));
        if SystemClock.now() + pause > deadline {
            return Err(failure);
        }
        progress.show(&format!(
            "the platform asks for a pause of {} s …",
            pause.as_secs()
        ));
        tokio::time::sleep(pause).await;
    }
}

fn table(seen: &[Seen]) -> Table {
    let mut table = Table::new(&["channel", "name", "note"]);
    for (seen, channel) in all(seen) {
        let id = format!("{}:{}", seen.backend, channel.id);
        table.row([
            (&id, Tint::None),
            (&channel.name, Tint::None),
            (channel.note, Tint::Yellow),
        ]);
    }
    table
}

fn rows(seen: &[Seen]) -> Value {
    let rows = all(seen).map(|(seen, channel)| {
        json!({
            "channel": format!("{}:{}", seen.backend, channel.id),
            "backend": seen.backend,
            "id": channel.id,
            "name": plain(&channel.name),
            "note": channel.note,
        })
    });
    rows.collect()
}

fn all(seen: &[Seen]) -> impl Iterator<Item = (&Seen, &Listed)> {
    seen.iter()
        .flat_map(|seen| seen.channels.iter().map(move |channel| (seen, channel)))
}
