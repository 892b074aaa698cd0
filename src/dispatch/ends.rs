//! What an attempt that ended says: of its gateway, and to the caller.

use std::time::{Duration, Instant};

use super::queue::schedule::Sign;
use crate::domain::delivery::{Failure, Later, Refusal};
use crate::outbox::Row;

/// What the end of an attempt says about its gateway.
pub(super) fn sign(failure: Option<&Failure>) -> Sign {
    match failure {
        Some(Failure::Later {
            reason: Later::Unreachable,
            ..
        }) => Sign::Unreachable,
        Some(
            Failure::Later {
                reason: Later::Unavailable,
                ..
            }
            | Failure::Unknown {
                is_answered: false, ..
            },
        ) => Sign::Troubled,
        Some(Failure::Unknown { .. }) => Sign::Unclear,
        Some(failure) if failure.is_of_the_backend() => Sign::Refusing,
        _ => Sign::Works,
    }
}

/// The result of `future` if it comes before the deadline.
pub(super) async fn before<T>(deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(deadline.into(), future).await.ok()
}

pub(super) fn not_configured(backend: &str) -> Failure {
    let detail = format!("the backend {backend} is not configured on this proxy");
    Failure::Refused {
        reason: Refusal::Misconfigured,
        platform_code: None,
        detail,
    }
}

pub(super) fn no_turn(backend: &str, wait: Duration) -> Failure {
    let detail = format!(
        "{backend}: this channel takes no more messages just now; the next turn is in {} s",
        wait.as_secs() + 1
    );
    Failure::later(Later::Throttled, Some(wait), detail)
}

pub(super) fn look_up_timed_out(backend: &str) -> Failure {
    Failure::later(
        Later::Unavailable,
        None,
        format!("{backend}: it did not answer in time"),
    )
}

pub(super) fn expired(row: &Row) -> Failure {
    let last = row.delivery.progress.error.as_deref();
    let detail = format!(
        "it waited longer than DELIVER_MAX_AGE; the last attempt: {}",
        last.unwrap_or("none")
    );
    Failure::refused(Refusal::Expired, "", detail)
}

pub(super) fn unreadable() -> Failure {
    let detail = "another version of the program stored it in a form that this one does not read; start that version again, or drop this delivery";
    Failure::refused(Refusal::Unreadable, "", detail)
}
