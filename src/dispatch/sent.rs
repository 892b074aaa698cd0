//! What became of a message by the time its caller is answered.

use crate::domain::delivery::{Failure, Later, Posted};
use crate::outbox::StoreError;

/// What became of a message at one destination by the time the caller is answered.
#[derive(Debug, Clone)]
pub enum Sent {
    /// The platform has it.
    Delivered {
        /// What it said of it.
        posted: Posted,
        /// Whether the outbox has it as well.
        is_stored: bool,
    },
    /// The platform refused it for good.
    Failed {
        /// Why.
        failure: Failure,
        /// How many parts were taken before.
        parts_taken: usize,
        /// Whether another caller was told 202 before.
        is_promised: bool,
        /// Whether the outbox has it.
        is_stored: bool,
    },
    /// It is on stable storage and will be delivered.
    Queued(Reason),
    /// Neither: the outbox did not take it.
    NotStored {
        /// Why.
        error: NotStored,
        /// How often it was tried before.
        attempts: u32,
        /// Whether such an attempt may have posted it.
        may_be_posted: bool,
    },
}

impl Sent {
    /// Whether the outbox has an entry of it.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        match self {
            Self::Delivered { is_stored, .. } | Self::Failed { is_stored, .. } => *is_stored,
            Self::Queued(_) => true,
            Self::NotStored { .. } => false,
        }
    }
}

/// Why a message waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The caller asked not to wait.
    Async,
    /// The platform cannot be reached, or has not answered in time.
    BackendUnavailable,
    /// The platform, or the pace, says not so fast.
    BackendThrottled,
    /// Others wait for the same destination.
    BehindEarlierMessages,
}

/// Why the outbox did not take a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    /// `OUTBOX_MAX` deliveries wait.
    #[error("the outbox is full")]
    Full,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotStored {
    /// How a destination ended whose message has no room, beside others that have it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let detail = format!("it could not be delivered now, and not stored: {self}");
        Failure::later(Later::Unavailable, None, detail)
    }
}

impl Reason {
    /// The word in receipts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::BackendUnavailable => "backend-unavailable",
            Self::BackendThrottled => "backend-throttled",
            Self::BehindEarlierMessages => "behind-earlier-messages",
        }
    }

    /// Why a message waits, by what is stored of it: the word it was promised with, or that of its last failure.
    #[must_use]
    pub fn of_word(stored: Option<&str>) -> Self {
        match stored {
            Some("async") => Self::Async,
            Some("throttled" | "backend-throttled") => Self::BackendThrottled,
            Some("behind-earlier-messages") | None => Self::BehindEarlierMessages,
            Some(_) => Self::BackendUnavailable,
        }
    }

    /// Why a message waits after this failure.
    #[must_use]
    pub fn of(failure: &Failure) -> Self {
        Self::of_word(Some(failure.word()))
    }
}
