//! Receipts: what a caller is told about a message.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::backends::Part;
use crate::dispatch::sent::{Reason, Sent};
use crate::dispatch::{Outcome, Ready};
use crate::domain::delivery::{Failure, Later, Posted};
use crate::domain::json::push_members;
use crate::outbox::{Row, State};

/// What a caller is told of a message.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Receipt {
    /// The message's id.
    pub id: String,
    /// `delivered`, `queued`, `failed`, or `dry` when nothing was posted.
    pub status: &'static str,
    /// Why it is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
    /// When it was accepted; only of a receipt that is looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// How many attempts were made; only of a receipt that is looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// What the last attempt that failed ended with; only of a receipt that is looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
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
    pub backend: Cow<'static, str>,
    /// The platform's id of the channel; for a webhook its alias.
    pub channel: String,
    /// `delivered`, `queued`, `failed` or `dry`.
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
    /// Why it failed or waits, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
    /// The platform's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_code: Option<String>,
    /// What happened and how to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How many attempts were made; only of a receipt that is looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// How many of them may have posted without telling.
    #[serde(skip_serializing_if = "is_none_or_zero")]
    pub ambiguous: Option<u32>,
    /// What the last attempt that failed ended with; only of a receipt that is looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many parts a platform took before it refused one.
    #[serde(skip)]
    pub parts_taken: usize,
    /// Of a dry run: the exact JSON of each post.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<Box<RawValue>>,
}

/// What is added where an attempt may have posted what then was not stored.
pub(super) const MAY_BE_POSTED: &str = "; the attempt before may or may not have posted it";

impl Receipt {
    /// The receipt of these deliveries: `queued` if any waits, else `failed` if any is, else what they all are.
    #[must_use]
    pub fn of(deliveries: Vec<Delivery>) -> Self {
        let first = |status| deliveries.iter().find(|d| d.status == status);
        let (status, reason) = match (first("queued"), first("failed"), deliveries.first()) {
            (Some(queued), ..) => ("queued", queued.reason.clone()),
            (_, Some(_), _) => ("failed", None),
            (.., Some(delivery)) => (delivery.status, None),
            _ => ("delivered", None),
        };
        Self {
            status,
            reason,
            deliveries,
            ..Self::default()
        }
    }

    /// The receipt of a message that is looked up, by its rows.
    #[must_use]
    pub fn of_rows(rows: Vec<Row>) -> Self {
        let Some(first) = rows.first() else {
            return Self::default();
        };
        let (id, accepted_ms) = (first.id.to_string(), first.accepted_ms());
        let (replaced, ignored) = (first.replaced as usize, first.ignored.clone());
        let attempts = rows.iter().map(|row| row.delivery.progress.attempts).max();
        let deliveries = rows.into_iter().map(Delivery::of_row).collect();
        let receipt = Self::of(deliveries);
        Self {
            id,
            created_at: Some(rfc3339(accepted_ms)),
            attempts,
            error: receipt.deliveries.iter().find_map(|d| d.error.clone()),
            replaced,
            ignored,
            ..receipt
        }
    }

    /// One line of JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        self.usual_json().unwrap_or_else(|| json_line(self))
    }

    /// The same of one destination that took the message or will get it, which is nearly every receipt: a fifth of the
    /// work.
    fn usual_json(&self) -> Option<Vec<u8>> {
        let Self {
            id,
            status,
            reason,
            created_at: None,
            attempts: None,
            error: None,
            message: None,
            deliveries,
            replaced: 0,
            ignored,
        } = self
        else {
            return None;
        };
        let [
            Delivery {
                backend,
                channel,
                status: own_status,
                message_id,
                link,
                parts: None,
                reason: own_reason,
                platform_code: None,
                detail: None,
                attempts: None,
                ambiguous: None,
                error: None,
                parts_taken: 0,
                requests,
            },
        ] = deliveries.as_slice()
        else {
            return None;
        };
        if !ignored.is_empty() || !requests.is_empty() {
            return None;
        }
        let mut json = Vec::with_capacity(512);
        let members = [
            ("{\"id\":", Some(id.as_str())),
            (",\"status\":", Some(*status)),
            (",\"reason\":", reason.as_deref()),
            (",\"deliveries\":[{\"backend\":", Some(&**backend)),
            (",\"channel\":", Some(channel)),
            (",\"status\":", Some(own_status)),
            (",\"message_id\":", message_id.as_deref()),
            (",\"link\":", link.as_deref()),
            (",\"reason\":", own_reason.as_deref()),
        ];
        push_members(&mut json, &members);
        json.extend_from_slice(b"}]}\n");
        Some(json)
    }

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
            backend: ready.backend.into(),
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
            backend: backend.into(),
            channel: channel.to_owned(),
            ..Self::default()
        }
        .failed(failure, None)
    }

    /// An entry of a delivery with an outbox behind it, and its failure if it ended in one.
    #[must_use]
    pub fn sent(ready: &Ready, sent: &Sent, parts: usize) -> (Self, Option<Failure>) {
        let entry = Self {
            backend: ready.backend.into(),
            channel: ready.recipient.channel().to_owned(),
            ..Self::default()
        };
        match sent {
            Sent::Delivered { posted, .. } => (entry.delivered(posted, parts), None),
            Sent::Queued(reason) => (
                Self {
                    status: "queued",
                    reason: Some(reason.word().into()),
                    ..entry
                },
                None,
            ),
            Sent::Failed {
                failure,
                parts_taken,
                ..
            } => (
                entry.failed(failure, Some((*parts_taken, parts))),
                Some(failure.clone()),
            ),
            Sent::NotStored {
                error,
                may_be_posted,
                ..
            } => {
                let doubt = if *may_be_posted { MAY_BE_POSTED } else { "" };
                let detail = format!("{}{doubt}", error.failure());
                let failure = Failure::later(Later::Unavailable, None, detail);
                (entry.failed(&failure, None), Some(failure))
            }
        }
    }

    /// An entry of a receipt that is looked up.
    #[must_use]
    pub fn of_row(row: Row) -> Self {
        let (to, progress) = (row.delivery.to, row.delivery.progress);
        let is_failed = row.delivery.state == State::Failed;
        Self {
            backend: to.backend.into(),
            channel: progress.channel.unwrap_or(to.target),
            status: match row.delivery.state {
                State::Waiting => "queued",
                State::Delivered => "delivered",
                State::Failed => "failed",
            },
            message_id: progress.message_id,
            link: progress.link,
            reason: match row.delivery.state {
                State::Waiting => Some(Reason::of_word(progress.reason.as_deref()).word().into()),
                State::Delivered => None,
                State::Failed => progress.reason.map(Cow::Owned),
            },
            platform_code: progress.platform_code,
            detail: progress.error.clone().filter(|_| is_failed),
            attempts: Some(progress.attempts),
            ambiguous: Some(progress.ambiguous),
            error: progress.error,
            ..Self::default()
        }
    }

    /// Whether some of the message was posted there, or is promised.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.status != "failed" || self.parts_taken > 0
    }

    /// An entry of a dry run.
    #[must_use]
    pub fn dry(ready: &Ready, parts: &[Part]) -> Self {
        let raw = |part: &Part| {
            let text = std::str::from_utf8(&part.body).unwrap_or("null");
            RawValue::from_string(text.to_owned()).ok()
        };
        Self {
            backend: ready.backend.into(),
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
            reason: Some(failure.word().into()),
            platform_code,
            detail: Some(detail),
            parts_taken: parts.map_or(0, |(taken, _)| taken),
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

/// A time as people and programs read it: UTC, to the second.
pub(super) fn rfc3339(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn is_none_or_zero(n: &Option<u32>) -> bool {
    n.unwrap_or_default() == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}
