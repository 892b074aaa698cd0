//! All settings, gathered from the modules that own them. Every fault is reported, in one go.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use envconfig::Envconfig;

use crate::backends::{self, Conversations, Door, KINDS, Kind, Shared};
use crate::dispatch::relay::{self, settings::RelaySettings};
use crate::dispatch::{self, ClientSettings, OutboxSettings, Platform, trust};
use crate::domain::channel::{
    Address, BackendShape, Destination, Directory, DirectorySettings, WebhookShape, Webhooks,
};
use crate::domain::mention::Mentions;
use crate::domain::quota::{Limit, parse_limit};
use crate::env::{Env, Faults, Files, Reader, Var, parse_bool, parse_duration};
use crate::http::{self, caller, limit};
use crate::telemetry;

mod command;
mod descriptors;

pub use command::{CommandSettings, parse_for_commands, parse_for_healthcheck, parse_platforms};
pub use descriptors::Short;
use descriptors::{Needs, Shares};

/// What the program runs with.
pub struct Settings {
    /// How the server listens and what it accepts.
    pub http: http::Settings,
    /// Who may post.
    pub callers: caller::Settings,
    /// How many posts are let in.
    pub limits: limit::Settings,
    /// What channels mean.
    pub directory: Directory,
    /// The incoming webhooks' URLs.
    pub webhooks: Webhooks,
    /// The platforms and their backends.
    pub platforms: Vec<Platform>,
    /// The outgoing client.
    pub client: ClientSettings,
    /// `MAX_PARTS`
    pub max_parts: usize,
    /// The outbox.
    pub outbox: OutboxSettings,
    /// What verifies the requests of platforms.
    pub inbound: http::inbound::Settings,
    /// The internal API.
    pub relay: Option<RelaySettings>,
    /// The conversations in which bots were seen.
    pub conversations: Arc<Conversations>,
    /// Things that are legal and probably not meant.
    pub warnings: Vec<String>,
    /// The limit of open files, if callers have fewer connections because of it.
    pub short: Option<Short>,
}

/// The variables that belong to no single module.
pub const VARS: &[Var] = &[
    Var {
        name: "CHANNELS",
        default: "",
        secret: true,
        doc: "aliases: `deploys=mattermost:<id> alerts=slack:C0123,teams+https://…`; several destinations by commas; incoming webhooks as `mattermost+https://…`, `slack+https://…`, `teams+https://…`",
    },
    Var {
        name: "DEFAULT_BACKEND",
        default: "",
        secret: false,
        doc: "where a channel without prefix and alias goes when several backends are configured",
    },
    Var {
        name: "ONLY_ALIASES",
        default: "false",
        secret: false,
        doc: "`true`: everything that is no alias is refused",
    },
    Var {
        name: "ALLOW_MENTIONS",
        default: "none",
        secret: false,
        doc: "mentions that may notify people: `none`, `all`, or names without the sign such as `here,channel,alice`",
    },
    Var {
        name: "MAX_PARTS",
        default: "5",
        secret: false,
        doc: "posts that one long message may become, 1 to 100",
    },
    Var {
        name: "PACE_MATTERMOST",
        default: "off",
        secret: false,
        doc: "outgoing pace per Mattermost channel",
    },
    Var {
        name: "PACE_SLACK",
        default: "1/s",
        secret: false,
        doc: "outgoing pace per Slack channel",
    },
    Var {
        name: "PACE_TEAMS",
        default: "1/s",
        secret: false,
        doc: "outgoing pace per Teams conversation",
    },
    Var {
        name: "UPSTREAM_TIMEOUT",
        default: "10s",
        secret: false,
        doc: "the deadline of one call to a platform, 100ms to 5m",
    },
    Var {
        name: "UPSTREAM_CA",
        default: "",
        secret: false,
        doc: "a PEM file with the CA of chat servers that have a private one",
    },
    Var {
        name: "PROXY_TOKEN",
        default: "",
        secret: true,
        doc: "the secret with which `send --to` and `deliveries` call a running proxy; the server does not read it",
    },
];

#[derive(Envconfig, Default)]
struct Vars {
    #[envconfig(from = "CHANNELS")]
    channels: Option<String>,
    #[envconfig(from = "DEFAULT_BACKEND")]
    default_backend: Option<String>,
    #[envconfig(from = "ONLY_ALIASES")]
    only_aliases: Option<String>,
    #[envconfig(from = "ALLOW_MENTIONS")]
    allow_mentions: Option<String>,
    #[envconfig(from = "MAX_PARTS")]
    max_parts: Option<String>,
    #[envconfig(from = "PACE_MATTERMOST")]
    pace_mattermost: Option<String>,
    #[envconfig(from = "PACE_SLACK")]
    pace_slack: Option<String>,
    #[envconfig(from = "PACE_TEAMS")]
    pace_teams: Option<String>,
    #[envconfig(from = "UPSTREAM_TIMEOUT")]
    timeout: Option<String>,
    #[envconfig(from = "UPSTREAM_CA")]
    ca: Option<String>,
}

/// Variables of the contract that this version would get wrong by ignoring them: it refuses to start.
const REFUSED: &[&str] = &["TLS_CERT", "TLS_KEY", "UPSTREAM_PROXY"];
/// Variables of the contract that this version ignores, and says so.
const IGNORED: &[&str] = &["OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Every variable of the program, in the order of the README.
pub fn all_vars() -> impl Iterator<Item = &'static Var> {
    let own = [
        http::settings::VARS,
        caller::VARS,
        limit::VARS,
        VARS,
        dispatch::settings::VARS,
        http::inbound::settings::VARS,
        relay::settings::VARS,
        telemetry::VARS,
    ];
    own.into_iter()
        .flatten()
        .chain(KINDS.iter().flat_map(|kind| kind.vars))
}

/// Reads the settings of the log alone, so that the rest can be reported through it.
#[must_use]
pub fn read_log(env: &Env) -> telemetry::Settings {
    telemetry::Settings::read(&mut Reader::new(env, Faults::default()))
}

/// Reads everything from an environment whose files were read in.
///
/// # Errors
/// Every fault, one line each.
pub fn parse(env: Env) -> Result<Settings, Faults> {
    read(env, true)
}

/// What is kept matters to a server alone.
fn read(mut env: Env, is_server: bool) -> Result<Settings, Faults> {
    let mut faults = Faults::default();
    env.settle(all_vars(), &mut faults);
    let mut reader = Reader::new(&env, faults);
    // Its faults count here; its values were taken before the log began.
    let _log = telemetry::Settings::read(&mut reader);
    let vars: Vars = reader.vars();
    let mut callers = caller::Settings::read(&mut reader);
    let mut http = http::Settings::read(&mut reader, &callers);
    let limits = limit::Settings::read(&mut reader);
    let mentions = reader.value(
        "ALLOW_MENTIONS",
        vars.allow_mentions.as_deref(),
        Mentions::None,
        Mentions::parse,
    );
    let shared = Shared {
        mentions,
        ..Shared::default()
    };
    let mut platforms = platforms(&mut reader, &vars, &shared);
    let (directory, webhooks) = directory(&mut reader, &vars, &platforms);
    for platform in &mut platforms {
        let is_its = |to: &Destination| {
            to.backend == platform.name && matches!(to.address, Address::Webhook(_))
        };
        if !directory.aliases().any(|(_, all)| all.iter().any(is_its)) {
            platform.webhooks = None;
        }
    }
    let unsure = reader.is_faulty("CHANNELS") || reader.is_faulty("DEFAULT_BACKEND");
    if !unsure && let Err(lines) = callers.tokens.bind(&directory) {
        lines
            .iter()
            .for_each(|line| reader.fault("PROXY_TOKENS", line));
    }
    let mut client = client(&mut reader, &vars);
    let max_parts = reader.value("MAX_PARTS", vars.max_parts.as_deref(), 5, |text| {
        text.parse()
            .ok()
            .filter(|n| (1..=100).contains(n))
            .ok_or("expected a number from 1 to 100")
    });
    for name in REFUSED {
        if reader.has(name) {
            reader.fault(
                name,
                "this version does not know this variable yet; take it out",
            );
        }
    }
    let mut warnings = warnings(&mut reader, &callers, &http);
    let outbox = OutboxSettings::read(&mut reader, &mut warnings);
    if is_server {
        can_keep_installations(&mut reader, &outbox);
    }
    let mut inbound = http::inbound::Settings::read(&mut reader);
    // The bot's own reading has noted the faults.
    inbound.teams = Door::read(&mut Reader::new(&env, Faults::default()));
    let relay = relay::settings::read(&mut reader);
    let mut short = None;
    if is_server && let Some(shares) = share(&mut reader, env.files(), &http, relay.is_some()) {
        (http.workers, http.max_connections) = (shares.workers, shares.connections);
        (client.max_open, short) = (shares.of_client, shares.short);
    }
    let faults = reader.finish();
    if !faults.lines().is_empty() {
        return Err(faults);
    }
    Ok(Settings {
        http,
        callers,
        limits,
        directory,
        webhooks,
        platforms,
        client,
        max_parts,
        outbox,
        inbound,
        relay,
        conversations: shared.conversations,
        warnings,
        short,
    })
}

/// Shares out what may be open; too little is a fault.
fn share(
    reader: &mut Reader<'_>,
    files: Files,
    http: &http::Settings,
    has_relay: bool,
) -> Option<Shares> {
    let needs = Needs {
        files,
        workers: http.workers,
        is_given: reader.has("WORKERS"),
        has_relay,
    };
    let shared = needs.share();
    shared.map_err(|line| reader.faults(vec![line])).ok()
}

fn platforms(reader: &mut Reader<'_>, vars: &Vars, shared: &Shared) -> Vec<Platform> {
    KINDS
        .iter()
        .map(|kind| Platform {
            name: kind.name,
            bot: (kind.configure)(reader, shared),
            webhooks: kind
                .webhooks
                .as_ref()
                .map(|webhooks| (webhooks.build)(shared)),
            pace: pace(reader, vars, kind),
        })
        .collect()
}

fn pace(reader: &mut Reader<'_>, vars: &Vars, kind: &Kind) -> Limit {
    let (name, value) = match kind.name {
        "mattermost" => ("PACE_MATTERMOST", &vars.pace_mattermost),
        "slack" => ("PACE_SLACK", &vars.pace_slack),
        "teams" => ("PACE_TEAMS", &vars.pace_teams),
        _ => return backends::default_pace(kind),
    };
    reader.value(
        name,
        value.as_deref(),
        backends::default_pace(kind),
        parse_limit,
    )
}

fn directory(
    reader: &mut Reader<'_>,
    vars: &Vars,
    platforms: &[Platform],
) -> (Directory, Webhooks) {
    let settings = DirectorySettings {
        channels: vars.channels.clone().unwrap_or_default(),
        default_backend: vars
            .default_backend
            .clone()
            .map(|name| name.trim().to_owned()),
        only_aliases: reader.value(
            "ONLY_ALIASES",
            vars.only_aliases.as_deref(),
            false,
            parse_bool,
        ),
    };
    // A platform whose variables are wrong is meant to be there: its channels are no faults of their own.
    let configured = |kind: &&Kind| {
        let faulty = kind.vars.iter().any(|var| reader.is_faulty(var.name));
        let is_on = |p: &Platform| p.name == kind.name && p.bot.is_some();
        faulty || platforms.iter().any(is_on)
    };
    let shapes = KINDS
        .iter()
        .filter(configured)
        .map(|kind| BackendShape {
            name: kind.name,
            recognises: kind.recognises,
        })
        .collect();
    let webhook_kinds: Vec<WebhookShape> = KINDS
        .iter()
        .filter_map(|kind| {
            Some(WebhookShape {
                name: kind.name,
                fault: kind.webhooks.as_ref()?.fault,
            })
        })
        .collect();
    Directory::build(&settings, shapes, &webhook_kinds).unwrap_or_else(|lines| {
        reader.faults(lines);
        (Directory::empty(), Webhooks::default())
    })
}

/// An installation is made by a person in another workspace, so it must outlive this process.
fn can_keep_installations(reader: &mut Reader<'_>, outbox: &OutboxSettings) {
    let apps = ["SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"];
    let Some(app) = apps.iter().find(|name| reader.has(name)) else {
        return;
    };
    if apps.iter().any(|name| reader.is_faulty(name)) {
        return;
    }
    if outbox.keys.is_empty() && !reader.is_faulty("STORE_KEY") {
        let what = format!(
            "{app} is set and this is not: the tokens of workspaces would lie open; set it to a secret of at least 32 characters (openssl rand -hex 32)"
        );
        reader.fault("STORE_KEY", what);
    }
    if outbox.path.is_none() && !reader.is_faulty("DATABASE_URL") {
        let what = format!(
            "{app} is set, and without an outbox installations would be lost at every start; set sqlite:PATH on a disk that lasts"
        );
        reader.fault("DATABASE_URL", what);
    }
}

fn client(reader: &mut Reader<'_>, vars: &Vars) -> ClientSettings {
    let timeout = reader.value(
        "UPSTREAM_TIMEOUT",
        vars.timeout.as_deref(),
        Duration::from_secs(10),
        |text| {
            parse_duration(text).and_then(|d| {
                let range = Duration::from_millis(100)..=Duration::from_secs(300);
                range
                    .contains(&d)
                    .then_some(d)
                    .ok_or("expected 100ms to 5m")
            })
        },
    );
    let path = vars.ca.as_deref().map(PathBuf::from);
    let tls = trust(path.as_deref())
        .map_err(|fault| reader.fault("UPSTREAM_CA", fault))
        .ok();
    ClientSettings {
        timeout,
        tls,
        max_open: usize::MAX,
    }
}

fn warnings(
    reader: &mut Reader<'_>,
    callers: &caller::Settings,
    http: &http::Settings,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if callers.allow_query_token {
        warnings.push("ALLOW_QUERY_TOKEN: tokens in URLs are logged by everything between the caller and this proxy".to_owned());
    }
    if callers.is_open() && !http.host.is_loopback() {
        warnings.push("ALLOW_ANONYMOUS: anybody who reaches this address may post".to_owned());
    }
    let ignored = IGNORED.iter().filter(|name| reader.has(name));
    warnings.extend(ignored.map(|name| {
        format!("{name}: this version does not know this variable yet and ignores it")
    }));
    warnings
}
