//! Receipts: what a caller is told about a message.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::backends::Part;
use crate::dispatch::{Outcome, Ready};
use crate::domain::delivery::{Failure, Posted};

/// The answer to a message that was delivered.
#[derive(Debug, Clone, Serialize)]
pub struct Receipt {
    /// The message's id.
    pub id: String,
    /// `delivered`, or `dry` when nothing was posted.
    pub status: &'static str,
    /// The message as decoded and cleaned; only of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// One entry for each destination.
    pub deliveries: Vec<Delivery>,
    /// How many characters of the message became U+FFFD.
    #[serde(skip_serializing_if = "is_zero")]
    pub replaced: usize,
    /// Query names that mean nothing here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
}

/// What became of the message at one destination.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Delivery {
    /// The backend's name.
    pub backend: &'static str,
    /// The platform's id of the channel; for a webhook its alias.
    pub channel: String,
    /// `delivered`, `failed` or `dry`.
    pub status: &'static str,
    /// The platform's id of the (first) post.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Where a person can see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// How many posts the message took, if more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<usize>,
    /// Why it failed, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The platform's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_code: Option<String>,
    /// What happened and how to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Of a dry run: the exact JSON of each post.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<Box<RawValue>>,
}

impl Receipt {
    /// One plain line.
    #[must_use]
    pub fn to_line(&self) -> String {
        let places: Vec<_> = self
            .deliveries
            .iter()
            .map(|d| format!("{}:{}", d.backend, d.channel))
            .collect();
        format!("{} {} {}\n", self.status, self.id, places.join(" "))
    }
}

impl Delivery {
    /// An entry for a delivery that was tried.
    #[must_use]
    pub fn tried(ready: &Ready, outcome: &Outcome, parts: usize) -> Self {
        let entry = Self {
            backend: ready.backend,
            channel: ready.recipient.channel().to_owned(),
            ..Self::default()
        };
        match &outcome.result {
            Ok(posted) => entry.delivered(posted, parts),
            Err(failure) => entry.failed(failure, Some((outcome.parts_taken, parts))),
        }
    }

    /// An entry for a destination that could not even be tried.
    #[must_use]
    pub fn untried(backend: &'static str, channel: &str, failure: &Failure) -> Self {
        Self {
            backend,
            channel: channel.to_owned(),
            ..Self::default()
        }
        .failed(failure, None)
    }

    /// An entry of a dry run.
    #[must_use]
    pub fn dry(ready: &Ready, parts: &[Part]) -> Self {
        let raw = |part: &Part| {
            let text = std::str::from_utf8(&part.body).unwrap_or("null");
            RawValue::from_string(text.to_owned()).ok()
        };
        Self {
            backend: ready.backend,
            channel: ready.recipient.channel().to_owned(),
            status: "dry",
            requests: parts.iter().filter_map(raw).collect(),
            ..Self::default()
        }
    }

    fn delivered(self, posted: &Posted, parts: usize) -> Self {
        Self {
            status: "delivered",
            channel: posted.channel.clone().unwrap_or(self.channel),
            message_id: posted.message_id.clone(),
            link: posted.link.clone(),
            parts: (parts > 1).then_some(parts),
            ..self
        }
    }

    fn failed(self, failure: &Failure, parts: Option<(usize, usize)>) -> Self {
        let platform_code = match failure {
            Failure::Refused {
                platform_code: Some(code),
                ..
            } => Some(code.as_str().to_owned()),
            _ => None,
        };
        let detail = match parts {
            Some((taken, all)) if taken > 0 => {
                format!("{taken} of {all} parts were posted, then: {failure}")
            }
            _ => failure.to_string(),
        };
        Self {
            status: "failed",
            reason: Some(failure.word()),
            platform_code,
            detail: Some(detail),
            ..self
        }
    }
}

/// A value as one line of JSON.
pub(super) fn json_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}
