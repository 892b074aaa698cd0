//! A running proxy as its own commands call it: its address, the credential, and what its answers mean for an exit code.

use std::time::Duration;

use clap::{Arg, ArgMatches};
use http::{HeaderValue, Method};
use serde_json::Value;

use super::output::plain;
use super::{Exit, Fault, text};
use crate::backends::Wire as _;
use crate::backends::wire::{Call, MAX_LIST_BYTES, WireError};
use crate::clock::{Clock, SystemClock};
use crate::config::CommandSettings;
use crate::dispatch::{ClientSettings, HttpWire};
use crate::domain::secret::Secret;
use crate::domain::web_url::WebUrl;
use crate::http::Settings;

/// A running proxy, and the connections to it.
pub(super) struct Proxy {
    base: WebUrl,
    authorization: Option<HeaderValue>,
    wire: HttpWire,
}

/// What a proxy answered.
pub(super) struct Told {
    /// What it means.
    pub exit: Exit,
    /// Its JSON object; null if it was none.
    pub body: Value,
    /// What went wrong and how to mend it, if it did.
    pub line: String,
}

/// `--to URL`
pub(super) fn to_arg(help: &'static str) -> Arg {
    Arg::new("to").long("to").value_name("URL").help(help)
}

/// The address of the proxy that these settings describe, as the same machine reaches it; none if it takes a free port.
pub(super) fn own_url(settings: &Settings) -> Option<String> {
    let address = super::healthcheck::own_address(settings);
    (address.port() != 0).then(|| format!("http://{address}"))
}

/// An address to which a path is added. What was typed is not repeated: it may hold a password.
pub(super) fn parse_base(option: &str, text: &str) -> Result<WebUrl, Fault> {
    let bad = |what: &str| Fault::usage(format!("{option}: {what}"));
    let url = WebUrl::parse(text).map_err(|fault| bad(&fault.to_string()))?;
    if text.contains(['?', '#']) || url.to_uri().is_err() {
        return Err(bad(
            "expected an address such as https://proxy.example.org, without '?' or '#'",
        ));
    }
    Ok(url)
}

/// A client for a command.
pub(super) fn wire(settings: &ClientSettings) -> HttpWire {
    let clock = std::sync::Arc::new(SystemClock);
    let started = clock.now();
    HttpWire::new(settings, clock, started).for_commands()
}

impl Proxy {
    /// The proxy of `--to`, else that of this environment, whose answers may take so long. A secret of `PROXY_TOKENS` is
    /// for the latter alone: whoever names another address must not hand it out by that.
    pub(super) fn of(
        arguments: &ArgMatches,
        settings: &CommandSettings,
        longest: Duration,
    ) -> Result<Self, Fault> {
        let (base, token) = match text::value(arguments, "to") {
            "" => {
                let own = own_url(&settings.http).ok_or_else(|| {
                    let line = "PORT is 0, so the proxy's address is not known; write --to URL";
                    Fault::Line(Exit::Configuration, line.to_owned())
                })?;
                let token = settings.token.as_ref().or(settings.own_token.as_ref());
                (parse_base("HOST and PORT", &own)?, token)
            }
            to => (parse_base("--to", to)?, settings.token.as_ref()),
        };
        let client = ClientSettings {
            timeout: settings.client.timeout.max(longest),
            ..settings.client.clone()
        };
        Ok(Self {
            base,
            authorization: token.map(bearer).transpose()?,
            wire: wire(&client),
        })
    }

    /// One request without a body.
    pub(super) async fn call(
        &self,
        method: Method,
        target: &str,
        unanswered: &'static str,
    ) -> Result<Told, Fault> {
        let uri = self
            .base
            .join(target)
            .map_err(|_| Fault::usage("the address and the post make no URL; shorten it"))?;
        let call = Call {
            method,
            max_answer_bytes: MAX_LIST_BYTES,
            ..Call::get(&uri, self.authorization.as_ref())
        };
        let answer = self
            .wire
            .call(call)
            .await
            .map_err(|e| self.without_answer(e, unanswered))?;
        let body: Value = answer.json().unwrap_or_default();
        let is_ours = body.get("deliveries").is_some_and(Value::is_array);
        let exit = match answer.status {
            200..=299 if is_ours => Exit::Done,
            status => exit_of(status),
        };
        let line = match exit {
            Exit::Done => String::new(),
            _ => self.problem(answer.status, &body),
        };
        Ok(Told { exit, body, line })
    }

    fn problem(&self, status: u16, body: &Value) -> String {
        let word = |name| body.get(name).and_then(Value::as_str).map(plain);
        let (Some(code), Some(detail)) = (word("code"), word("detail")) else {
            return format!(
                "{} answers {status}, and not as a message-webhook-proxy does; check the address",
                self.base.base()
            );
        };
        let cure = match status {
            401 if self.authorization.is_none() => {
                "; set PROXY_TOKEN, or PROXY_TOKEN_FILE, to such a secret"
            }
            401 => {
                "; the secret that was sent, of PROXY_TOKEN or PROXY_TOKENS, is not one of this proxy's"
            }
            _ => "",
        };
        format!("{code}: {detail}{cure}")
    }

    fn without_answer(&self, error: WireError, unanswered: &'static str) -> Fault {
        let cure = match error {
            WireError::Connect => "; is it running?",
            WireError::NoAnswer => unanswered,
            WireError::Resolve | WireError::OffLimits | WireError::Tls => "",
        };
        let line = format!("the proxy at {}: {error}{cure}", self.base.base());
        Fault::Line(Exit::Unavailable, line)
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue, Fault> {
    let header = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
    let mut header = header.map_err(|_| {
        let line = "PROXY_TOKEN: expected a secret of letters, digits and signs on one line";
        Fault::Line(Exit::Configuration, line.to_owned())
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// The caller's mistakes, refusals (what is not there among them), and what passes.
fn exit_of(status: u16) -> Exit {
    match status {
        400 | 405 | 413 | 414 | 422 | 431 => Exit::Usage,
        401 | 403 | 404 | 409 | 502 => Exit::Refused,
        _ => Exit::Unavailable,
    }
}
