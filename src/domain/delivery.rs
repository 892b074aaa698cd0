//! What happens to a message on its way: the post to be made, and how an attempt ended.

use std::time::Duration;

use uuid::Uuid;

use super::digest;
use super::message::Message;
use super::options::{Format, Level};
use super::web_url::WebUrl;

/// The id of a message, from its acceptance to its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryId(Uuid);

/// Everything a backend needs to write a post.
#[derive(Debug, Clone)]
pub struct Post {
    /// The message's id; makes idempotency fields unique.
    pub id: DeliveryId,
    /// The text.
    pub message: Message,
    /// A heading, one line.
    pub title: Option<String>,
    /// Where the heading points.
    pub link: Option<WebUrl>,
    /// The colour bar.
    pub level: Option<Level>,
    /// The name the post appears under.
    pub as_name: Option<String>,
    /// Live or literal formatting.
    pub format: Format,
}

/// What a platform says of a post that it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Posted {
    /// The platform's id of the channel.
    pub channel: Option<String>,
    /// The platform's id of the post.
    pub message_id: Option<String>,
    /// Where a person can see it.
    pub link: Option<String>,
    /// How long it wants no other post, if this one has used up a limit.
    pub pause: Option<Duration>,
}

/// How an attempt failed. The `detail` is for the caller: what happened and how to fix it, without the
/// message, a credential or a webhook URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Not delivered, and worth another attempt.
    #[error("{detail}")]
    Later {
        /// Why.
        reason: Later,
        /// What the platform asked for; never try earlier.
        retry_after: Option<Duration>,
        /// For the caller.
        detail: String,
    },
    /// Not delivered, and another attempt would fare no better.
    #[error("{detail}")]
    Refused {
        /// Why.
        reason: Refusal,
        /// The platform's own code.
        platform_code: Option<PlatformCode>,
        /// For the caller.
        detail: String,
    },
    /// Sent without a usable answer: it may have been delivered.
    #[error("{detail}")]
    Unknown {
        /// Whether the platform is known to have answered: a page is of something in front of it.
        is_answered: bool,
        /// For the caller.
        detail: String,
    },
}

/// Why another attempt is worth it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// No connection, or it broke before the request was written.
    Unreachable,
    /// The platform, or our own pace, says not so fast.
    Throttled,
    /// The platform answered that it cannot now.
    Unavailable,
    /// The token of this workspace has run out and is being renewed; other workspaces are not affected.
    Renewing,
}

/// Why another attempt is not worth it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The bot's credentials are refused; the whole backend is affected.
    Credentials,
    /// The credentials of one of several workspaces are refused; the others are not affected.
    Workspace,
    /// The platform does not know the channel, or hides it from the bot.
    UnknownChannel,
    /// The bot may not post there.
    NotAllowed,
    /// The channel is archived or deleted.
    Archived,
    /// More text than the platform takes.
    TooLong,
    /// Anything else that the platform refuses for good.
    Rejected,
    /// The configured URL answers, but is not the platform's API (a redirect, an HTML page).
    Misconfigured,
    /// It waited longer than `DELIVER_MAX_AGE`.
    Expired,
    /// What is stored of it cannot be read.
    Unreadable,
    /// An operator has taken it out.
    Dropped,
}

/// A platform's own error code, made safe to show: at most 80 letters, digits, `._-`, and nothing that could be
/// a credential which the platform repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformCode(String);

impl Post {
    /// A post of this text and nothing else.
    #[must_use]
    pub fn bare(id: DeliveryId, message: Message, format: Format) -> Self {
        Self {
            id,
            message,
            title: None,
            link: None,
            level: None,
            as_name: None,
            format,
        }
    }
}

impl DeliveryId {
    /// A new id; ids sort by the time they were made.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// An id as it was shown.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }

    /// An id for these together, in this order.
    #[must_use]
    pub fn of_all(ids: &[Self]) -> Self {
        let texts: Vec<String> = ids.iter().map(Self::to_string).collect();
        let digest = digest::of_list("folded", texts.iter().map(String::as_str));
        Self(Uuid::from_bytes(digest::first(digest)))
    }

    /// When it was made, in milliseconds since 1970.
    #[must_use]
    pub fn made_ms(self) -> Option<u64> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        Some(seconds.saturating_mul(1000) + u64::from(nanos / 1_000_000))
    }

    /// Appends it as it is shown.
    pub fn push_to(self, out: &mut String) {
        out.push_str(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }

    /// For storing it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// As it was stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl std::fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl serde::Serialize for DeliveryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl PlatformCode {
    const MAX_CHARS: usize = 80;
    /// Codes are words or numbers; longer mixtures of both are ids and tokens.
    const MAX_MIXED_CHARS: usize = 15;

    /// Keeps what is safe of a foreign code; `None` when nothing is left.
    #[must_use]
    pub fn new(raw: &str) -> Option<Self> {
        let safe: String = raw
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
            .take(Self::MAX_CHARS)
            .collect();
        let is_mixed = |word: &str| {
            word.len() > Self::MAX_MIXED_CHARS
                && word.bytes().any(|b| b.is_ascii_digit())
                && word.bytes().any(|b| b.is_ascii_alphabetic())
        };
        let shown = !safe.is_empty() && !safe.split(['.', '_', '-']).any(is_mixed);
        shown.then_some(Self(safe))
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Failure {
    /// A refusal with the platform's code.
    #[must_use]
    pub fn refused(reason: Refusal, platform_code: &str, detail: impl Into<String>) -> Self {
        Self::Refused {
            reason,
            platform_code: PlatformCode::new(platform_code),
            detail: detail.into(),
        }
    }

    /// A passing failure.
    #[must_use]
    pub fn later(reason: Later, retry_after: Option<Duration>, detail: impl Into<String>) -> Self {
        Self::Later {
            reason,
            retry_after,
            detail: detail.into(),
        }
    }

    /// One word for logs and metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Later {
                reason: Later::Unreachable,
                ..
            } => "unreachable",
            Self::Later {
                reason: Later::Throttled,
                ..
            } => "throttled",
            Self::Later {
                reason: Later::Unavailable,
                ..
            } => "unavailable",
            Self::Later {
                reason: Later::Renewing,
                ..
            } => "renewing",
            Self::Unknown { .. } => "unknown",
            Self::Refused {
                reason: Refusal::Credentials,
                ..
            } => "credentials",
            Self::Refused {
                reason: Refusal::Workspace,
                ..
            } => "workspace",
            Self::Refused {
                reason: Refusal::UnknownChannel,
                ..
            } => "unknown-channel",
            Self::Refused {
                reason: Refusal::NotAllowed,
                ..
            } => "not-allowed",
            Self::Refused {
                reason: Refusal::Archived,
                ..
            } => "archived",
            Self::Refused {
                reason: Refusal::TooLong,
                ..
            } => "too-long",
            Self::Refused {
                reason: Refusal::Rejected,
                ..
            } => "rejected",
            Self::Refused {
                reason: Refusal::Misconfigured,
                ..
            } => "misconfigured",
            Self::Refused {
                reason: Refusal::Expired,
                ..
            } => "expired",
            Self::Refused {
                reason: Refusal::Unreadable,
                ..
            } => "unreadable",
            Self::Refused {
                reason: Refusal::Dropped,
                ..
            } => "dropped",
        }
    }

    /// Whether this refuses every post to the backend, until an operator mends it.
    #[must_use]
    pub fn is_of_the_backend(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                reason: Refusal::Credentials | Refusal::Misconfigured,
                ..
            }
        )
    }

    /// Whether another message may well be taken where this one is refused.
    #[must_use]
    pub fn is_of_the_message(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                reason: Refusal::TooLong | Refusal::Rejected,
                ..
            }
        )
    }

    /// Whether it is this channel that takes no posts.
    #[must_use]
    pub fn is_of_the_channel(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                reason: Refusal::UnknownChannel | Refusal::NotAllowed | Refusal::Archived,
                ..
            }
        )
    }

    /// Whether an operator may mend it, so that what is promised waits for that.
    #[must_use]
    pub fn is_of_the_credentials(&self) -> bool {
        let is_of_a_workspace = matches!(
            self,
            Self::Refused {
                reason: Refusal::Workspace,
                ..
            }
        );
        is_of_a_workspace || self.is_of_the_backend()
    }

    /// The platform's own code, if it gave one that is safe to show.
    #[must_use]
    pub fn platform_code(&self) -> Option<&PlatformCode> {
        match self {
            Self::Refused { platform_code, .. } => platform_code.as_ref(),
            Self::Later { .. } | Self::Unknown { .. } => None,
        }
    }

    /// What the platform asked us to wait, if it did.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Later { retry_after, .. } => *retry_after,
            Self::Refused { .. } | Self::Unknown { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_code_cannot_carry_anything_else() {
        assert_eq!(
            PlatformCode::new("not_in_channel").unwrap().as_str(),
            "not_in_channel"
        );
        assert_eq!(PlatformCode::new("a\n\"<b>é").unwrap().as_str(), "ab");
        assert_eq!(PlatformCode::new("<>"), None);
        // E7: what is no code is not repeated.
        assert_eq!(
            PlatformCode::new("Bearer xoxb-1-2-a1b2c3d4e5f6g7h8i9"),
            None
        );
        assert!(PlatformCode::new("AADSTS700016").is_some());
        assert_eq!(
            PlatformCode::new(&"x".repeat(500)).unwrap().as_str().len(),
            80
        );
    }
}
