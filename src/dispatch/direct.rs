//! Delivery without an outbox: within the time that the caller waits, tried again where that is safe.

use std::time::{Duration, Instant};

use crate::backends::Part;
use crate::clock;
use crate::domain::channel::Destination;
use crate::domain::delivery::{Failure, Later, Posted};
use crate::domain::retry::RetryPolicy;

use super::pacing::Slowed;
use super::{Dispatcher, Outcome, Ready, before, no_turn, pacing};

/// How long after its first attempt a part may be sent again although it may have been posted. Mattermost
/// recognises a repeat for 30 s after it saved the first (reference, section 5); this stays well inside.
const REPEATS_RECOGNISED_FOR: Duration = Duration::from_secs(25);

/// An attempt is begun only while this is left of the caller's wait: one that the deadline cuts off may have
/// posted, and the caller who is told so sends it again. Platforms answer within it on most days.
const LEAST_FOR_AN_ATTEMPT: Duration = Duration::from_millis(300);

/// No platform's `Retry-After` is taken for longer (contract, section 4).
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

impl Dispatcher {
    /// Finds the backend and looks up the name, again within the deadline where that is worth it.
    pub(super) async fn ready_in_time(
        &self,
        destination: &Destination,
        deadline: Instant,
    ) -> Result<Ready, Failure> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let failure = match self.ready(destination, deadline).await {
                Err(failure @ Failure::Later { .. }) => failure,
                answer => return answer,
            };
            let wait = failure.retry_after();
            let delay = RetryPolicy::STANDARD.delay(attempt, wait, clock::roll());
            let until = self.shared.clock.now() + delay;
            if until + LEAST_FOR_AN_ATTEMPT >= deadline {
                return Err(failure);
            }
            tokio::time::sleep_until(until.into()).await;
        }
    }

    /// Delivers the parts in order; stops at the first that fails. Tries again within the deadline what is
    /// worth it.
    pub async fn deliver(&self, ready: &Ready, parts: &[Part], deadline: Instant) -> Outcome {
        let started = self.shared.clock.now();
        if let Err(failure) = self.has_time_for(ready, parts.len(), started, deadline) {
            self.note(ready, Some(&failure), 1, started);
            return Outcome {
                result: Err(failure),
                parts_taken: 0,
            };
        }
        let mut first = None;
        for (index, part) in parts.iter().enumerate() {
            match self.deliver_part(ready, part, deadline).await {
                Ok(posted) => {
                    first.get_or_insert(posted);
                }
                Err(failure) => {
                    self.note(ready, Some(&failure), 1, started);
                    return Outcome {
                        result: Err(failure),
                        parts_taken: index,
                    };
                }
            }
        }
        self.note(ready, None, 1, started);
        Outcome {
            result: Ok(first.unwrap_or_default()),
            parts_taken: parts.len(),
        }
    }

    /// A long message whose last part would come too late is refused whole, not broken off half-way.
    fn has_time_for(
        &self,
        ready: &Ready,
        parts: usize,
        now: Instant,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let last = self
            .shared
            .lanes
            .last_turn(ready.lane, ready.pace, parts, now);
        if parts > 1 && last >= deadline {
            return Err(no_turn(ready.backend, last.saturating_duration_since(now)));
        }
        Ok(())
    }

    async fn deliver_part(
        &self,
        ready: &Ready,
        part: &Part,
        deadline: Instant,
    ) -> Result<Posted, Failure> {
        let mut latest = deadline
            .checked_sub(LEAST_FOR_AN_ATTEMPT)
            .unwrap_or(deadline);
        let mut attempt = 0;
        let mut first_sent = None;
        let mut last = None;
        let mut not_before = self.shared.clock.now();
        loop {
            attempt += 1;
            if let Err(no_turn) = self.take_turn(ready, not_before, latest).await {
                // Why the attempt before failed says more than that there is no time for another.
                return Err(last.unwrap_or(no_turn));
            }
            let begun = self.shared.clock.now();
            let sent_at = *first_sent.get_or_insert(begun);
            let sent = ready.sender.deliver(&self.wire, &ready.recipient, part);
            let failure = match before(deadline, sent).await {
                Some(Ok(posted)) => {
                    self.took(ready, &posted, begun);
                    return Ok(posted);
                }
                Some(Err(failure)) => failure,
                None => no_answer_in_time(ready.backend),
            };
            let failure = pacing::with_least_pause(failure, attempt);
            self.pause(ready, &failure, begun);
            let Some(delay) = delay_before_retry(ready, &failure, attempt) else {
                return Err(failure);
            };
            let until = self.shared.clock.now() + delay;
            if matches!(failure, Failure::Unknown { .. }) {
                // For all attempts to come, also behind one that surely failed: this one may have posted.
                latest = latest.min(sent_at + REPEATS_RECOGNISED_FOR);
            }
            if until >= latest {
                return Err(failure);
            }
            last = Some(failure);
            // The turn is taken at once, so that those who come or wait meanwhile are behind this one.
            not_before = until;
        }
    }

    /// Waits for the turn of a further part, however long: what is begun is finished.
    pub(super) async fn next_turn(&self, ready: &Ready) -> Result<(), Failure> {
        let now = self.shared.clock.now();
        self.take_turn(ready, now, now + LONGEST_PAUSE).await
    }

    /// Waits for the destination's pace and pauses, also for a pause that begins meanwhile, but not until `latest`.
    async fn take_turn(
        &self,
        ready: &Ready,
        not_before: Instant,
        latest: Instant,
    ) -> Result<(), Failure> {
        let (lanes, account) = (&self.shared.lanes, ready.account());
        loop {
            let now = self.shared.clock.now();
            let not_before = not_before.max(lanes.opens_at(&account, now));
            let turn = lanes
                .reserve(ready.lane, ready.pace, now, not_before, latest)
                .map_err(|wait| no_turn(ready.backend, wait))?;
            if turn > now {
                tokio::time::sleep_until(turn.into()).await;
            }
            let now = self.shared.clock.now();
            let is_open = lanes.opens_at(&account, now) <= now;
            if is_open && !lanes.is_paused(ready.lane, now) {
                return Ok(());
            }
        }
    }

    /// Keeps what the platform said of its limits when it took a post that was begun then.
    pub(super) fn took(&self, ready: &Ready, posted: &Posted, begun: Instant) {
        let (lanes, now) = (&self.shared.lanes, self.shared.clock.now());
        lanes.took(ready.lane, &ready.account(), begun, now, posted.pause);
    }

    /// Keeps what the platform asked for when it did not take a post that was begun then.
    pub(super) fn pause(&self, ready: &Ready, failure: &Failure, begun: Instant) {
        let (lanes, at) = (&self.shared.lanes, self.shared.clock.now());
        match failure {
            Failure::Later {
                reason: Later::Throttled,
                retry_after: Some(wait),
                ..
            } => {
                let (lane, wait) = (ready.lane, *wait);
                lanes.slow_down(&ready.account(), Slowed { lane, at, wait }, begun);
            }
            _ => lanes.pause(ready.lane, at, failure.retry_after()),
        }
    }
}

/// How long to wait before the next attempt, if one is worth it. What may have been posted is tried again
/// only where the platform recognises the repeat: without an outbox the caller decides about the rest.
fn delay_before_retry(ready: &Ready, failure: &Failure, attempt: u32) -> Option<Duration> {
    match failure {
        Failure::Later { retry_after, .. } => {
            Some(RetryPolicy::STANDARD.delay(attempt, *retry_after, clock::roll()))
        }
        Failure::Unknown { .. } if ready.sender.recognises_repeats() => {
            Some(RetryPolicy::STANDARD.delay(attempt, None, clock::roll()))
        }
        Failure::Unknown { .. } | Failure::Refused { .. } => None,
    }
}

fn no_answer_in_time(backend: &str) -> Failure {
    Failure::Unknown {
        is_answered: false,
        detail: format!(
            "{backend}: no answer within the time this request waits; the message may or may not have been posted"
        ),
    }
}
