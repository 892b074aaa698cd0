//! What the commands beside `serve` need of the environment. A variable that means nothing for them is not judged: a CI
//! job has a `DATABASE_URL` of its own, and may post all the same.

use envconfig::Envconfig;

use super::{Settings, Vars, client, read};
use crate::dispatch::{self, ClientSettings, relay};
use crate::domain::secret::Secret;
use crate::domain::signing::SigningKeys;
use crate::env::{Env, Faults, Reader, Var};
use crate::http::{self, caller, limit};
use crate::telemetry;

/// What a command needs that calls a proxy, or writes its URLs: no platform is configured for that.
pub struct CommandSettings {
    /// Where the proxy of this environment listens, and where callers reach it.
    pub http: http::Settings,
    /// `SIGNING_KEYS`
    pub keys: SigningKeys,
    /// The outgoing client.
    pub client: ClientSettings,
    /// `PROXY_TOKEN`: for any proxy.
    pub token: Option<Secret>,
    /// A secret of `PROXY_TOKENS`: for the proxy of this environment alone.
    pub own_token: Option<Secret>,
}

#[derive(Envconfig, Default)]
struct Credentials {
    #[envconfig(from = "PROXY_TOKEN")]
    token: Option<String>,
    #[envconfig(from = "PROXY_TOKENS")]
    tokens: Option<String>,
    #[envconfig(from = "SIGNING_KEYS")]
    keys: Option<String>,
}

/// The variables of the server that such a command reads as well.
const SHARED: &[&str] = &[
    "HOST",
    "PORT",
    "PUBLIC_URL",
    "MAX_URL",
    "PROXY_TOKEN",
    "PROXY_TOKENS",
    "SIGNING_KEYS",
    "UPSTREAM_TIMEOUT",
    "UPSTREAM_CA",
];

/// Reads what [`CommandSettings`] holds.
///
/// # Errors
/// Every fault, one line each.
pub fn parse_for_commands(mut env: Env) -> Result<CommandSettings, Faults> {
    let others = super::all_vars().filter(|var| !SHARED.contains(&var.name));
    env.forget(others.map(|var| var.name));
    let mut faults = Faults::default();
    env.settle(super::all_vars(), &mut faults);
    let mut reader = Reader::new(&env, faults);
    let vars: Vars = reader.vars();
    let credentials: Credentials = reader.vars();
    let keys = SigningKeys::parse(credentials.keys.as_deref().unwrap_or_default());
    let settings = CommandSettings {
        http: http::Settings::read(&mut reader, &anybody()),
        keys: keys.unwrap_or_else(|faults| {
            let mut note = |fault| reader.fault("SIGNING_KEYS", fault);
            faults.iter().for_each(&mut note);
            SigningKeys::default()
        }),
        client: client(&mut reader, &vars),
        token: credentials
            .token
            .map(|text| Secret::new(text.trim().to_owned())),
        own_token: credentials.tokens.as_deref().and_then(secret_of),
    };
    let faults = reader.finish();
    if faults.lines().is_empty() {
        Ok(settings)
    } else {
        Err(faults)
    }
}

/// Reads where the proxy of this environment listens, and nothing else: a secret's file that is gone by now does not mean
/// that the process which read it is dead.
///
/// # Errors
/// Every fault, one line each.
pub fn parse_for_healthcheck(mut env: Env) -> Result<http::Settings, Faults> {
    let others = super::all_vars().filter(|var| !["HOST", "PORT"].contains(&var.name));
    env.forget(others.map(|var| var.name));
    let mut faults = Faults::default();
    env.settle(super::all_vars(), &mut faults);
    let mut reader = Reader::new(&env, faults);
    let settings = http::Settings::read(&mut reader, &anybody());
    let faults = reader.finish();
    match faults.lines().is_empty() {
        true => Ok(settings),
        false => Err(faults),
    }
}

/// Whether the server may listen there without tokens is the server's question.
fn anybody() -> caller::Settings {
    caller::Settings {
        allow_anonymous: true,
        ..caller::Settings::default()
    }
}

/// Reads everything that a post needs which no server takes: platforms, aliases, limits of a message.
///
/// # Errors
/// Every fault, one line each.
pub fn parse_platforms(mut env: Env) -> Result<Settings, Faults> {
    let of_the_server: [&[Var]; 7] = [
        http::settings::VARS,
        http::inbound::settings::VARS,
        caller::VARS,
        limit::VARS,
        dispatch::settings::VARS,
        relay::settings::VARS,
        telemetry::VARS,
    ];
    let names = of_the_server.into_iter().flatten().map(|var| var.name);
    env.forget(names.chain(["TLS_CERT", "TLS_KEY"]));
    read(env, false)
}

/// A secret that sees every receipt if there is one: a token with channels of its own sees only its own.
fn secret_of(tokens: &str) -> Option<Secret> {
    let entries = || tokens.split_whitespace();
    let label = |entry: &str| entry.split_once('=').map(|(label, _)| label.contains('@'));
    let first = entries().find(|entry| label(entry) != Some(true));
    let entry = first.or_else(|| entries().next())?;
    let secret = entry.split_once('=').map_or(entry, |(_, secret)| secret);
    Some(Secret::new(secret.to_owned()))
}
