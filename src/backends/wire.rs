//! All that a backend may do to the world.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{HeaderValue, Method, Uri};

use super::prefix;
use crate::domain::delivery::{Failure, Later};

/// The world as lent to a backend: one HTTP exchange, one printed line, and the time.
pub trait Wire {
    /// Sends a request and reads the whole answer, within one deadline. Redirects are not followed.
    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Answer, WireError>>;

    /// Writes a line to standard output.
    fn print(&self, line: String) -> LocalBoxFuture<'_, std::io::Result<()>>;

    /// Time since an arbitrary moment; never goes back.
    fn elapsed(&self) -> Duration;
}

/// A request to a platform.
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// Where to.
    pub uri: &'a Uri,
    /// The whole value of `Authorization`, if any.
    pub authorization: Option<&'a HeaderValue>,
    /// The value of `Content-Type`, if there is a body.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Bytes,
    /// The most of the answer's body that is read.
    pub max_answer_bytes: usize,
}

/// What is read of an answer, unless a call says otherwise (threat E5). An answer to a post may be longer, since Mattermost
/// and Slack repeat the post in it: what means success must be read from its beginning ([`Answer::leading`]).
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The same of a list that a person asks for: Mattermost's of a team's channels is in no pages (reference/mattermost.md 10).
pub const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;

/// What a platform answered.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Retry-After` as a wait: seconds rounded up, or an HTTP-date against the answer's own `Date`; where it is absent
    /// or unusable, `X-Ratelimit-Reset` of a 429, or of a success that has left nothing of the limit. At most one hour.
    pub retry_after: Option<Duration>,
    /// The body, at most as much of it as the call asks for.
    pub body: Bytes,
    /// Whether there was more of the body, or it broke off. What is there is then read by [`Answer::leading`] alone, and
    /// never shown: it may end in half a credential, which no echo filter finds.
    pub truncated: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The host has no address.
    #[error("its host name cannot be resolved")]
    Resolve,
    /// Every address of the host is one that nothing may be sent to.
    #[error(
        "its host name leads to a link-local address or a cloud's metadata service, where nothing is ever sent"
    )]
    OffLimits,
    /// No connection, or none over which the whole request could be written.
    #[error("it cannot be reached (connection refused, unreachable or timed out)")]
    Connect,
    /// The TLS handshake failed: certificate, name, CA or version.
    #[error(
        "its TLS certificate is not accepted (expired, another host's, or signed by an unknown CA; UPSTREAM_CA adds a private CA)"
    )]
    Tls,
    /// The connection broke, or time ran out, after the request was written: it may have been carried out.
    #[error("it took the request and gave no usable answer in time")]
    NoAnswer,
}

/// Groups of statuses that mean the same whoever answers; what is retried is the contract's (section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusGroup {
    /// 2xx.
    Success,
    /// 3xx: never followed, the credential would go along.
    Redirect,
    /// 429.
    Throttled,
    /// 408, 425, 5xx.
    Unavailable,
    /// Other 4xx.
    Refused,
    /// What is no final status at all.
    Strange,
}

impl<'a> Call<'a> {
    /// A POST of JSON.
    #[must_use]
    pub fn post_json(uri: &'a Uri, authorization: Option<&'a HeaderValue>, body: Bytes) -> Self {
        // Slack warns without the charset; nobody minds it.
        let content_type = Some("application/json; charset=utf-8");
        Self {
            method: Method::POST,
            uri,
            authorization,
            content_type,
            body,
            max_answer_bytes: MAX_ANSWER_BYTES,
        }
    }

    /// A POST of a form; no charset, of which Slack warns.
    #[must_use]
    pub fn post_form(uri: &'a Uri, authorization: Option<&'a HeaderValue>, body: Bytes) -> Self {
        Self {
            content_type: Some("application/x-www-form-urlencoded"),
            ..Self::post_json(uri, authorization, body)
        }
    }

    /// A GET.
    #[must_use]
    pub fn get(uri: &'a Uri, authorization: Option<&'a HeaderValue>) -> Self {
        Self {
            method: Method::GET,
            uri,
            authorization,
            content_type: None,
            body: Bytes::new(),
            max_answer_bytes: MAX_ANSWER_BYTES,
        }
    }
}

impl Answer {
    /// Whether the status is 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What its status means.
    #[must_use]
    pub fn group(&self) -> StatusGroup {
        match self.status {
            200..=299 => StatusGroup::Success,
            300..=399 => StatusGroup::Redirect,
            429 => StatusGroup::Throttled,
            408 | 425 | 500..=599 => StatusGroup::Unavailable,
            400..=499 => StatusGroup::Refused,
            _ => StatusGroup::Strange,
        }
    }

    /// The body as JSON of a known shape; `None` if it is cut off or something else.
    #[must_use]
    pub fn json<'b, T: serde::Deserialize<'b>>(&'b self) -> Option<T> {
        if self.truncated {
            return None;
        }
        serde_json::from_slice(&self.body).ok()
    }

    /// The body as [`Answer::json`]; of one that is cut off, these fields, as far as they stand there in whole.
    #[must_use]
    pub fn leading<'b, T: serde::Deserialize<'b>>(&'b self, fields: &[&str]) -> Option<T> {
        if self.truncated {
            return prefix::read(&self.body, fields);
        }
        self.json()
    }

    /// The body as text, trimmed; empty if it is cut off or not text.
    #[must_use]
    pub fn text(&self) -> &str {
        if self.truncated {
            return "";
        }
        std::str::from_utf8(&self.body).unwrap_or_default().trim()
    }

    /// Whether the body begins like HTML or XML, which no platform's API answers: a login page, or a gateway's.
    #[must_use]
    pub fn is_page(&self) -> bool {
        let body = self
            .body
            .strip_prefix(b"\xEF\xBB\xBF")
            .unwrap_or(&self.body);
        body.trim_ascii_start().starts_with(b"<")
    }
}

impl WireError {
    /// The failure of a delivery that ended without an answer.
    #[must_use]
    pub fn into_failure(self, platform: &str) -> Failure {
        match self {
            Self::NoAnswer => Failure::Unknown {
                is_answered: false,
                detail: format!("{platform}: {self}; the message may or may not have been posted"),
            },
            Self::Resolve | Self::OffLimits | Self::Connect | Self::Tls => {
                Failure::later(Later::Unreachable, None, format!("{platform}: {self}"))
            }
        }
    }
}
