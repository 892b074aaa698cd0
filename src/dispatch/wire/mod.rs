//! What backends ask of the world: calls of platforms with every limit in one place, and printed lines.
//!
//! No redirects (they carry credentials away), no decompression (a bomb), no environment proxies, one deadline
//! around connection, request and whole answer, at most as much of an answer as the call asks for.

mod echo;
mod heads;
mod retry_after;
mod trust;

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use rustls::ClientConfig;

pub use trust::{TrustError, trust};

pub(super) use retry_after::asked;

use super::exchange::{Exchange, Request};
use crate::backends::Wire;
use crate::backends::wire::{Answer, Call, WireError};
use crate::clock::Clock;
use heads::Heads;

/// How this program names itself to platforms; also how it knows another of its kind.
pub const PRODUCT: &str = "message-webhook-proxy/";
const USER_AGENT: &str = concat!("message-webhook-proxy/", env!("CARGO_PKG_VERSION"));
/// A proxy refuses posts of another proxy; a person's command is none.
const COMMAND_AGENT: &str = concat!("message-webhook-proxy-cli/", env!("CARGO_PKG_VERSION"));

/// What a worker needs to make its client.
#[derive(Clone)]
pub struct ClientSettings {
    /// The deadline of one call.
    pub timeout: Duration,
    /// TLS: which authorities are trusted; `None` when that could not be read, and then nothing is sent.
    pub tls: Option<Arc<ClientConfig>>,
    /// The most connections a client has open, idle ones included; it has a bound of its own as well.
    pub max_open: usize,
}

/// A worker's client.
pub struct HttpWire {
    exchange: Exchange,
    heads: Heads,
    settings: ClientSettings,
    clock: Arc<dyn Clock>,
    started: Instant,
}

impl HttpWire {
    /// Makes the client of the worker thread that calls this.
    #[must_use]
    pub fn new(settings: &ClientSettings, clock: Arc<dyn Clock>, started: Instant) -> Self {
        Self {
            exchange: Exchange::new(settings, Arc::clone(&clock)),
            heads: Heads::new(USER_AGENT),
            settings: settings.clone(),
            clock,
            started,
        }
    }

    /// The same for a command of a person, which may call a proxy.
    #[must_use]
    pub fn for_commands(self) -> Self {
        Self {
            heads: Heads::new(COMMAND_AGENT),
            ..self
        }
    }

    /// What this client was made of.
    #[must_use]
    pub(super) fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// How long one call may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    async fn exchange(&self, call: Call<'_>) -> Result<Answer, WireError> {
        // A request that cannot be made was not sent.
        let head = self.heads.of(&call).ok_or(WireError::Connect)?;
        let response = self
            .exchange
            .send(Request {
                to: &head.to,
                bytes: &head.with(&call.body),
                max_answer_bytes: call.max_answer_bytes,
            })
            .await?;
        let body = match &head.echo {
            Some(credential) => echo::without(response.body, credential),
            None => response.body,
        };
        let head = response.head;
        Ok(Answer {
            status: head.status,
            retry_after: asked(head.status, &head, || self.clock.unix()),
            body,
            truncated: response.truncated,
        })
    }
}

impl Wire for HttpWire {
    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Answer, WireError>> {
        Box::pin(self.exchange(call))
    }

    fn print(&self, line: String) -> LocalBoxFuture<'_, std::io::Result<()>> {
        // A blocked terminal must not stop a worker. Where no thread can be started for it, tokio panics.
        let printed = async {
            tokio::task::spawn_blocking(move || {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{line}").and_then(|()| out.flush())
            })
            .await
        };
        Box::pin(async move {
            match AssertUnwindSafe(printed).catch_unwind().await {
                Ok(Ok(printed)) => printed,
                _ => Err(std::io::ErrorKind::Interrupted.into()),
            }
        })
    }

    fn elapsed(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.started)
    }
}
