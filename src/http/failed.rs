//! From failed deliveries to the problem that says so.

use std::time::Duration;

use crate::domain::delivery::{Failure, PlatformCode, Refusal};

use super::problem::{Code, Problem};
use super::receipt::{Delivery, Receipt};

/// What a caller is told to wait when the platform did not say.
pub(super) const RETRY_AFTER_S: u64 = 5;

/// The problem of a message that was not delivered everywhere.
pub(super) fn failed(receipt: Receipt, failures: &[Failure]) -> Problem {
    let passing = |failure: &Failure| {
        matches!(failure, Failure::Later { .. } | Failure::Unknown { .. }) || has_expired(failure)
    };
    let is_begun = receipt.deliveries.iter().any(Delivery::is_begun);
    let problem = match (receipt.deliveries.len(), failures) {
        (1, [failure]) => Problem {
            platform_code: platform_code(failure),
            ..Problem::new(code_of(failure), detail_of(&receipt))
        },
        (all, _) => {
            let is_passing = failures.len() == all && failures.iter().all(passing);
            let code = if is_passing {
                Code::BackendUnavailable
            } else {
                Code::PartlyRejected
            };
            let detail = summary(&receipt.deliveries);
            Problem {
                deliveries: receipt.deliveries,
                ..Problem::new(code, detail)
            }
        }
    };
    let problem = Problem {
        id: receipt.id,
        is_begun,
        is_in_doubt: failures
            .iter()
            .any(|failure| matches!(failure, Failure::Unknown { .. })),
        ..problem
    };
    if problem.code != Code::BackendUnavailable {
        return problem;
    }
    let asked = failures.iter().filter_map(Failure::retry_after).max();
    problem.retry_after_s(wait_s(asked))
}

/// `Retry-After` for what the platform asked for, if it did.
pub(super) fn wait_s(asked: Option<Duration>) -> u64 {
    asked.map_or(RETRY_AFTER_S, |wait| {
        wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
    })
}

pub(super) fn code_of(failure: &Failure) -> Code {
    match failure {
        Failure::Later { .. } | Failure::Unknown { .. } => Code::BackendUnavailable,
        Failure::Refused {
            reason: Refusal::UnknownChannel,
            ..
        } => Code::UnknownChannel,
        Failure::Refused {
            reason: Refusal::TooLong,
            ..
        } => Code::MessageTooLong,
        _ if has_expired(failure) => Code::BackendUnavailable,
        Failure::Refused { .. } => Code::BackendRejected,
    }
}

/// Whether it only took too long: the platform never said no.
fn has_expired(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Refused {
            reason: Refusal::Expired,
            ..
        }
    )
}

/// The same of a failure that was stored, by its word ([`Failure::word`]).
pub(super) fn code_of_word(word: &str) -> Code {
    match word {
        "unknown-channel" => Code::UnknownChannel,
        "too-long" => Code::MessageTooLong,
        "expired" => Code::BackendUnavailable,
        _ => Code::BackendRejected,
    }
}

pub(super) fn platform_code(failure: &Failure) -> Option<PlatformCode> {
    match failure {
        Failure::Refused { platform_code, .. } => platform_code.clone(),
        Failure::Later { .. } | Failure::Unknown { .. } => None,
    }
}

fn detail_of(receipt: &Receipt) -> String {
    receipt
        .deliveries
        .first()
        .and_then(|d| d.detail.clone())
        .unwrap_or_default()
}

/// Which destinations did not take the message, and the cure of each: a plain line has nothing else that says so.
pub(super) fn summary(deliveries: &[Delivery]) -> String {
    let failed: Vec<_> = deliveries
        .iter()
        .filter(|d| d.status == "failed")
        .map(|d| {
            let why = d.detail.as_deref().or(d.reason.as_deref());
            format!("{}:{} ({})", d.backend, d.channel, why.unwrap_or_default())
        })
        .collect();
    format!(
        "{} of {} destinations did not take the message: {}",
        failed.len(),
        deliveries.len(),
        failed.join("; ")
    )
}
