//! One attempt, and what its end means for a delivery: settled, or waiting for how long.

use std::sync::Arc;
use std::time::Duration;

use crate::backends::Part;
use crate::clock;
use crate::domain::delivery::{Failure, Posted};
use crate::domain::retry::RetryPolicy;
use crate::outbox::{Lane, Progress, Row, Settled, State, StoreError};

use super::queue::schedule::Release;
use super::queue::{Ended, Key};
use super::{Desk, Dispatcher, Ready, pacing};

/// How one attempt ended.
pub(super) struct Attempt {
    /// How many parts the platform has now.
    pub taken: usize,
    /// What it said of the first part that this attempt delivered.
    pub posted: Option<Posted>,
    /// How it failed, if it did.
    pub failure: Option<Failure>,
}

/// What an attempt means for its delivery.
pub(super) struct Verdict {
    pub state: State,
    pub progress: Progress,
    pub release: Release,
}

/// How long something promised waits while the backend refuses everything: F-17 asks for 60 to 300 s.
const REFUSING_PAUSE: Duration = Duration::from_secs(60);
/// How long to wait for a store that is busy or full before a settlement is written again.
const STORE_PAUSE: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// One attempt at the parts from `from` on, in order, each tried once. The first one's turn was taken before.
    /// So many `messages` are in them.
    pub(super) async fn attempt(
        &self,
        ready: &Ready,
        parts: &[Part],
        messages: usize,
        from: usize,
        number: u32,
    ) -> Attempt {
        let started = self.shared.clock.now();
        let mut attempt = Attempt {
            taken: from,
            posted: None,
            failure: None,
        };
        for (index, part) in parts.iter().enumerate().skip(from) {
            if index > from
                && let Err(no_turn) = self.next_turn(ready).await
            {
                attempt.failure = Some(no_turn);
                break;
            }
            let begun = self.shared.clock.now();
            let sent = ready.sender.deliver(&self.wire, &ready.recipient, part);
            match sent.await {
                Ok(posted) => {
                    self.took(ready, &posted, begun);
                    attempt.posted.get_or_insert(posted);
                    attempt.taken += 1;
                }
                Err(failure) => {
                    let failure = pacing::with_least_pause(failure, number);
                    self.pause(ready, &failure, begun);
                    attempt.failure = Some(failure);
                    break;
                }
            }
        }
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        self.note(ready, attempt.failure.as_ref(), messages, started);
        attempt
    }

    /// The same, for a future that outlives its request.
    pub(super) async fn attempt_owned(self: Arc<Self>, ready: Ready, parts: Vec<Part>) -> Attempt {
        self.attempt(&ready, &parts, 1, 0, 1).await
    }

    /// Writes what came of an attempt that went on after its caller was answered.
    pub(super) async fn conclude(&self, desk: &Desk, key: Key, ready: &Ready, attempt: Attempt) {
        let now_ms = self.unix_ms();
        let verdict = verdict(&attempt, Progress::default(), 1, true, now_ms);
        let settled = Settled {
            id: key.0,
            place: key.1,
            state: verdict.state,
            progress: verdict.progress,
        };
        let ended = attempt.ended(&settled.progress);
        let written = self.write(desk, vec![settled], None).await;
        desk.queue.let_go(&[key]);
        if written.is_some() && verdict.state != State::Waiting {
            desk.queue.leave(ready.lane, 1);
        }
        // Nobody waits: it was answered before. A repeat of its key may.
        if verdict.state != State::Waiting {
            desk.queue.callers(key).tell(&ended);
        }
        desk.queue
            .stored(ready.lane, verdict.release, self.shared.clock.now());
    }

    /// Writes settlements until the store has taken them, and reads the then first rows of a lane; `None` when it never
    /// will.
    pub(super) async fn write(
        &self,
        desk: &Desk,
        settled: Vec<Settled>,
        next: Option<(Lane, usize)>,
    ) -> Option<Vec<Row>> {
        loop {
            match desk.store.settle(settled.clone(), next).await {
                Ok(rows) => return Some(rows),
                Err(StoreError::Busy | StoreError::Full) => tokio::time::sleep(STORE_PAUSE).await,
                Err(_) => return None,
            }
        }
    }
}

impl Attempt {
    /// The progress of a delivery after this attempt.
    pub(super) fn progress(&self, before: Progress, now_ms: u64) -> Progress {
        let posted = self.posted.clone().unwrap_or_default();
        let failure = self.failure.as_ref();
        let wait = failure.and_then(Failure::retry_after);
        let is_ambiguous = matches!(failure, Some(Failure::Unknown { .. }));
        Progress {
            attempts: before.attempts.saturating_add(1),
            ambiguous: before.ambiguous.saturating_add(u32::from(is_ambiguous)),
            parts_taken: u16::try_from(self.taken).unwrap_or(u16::MAX),
            not_before_ms: wait.map_or(0, |wait| {
                now_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
            }),
            settled_ms: 0,
            channel: before.channel.or(posted.channel),
            message_id: before.message_id.or(posted.message_id),
            link: before.link.or(posted.link),
            reason: failure.map(|failure| failure.word().to_owned()),
            platform_code: failure
                .and_then(Failure::platform_code)
                .map(|code| code.as_str().to_owned()),
            error: failure.map(ToString::to_string),
        }
    }

    /// The progress of a delivery that was in a refused post with others, and waits for an attempt of its own.
    pub(super) fn folded_progress(&self, before: Progress, now_ms: u64) -> Progress {
        let reason = before.reason.clone();
        let after = self.progress(before, now_ms);
        Progress {
            // Of the post, not of this message: it waits for the reason that it waited for before.
            reason,
            platform_code: None,
            error: after
                .error
                .map(|error| format!("in one post with others: {error}")),
            ..after
        }
    }

    /// How it ended, for a caller who waits.
    pub(super) fn ended(&self, progress: &Progress) -> Ended {
        match &self.failure {
            None => Ended::Delivered(Posted {
                channel: progress.channel.clone(),
                message_id: progress.message_id.clone(),
                link: progress.link.clone(),
                pause: None,
            }),
            Some(failure) => Ended::Failed {
                failure: failure.clone(),
                parts_taken: self.taken,
            },
        }
    }
}

/// What an attempt means. `failures` counts those in a row, this one included. What nobody was promised yet ends
/// with a refusal of the credentials; what was promised waits for them to be mended.
pub(super) fn verdict(
    attempt: &Attempt,
    before: Progress,
    failures: u32,
    is_promised: bool,
    now_ms: u64,
) -> Verdict {
    let progress = attempt.progress(before, now_ms);
    let (state, release) = match &attempt.failure {
        None => (State::Delivered, Release::Go),
        Some(failure) if failure.is_of_the_credentials() && is_promised => {
            (State::Waiting, Release::After(REFUSING_PAUSE))
        }
        Some(Failure::Refused { .. }) => (State::Failed, Release::Go),
        Some(failure) => (State::Waiting, delay(failure, failures)),
    };
    let settled_ms = if state == State::Waiting { 0 } else { now_ms };
    Verdict {
        state,
        progress: Progress {
            settled_ms,
            ..progress
        },
        release,
    }
}

/// What is written of a delivery that ends without another attempt, and what its callers are told.
pub(super) fn given_up(row: &Row, failure: Failure, now_ms: u64) -> (Settled, Ended) {
    let before = row.delivery.progress.clone();
    let parts_taken = usize::from(before.parts_taken);
    let settled = Settled {
        id: row.id,
        place: row.delivery.place,
        state: State::Failed,
        progress: Progress {
            settled_ms: now_ms,
            reason: Some(failure.word().to_owned()),
            error: Some(failure.to_string()),
            ..before
        },
    };
    (
        settled,
        Ended::Failed {
            failure,
            parts_taken,
        },
    )
}

/// When a lane goes on after a failure that passes.
pub(super) fn delay(failure: &Failure, failures: u32) -> Release {
    match failure.retry_after() {
        Some(wait) => Release::Pause(wait),
        None => Release::After(RetryPolicy::STANDARD.delay(failures, None, clock::roll())),
    }
}
