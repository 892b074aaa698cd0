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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::wire::{Answer, WireError};
    use crate::backends::{mattermost, slack, teams};

    /// F-9: only what the platform may have posted waits for its own time; a page in front of it is its trouble, which is
    /// probed, so that delivery resumes soon after.
    #[test]
    fn an_odd_answer_is_the_platforms_own_unless_it_is_a_page() {
        let signs = |body: &'static str| {
            let answer = Answer {
                status: 200,
                retry_after: None,
                body: body.into(),
                truncated: false,
            };
            [
                mattermost::answer::classify(&answer).map(drop),
                mattermost::answer::classify_hook(&answer),
                slack::classify(&answer).map(drop),
                slack::classify_webhook(&answer),
                teams::answer::classify(&answer).map(drop),
            ]
            .map(|end| sign(end.as_ref().err()))
        };

        assert_eq!(signs("{\"odd\":1"), [Sign::Unclear; 5]);
        assert_eq!(signs("<html>Sign in</html>"), [Sign::Troubled; 5]);
        let silence = WireError::NoAnswer.into_failure("slack");
        assert_eq!(sign(Some(&silence)), Sign::Troubled);
    }
}
