//! The words for why a message waits.

use super::*;
use crate::domain::delivery::{Later, Refusal};

#[test]
fn a_receipt_says_in_the_contracts_words_why_a_message_waits() {
    let later = |reason| Failure::later(reason, None, "no");
    let refused = |reason| Failure::refused(reason, "", "no");
    let unknown = Failure::Unknown {
        is_answered: true,
        detail: "perhaps".to_owned(),
    };

    for (failure, reason) in [
        (later(Later::Throttled), Reason::BackendThrottled),
        (later(Later::Unreachable), Reason::BackendUnavailable),
        (later(Later::Unavailable), Reason::BackendUnavailable),
        (unknown, Reason::BackendUnavailable),
        // Only what was promised waits after these.
        (refused(Refusal::Credentials), Reason::BackendUnavailable),
        (refused(Refusal::Misconfigured), Reason::BackendUnavailable),
    ] {
        assert_eq!(Reason::of(&failure), reason, "{failure:?}");
    }
}

#[test]
fn the_word_of_a_promise_survives_being_stored() {
    for reason in [
        Reason::Async,
        Reason::BackendUnavailable,
        Reason::BackendThrottled,
        Reason::BehindEarlierMessages,
    ] {
        let stored = progress_of(reason).reason;
        assert_eq!(Reason::of_word(stored.as_deref()), reason);
    }
    assert_eq!(Reason::of_word(None), Reason::BehindEarlierMessages);
}
