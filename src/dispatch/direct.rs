//! Delivery without an outbox: within the time that the caller waits, tried again where that is safe.

use std::time::{Duration, Instant};

use crate::backends::Part;
use crate::clock;
use crate::domain::delivery::{Failure, Posted};
use crate::domain::retry::RetryPolicy;

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
    /// Delivers the parts in order; stops at the first that fails. Tries again within the deadline what is
    /// worth it.
    pub async fn deliver(&self, ready: &Ready, parts: &[Part], deadline: Instant) -> Outcome {
        let started = self.shared.clock.now();
        if let Err(failure) = self.has_time_for(ready, parts.len(), started, deadline) {
            self.note(ready, Some(&failure), started);
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
                    self.note(ready, Some(&failure), started);
                    return Outcome {
                        result: Err(failure),
                        parts_taken: index,
                    };
                }
            }
        }
        self.note(ready, None, started);
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
            let sent_at = *first_sent.get_or_insert_with(|| self.shared.clock.now());
            let sent = ready.sender.deliver(&self.wire, &ready.recipient, part);
            let failure = match before(deadline, sent).await {
                Some(Ok(posted)) => {
                    self.hold(ready, &posted);
                    return Ok(posted);
                }
                Some(Err(failure)) => failure,
                None => no_answer_in_time(ready.backend),
            };
            let failure = pacing::with_least_pause(failure, attempt);
            self.shared
                .lanes
                .pause(ready.lane, self.shared.clock.now(), failure.retry_after());
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
        let lanes = &self.shared.lanes;
        loop {
            let now = self.shared.clock.now();
            let not_before = not_before.max(lanes.opens_at(ready.gateway(), now));
            let turn = lanes
                .reserve(ready.lane, ready.pace, now, not_before, latest)
                .map_err(|wait| no_turn(ready.backend, wait))?;
            if turn > now {
                tokio::time::sleep_until(turn.into()).await;
            }
            let now = self.shared.clock.now();
            let is_open = lanes.opens_at(ready.gateway(), now) <= now;
            if is_open && !lanes.is_paused(ready.lane, now) {
                return Ok(());
            }
        }
    }

    /// Keeps what the platform said of its limits when it took a post.
    pub(super) fn hold(&self, ready: &Ready, posted: &Posted) {
        if posted.pause.is_some() {
            let (lanes, now) = (&self.shared.lanes, self.shared.clock.now());
            lanes.hold(ready.lane, ready.gateway(), now, posted.pause);
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
        detail: format!(
            "{backend}: no answer within the time this request waits; the message may or may not have been posted"
        ),
    }
}
