//! From a verified request to the internal API: at once, with the answer passed back, or stored first and relayed until it
//! is accepted. It must not look into the request; whether it may be relayed is decided before.

mod client;
mod headers;
pub(super) mod later;
pub mod settings;
pub(super) mod stored;

pub(super) use client::RelayClient;
pub use headers::end_to_end;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};

use super::Dispatcher;

/// A verified request, as it is relayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayRequest {
    /// Its method.
    pub method: Method,
    /// Path and query, as they came.
    pub target: String,
    /// End-to-end headers, and those that the proxy adds.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, byte for byte.
    pub body: Bytes,
}

/// What the internal API answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayAnswer {
    /// The status.
    pub status: u16,
    /// End-to-end headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, byte for byte.
    pub body: Bytes,
    /// Why there is no body, if it broke off; the status says whether the request was accepted all the same.
    pub cut: Option<RelayError>,
    /// `Retry-After` as a wait, as platforms' answers have it.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer to pass back. None of these shows where the internal API is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// No connection.
    #[error("the internal API cannot be reached")]
    Unreachable,
    /// It did not answer in time.
    #[error("the internal API did not answer in time")]
    TimedOut,
    /// The connection broke, or what it answered is no whole HTTP answer or too large to be passed on.
    #[error("the internal API gave no usable answer")]
    Unusable,
}

impl Dispatcher {
    /// Whether there is an internal API.
    #[must_use]
    pub fn relays(&self) -> bool {
        self.shared.relay.is_some()
    }

    /// Relays a request and waits for the answer, at most so long. `None` if there is no internal API.
    pub async fn relay_now(
        &self,
        request: &RelayRequest,
        budget: Duration,
    ) -> Option<Result<RelayAnswer, RelayError>> {
        let answer = self.exchange(request, budget).await?;
        self.note_relayed_now(&answer);
        Some(answer.and_then(|answer| answer.cut.map_or(Ok(answer), Err)))
    }

    async fn exchange(
        &self,
        request: &RelayRequest,
        budget: Duration,
    ) -> Option<Result<RelayAnswer, RelayError>> {
        let (relay, client) = self.shared.relay.as_ref().zip(self.relay.as_ref())?;
        let uri = match relay.base.join(&request.target) {
            Ok(uri) => uri,
            // It was a request's target, so the two together are one.
            Err(_) => return Some(Err(RelayError::Unusable)),
        };
        Some(client.send(request, &uri, budget).await)
    }
}
