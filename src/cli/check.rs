//! `check`: every configured credential against its platform, and whatever else of the configuration can be looked at
//! without changing it. It posts nothing.

mod asked;
mod places;

use asked::Asked;
use clap::{ArgMatches, Command};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;

use super::output::{Look, Progress, Table, Tint, is_json, json_arg, plain, print_json};
use super::{Exit, Fault, print, proxy, wait_for};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Settings};
use crate::domain::channel::{Address, CONSOLE};
use crate::domain::delivery::Failure;
use crate::env::Env;

pub(super) const NAME: &str = "check";

/// How many calls one check may take: a token, the bot itself, and whether the server is well.
const CALLS: u32 = 3;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It works.
    Ok,
    /// The platform refuses it.
    Refused,
    /// What it is for does not answer.
    Unavailable,
    /// It cannot work on this machine.
    Wrong,
    /// It is set, and nothing that posts nothing can show whether it is right.
    Unchecked,
    /// It is not set, which is fine.
    Unset,
}

/// One line of the result.
struct Finding {
    name: String,
    state: State,
    detail: String,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Wrong => "wrong",
            Self::Unchecked => "unchecked",
            Self::Unset => "unset",
        }
    }

    fn tint(self) -> Tint {
        match self {
            Self::Ok => Tint::Green,
            Self::Refused | Self::Wrong => Tint::Red,
            Self::Unavailable => Tint::Yellow,
            Self::Unchecked | Self::Unset => Tint::None,
        }
    }

    fn exit(self) -> Exit {
        match self {
            Self::Refused => Exit::Refused,
            Self::Wrong => Exit::Configuration,
            Self::Unavailable => Exit::Unavailable,
            Self::Ok | Self::Unchecked | Self::Unset => Exit::Done,
        }
    }
}

impl Finding {
    fn new(name: impl Into<String>, state: State, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state,
            detail: detail.into(),
        }
    }
}

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Check every configured credential against its platform; posts nothing")
        .arg(json_arg())
        .after_help(
            "Example:\n  message-webhook-proxy check && echo ready to serve\n\n\
             One line each: name, ok | refused | unavailable | wrong | unchecked | unset, and what to do.\n\
             Exit codes, the first that holds: 77 a credential is refused (waiting does not mend it), 78 a setting is wrong,\n\
             69 a platform, or the internal API, cannot be reached, 0 all is well.",
        )
}

pub(super) fn run(arguments: &ArgMatches, env: Env) -> Result<Exit, Fault> {
    let look = Look::of(&env);
    let settings = config::parse(env)?;
    let findings = wait_for(findings(&settings));
    let printed = if is_json(arguments) {
        print_json(&rows(&findings))
    } else {
        let mut table = Table::new(&["name", "state", "detail"]);
        for finding in &findings {
            let state = (finding.state.word(), finding.state.tint());
            table.row([
                (&finding.name, Tint::None),
                state,
                (&finding.detail, Tint::None),
            ]);
        }
        print(&table.text(look))
    };
    let exits = findings.iter().map(|finding| finding.state.exit());
    Ok(exits.fold(printed, Exit::worse))
}

fn rows(findings: &[Finding]) -> Value {
    let rows = findings.iter().map(|finding| {
        json!({
            "name": plain(&finding.name),
            "state": finding.state.word(),
            "detail": plain(&finding.detail),
        })
    });
    rows.collect()
}

async fn findings(settings: &Settings) -> Vec<Finding> {
    let mut findings = platforms(settings).await;
    findings.extend(webhooks(settings));
    findings.push(places::outbox(&settings.outbox));
    findings.extend(callers(settings));
    findings.extend(inbound(settings));
    if let Some(relay) = &settings.relay {
        findings.push(places::relay(relay, settings.client.timeout).await);
    }
    findings
}

async fn platforms(settings: &Settings) -> Vec<Finding> {
    let progress = Progress::new();
    let wire = proxy::wire(&settings.client);
    let deadline = SystemClock.now() + settings.client.timeout * CALLS;
    let bots = || {
        let platforms = settings.platforms.iter();
        platforms.filter_map(|platform| Some((platform.name, platform.bot.as_deref()?)))
    };
    let names: Vec<&str> = bots().map(|(name, _)| name).collect();
    progress.show(&format!("asking {} …", names.join(", ")));
    let wire = &wire;
    let checks = bots().map(|(name, bot)| async move {
        let asked = Asked::of(wire);
        let answer = tokio::time::timeout_at(deadline.into(), bot.check(&asked)).await;
        match answer {
            Ok(Ok(())) if name == CONSOLE => Finding::new(
                name,
                State::Ok,
                "always there: prints posts to standard output",
            ),
            Ok(Ok(())) if !asked.anything() => Finding::new(
                name,
                State::Unchecked,
                "no token of its own is set; those of workspaces lie sealed in the outbox, and /ready of the running proxy says how they do",
            ),
            Ok(Ok(())) => Finding::new(name, State::Ok, "it answers, and takes the credentials"),
            Ok(Err(failure)) => failed(name, &failure),
            Err(_) => Finding::new(
                name,
                State::Unavailable,
                "it did not answer in time; UPSTREAM_TIMEOUT is how long a call may take",
            ),
        }
    });
    join_all(checks).await
}

fn failed(name: &str, failure: &Failure) -> Finding {
    let state = match failure {
        Failure::Refused { .. } => State::Refused,
        Failure::Later { .. } | Failure::Unknown { .. } => State::Unavailable,
    };
    let detail = match failure.platform_code() {
        Some(code) => format!("{failure} [{}]", code.as_str()),
        None => failure.to_string(),
    };
    Finding::new(name, state, detail)
}

/// By alias alone: a webhook's URL is its credential.
fn webhooks(settings: &Settings) -> Vec<Finding> {
    let aliases = settings.directory.aliases();
    let found = aliases.flat_map(|(alias, destinations)| {
        let hooks = destinations
            .iter()
            .filter(|to| matches!(to.address, Address::Webhook(_)));
        hooks.map(move |to| (alias, to.backend))
    });
    let mut found: Vec<_> = found.collect();
    found.sort_unstable();
    let line = |(alias, backend): (&str, &str)| {
        let detail = format!(
            "an incoming webhook of {backend}: only a post can show whether it works (send {alias} …)"
        );
        Finding::new(format!("webhook {alias}"), State::Unchecked, detail)
    };
    found.into_iter().map(line).collect()
}

fn callers(settings: &Settings) -> [Finding; 2] {
    let callers = &settings.callers;
    // In the order of the alphabet: those of one name need not stand together.
    let names: BTreeSet<&str> = callers
        .tokens
        .iter()
        .map(crate::domain::token::Token::name)
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    let open = "posting is open to everybody who reaches the address";
    let tokens = match (names.is_empty(), callers.is_open()) {
        (false, _) => (State::Ok, format!("for {}", names.join(", "))),
        (true, true) => (State::Unset, open.to_owned()),
        (true, false) => (State::Unset, "only signed URLs post".to_owned()),
    };
    let keys = match (callers.keys.is_empty(), callers.is_open()) {
        (false, _) => (State::Ok, "URLs can be signed (url --sign)".to_owned()),
        (true, _) => (State::Unset, "no URL can be signed".to_owned()),
    };
    [
        Finding::new("PROXY_TOKENS", tokens.0, tokens.1),
        Finding::new("SIGNING_KEYS", keys.0, keys.1),
    ]
}

fn inbound(settings: &Settings) -> Vec<Finding> {
    let request = "only a request of the platform can show whether it is right";
    let installation = "only an installation (/slack/install) can show whether it is right";
    let secrets = [
        (
            "SLACK_SIGNING_SECRETS",
            !settings.inbound.slack_secrets.is_empty(),
            request,
        ),
        (
            "MATTERMOST_COMMAND_TOKENS",
            !settings.inbound.mattermost_tokens.is_empty(),
            request,
        ),
        (
            "SLACK_CLIENT_SECRET",
            can_be_installed(settings, "slack"),
            installation,
        ),
    ];
    let set = secrets.into_iter().filter(|(_, is_set, _)| *is_set);
    set.map(|(name, _, detail)| Finding::new(name, State::Unchecked, detail))
        .collect()
}

/// Whether the credentials are there with which workspaces install a platform's app.
fn can_be_installed(settings: &Settings, backend: &str) -> bool {
    let mut platforms = settings.platforms.iter();
    let platform = platforms.find(|platform| platform.name == backend);
    let bot = platform.and_then(|platform| platform.bot.as_deref());
    let app = bot.and_then(|bot| bot.installer());
    app.is_some_and(|app| app.consent_url("", None).is_some())
}
