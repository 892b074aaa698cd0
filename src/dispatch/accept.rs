//! A message that is stored before anything is tried: the caller does not wait, or has an idempotency key. And what is
//! stored beside and after.

use std::time::Instant;

use futures_util::future::join_all;

use crate::domain::channel::Destination;
use crate::domain::delivery::{DeliveryId, Failure};
use crate::outbox::{self, Appended, Progress, Row, State, StoreError};

use super::queue::schedule::Release;
use super::queue::{Caller, Room};
use super::send::{Letter, message, progress_of, waiting};
use super::sent::{NotStored, Reason, Sent};
use super::settle::Attempt;
use super::{Desk, Dispatcher, Ready, stored};

/// What storing a whole message came to.
pub enum Accepted {
    /// Each destination's state.
    New(Vec<Sent>),
    /// The idempotency key belongs to a message already.
    Known {
        /// That message.
        id: DeliveryId,
        /// Whether it is the same request.
        same: bool,
    },
}

/// A destination that nobody knows by its name: nothing can be posted there, and the receipt must say so.
pub struct Unfound {
    /// The name, in place of what would be posted to.
    pub ready: Ready,
    /// That it was refused.
    pub sent: Sent,
}

impl Dispatcher {
    /// A destination whose name was refused, for the receipt; `None` if it is none.
    #[must_use]
    pub fn unfound(&self, to: &Destination, failure: &Failure) -> Option<Unfound> {
        Some(Unfound {
            ready: self.named(to)?,
            sent: Sent::Failed {
                failure: failure.clone(),
                parts_taken: 0,
                is_promised: false,
                is_stored: false,
            },
        })
    }

    /// Stores a message for all its destinations in one transaction, then waits for each, unless `is_async`.
    /// Those of `unfound` have ended.
    ///
    /// # Errors
    /// [`NotStored`]: nothing of it is.
    pub async fn accept(
        &self,
        letter: &Letter<'_>,
        ready: &[(u16, &Ready)],
        unfound: &[(u16, Unfound)],
        is_async: bool,
        deadline: Instant,
    ) -> Result<Accepted, NotStored> {
        let Some(desk) = &self.desk else {
            return Err(StoreError::Closed.into());
        };
        let is_open = |ready: &Ready| desk.queue.is_open(ready.lane, ready.gateway());
        let reason = |ready: &Ready| match (is_async, is_open(ready)) {
            (true, _) => Reason::Async,
            (false, true) => Reason::BackendUnavailable,
            (false, false) => Reason::BehindEarlierMessages,
        };
        let reasons: Vec<Reason> = ready.iter().map(|(_, ready)| reason(ready)).collect();
        let keys = || ready.iter().map(|(place, _)| (letter.post.id, *place));
        let callers: Vec<Caller> = if is_async {
            Vec::new()
        } else {
            keys().map(|key| desk.queue.expect(key)).collect()
        };
        let room = if is_async { Room::Max } else { Room::Spare };
        let now_ms = self.unix_ms();
        let entries = ready
            .iter()
            .zip(&reasons)
            .map(|((place, ready), reason)| waiting(*place, ready, progress_of(*reason)));
        // With nothing to deliver there is nothing to tell of either.
        let unfound = unfound.iter().filter(|_| !ready.is_empty());
        let unfound =
            unfound.filter_map(|(place, one)| settled(*place, &one.ready, &one.sent, now_ms));
        let message = message(letter, entries.chain(unfound).collect(), now_ms);
        let stored = match self.store(desk, message, Release::Go, room).await {
            // For one more, and this may be none.
            Err(NotStored::Full) => self.known(desk, letter).await,
            stored => stored,
        };
        if !matches!(stored, Ok(Appended::Stored)) {
            for caller in &callers {
                desk.queue.promise(caller);
            }
        }
        if let Appended::Known { id, same } = stored? {
            return Ok(Accepted::Known { id, same });
        }
        if is_async {
            let queued = reasons.into_iter().map(Sent::Queued).collect();
            return Ok(Accepted::New(queued));
        }
        for ((_, ready), reason) in ready.iter().zip(&reasons) {
            // Somebody waits, and would be told at once without a key, also while its gateway is held back.
            if *reason == Reason::BackendUnavailable && !ready.is_named {
                desk.queue.hurry(ready.lane);
            }
        }
        let waits = callers
            .into_iter()
            .zip(reasons)
            .map(|(caller, reason)| desk.outcome(caller, reason, deadline));
        Ok(Accepted::New(join_all(waits).await))
    }

    /// What has the idempotency key of a message for which there is no room.
    async fn known(&self, desk: &Desk, letter: &Letter<'_>) -> Result<Appended, NotStored> {
        let once = letter.once.clone().ok_or(NotStored::Full)?;
        let known = desk.store.find_once(once, self.unix_ms()).await?;
        known.ok_or(NotStored::Full)
    }

    /// Stores how the other destinations of a message ended of which one is stored, so that its receipt is whole.
    ///
    /// # Errors
    /// [`NotStored`].
    pub async fn record(
        &self,
        letter: &Letter<'_>,
        ended: Vec<(u16, &Ready, &Sent)>,
    ) -> Result<(), NotStored> {
        let Some(desk) = &self.desk else {
            return Err(StoreError::Closed.into());
        };
        let now_ms = self.unix_ms();
        let deliveries: Vec<outbox::Delivery> = ended
            .into_iter()
            .filter_map(|(place, ready, sent)| settled(place, ready, sent, now_ms))
            .collect();
        if deliveries.is_empty() {
            return Ok(());
        }
        let appended = desk.append(message(letter, deliveries, now_ms), now_ms);
        appended.await.map(|_| ())
    }

    /// Frees the idempotency key of a message of which nothing was posted or promised.
    ///
    /// # Errors
    /// [`NotStored`].
    pub async fn free_key(&self, id: DeliveryId) -> Result<(), NotStored> {
        match &self.desk {
            Some(desk) => Ok(desk.store.release_once(id).await?),
            None => Err(StoreError::Closed.into()),
        }
    }

    /// The rows of a message that was stored before, after waiting for those of its deliveries that wait. Those that wait
    /// on do so for the reason that this caller is to be told.
    ///
    /// # Errors
    /// [`NotStored`].
    pub async fn recall(
        &self,
        id: DeliveryId,
        is_async: bool,
        deadline: Instant,
    ) -> Result<Vec<Row>, NotStored> {
        let Some(desk) = &self.desk else {
            return Err(StoreError::Closed.into());
        };
        let rows = desk.store.find(id).await?;
        let callers: Vec<(u16, Caller)> = rows
            .iter()
            .filter(|row| row.delivery.state == State::Waiting)
            .map(|row| row.delivery.place)
            .map(|place| (place, desk.queue.expect_again((id, place))))
            .collect();
        if callers.is_empty() {
            return Ok(rows);
        }
        // Again: what ended before it was expected would never be told.
        let rows = desk.store.find(id).await?;
        let waits_on = |place: u16| {
            rows.iter()
                .any(|row| row.delivery.place == place && row.delivery.state == State::Waiting)
        };
        let waits = callers.into_iter().map(|(place, caller)| async move {
            if waits_on(place) {
                let reason = Reason::BackendUnavailable;
                desk.outcome(caller, reason, deadline).await;
            } else {
                desk.queue.promise(&caller);
            }
        });
        join_all(waits).await;
        let mut rows = desk.store.find(id).await?;
        for row in &mut rows {
            if row.delivery.state == State::Waiting && row.delivery.progress.attempts == 0 {
                let reason = desk.reason_to_repeat(row, is_async);
                row.delivery.progress.reason = Some(reason.word().to_owned());
            }
        }
        Ok(rows)
    }
}

impl Desk {
    /// Why a message that was not tried to an end yet waits: what it was stored with is why its first caller was, or
    /// would have been, told that it does.
    fn reason_to_repeat(&self, row: &Row, is_async: bool) -> Reason {
        if is_async {
            return Reason::Async;
        }
        match Reason::of_word(row.delivery.progress.reason.as_deref()) {
            Reason::Async if self.queue.is_held((row.id, row.delivery.place)) => {
                Reason::BackendUnavailable
            }
            Reason::Async if self.queue.is_throttled(row.delivery.lane) => Reason::BackendThrottled,
            Reason::Async => Reason::BehindEarlierMessages,
            stored => stored,
        }
    }
}

/// The row of a delivery that has ended, or for which there was no room beside others that wait; `None` for one that
/// has a row already.
fn settled(place: u16, ready: &Ready, sent: &Sent, now_ms: u64) -> Option<outbox::Delivery> {
    if sent.is_stored() {
        return None;
    }
    let attempt = match sent {
        Sent::Delivered { posted, .. } => Attempt {
            taken: 0,
            posted: Some(posted.clone()),
            failure: None,
        },
        Sent::Failed {
            failure,
            parts_taken,
            ..
        } => Attempt {
            taken: *parts_taken,
            posted: None,
            failure: Some(failure.clone()),
        },
        Sent::NotStored { error, .. } => Attempt {
            taken: 0,
            posted: None,
            failure: Some(error.failure()),
        },
        Sent::Queued(_) => return None,
    };
    let mut progress = attempt.progress(Progress::default(), now_ms);
    progress.settled_ms = now_ms;
    if let Sent::NotStored {
        attempts,
        may_be_posted,
        ..
    } = sent
    {
        progress.attempts = *attempts;
        progress.ambiguous = u32::from(*may_be_posted);
    }
    Some(outbox::Delivery {
        place,
        lane: ready.lane,
        to: stored::address(ready),
        state: if attempt.failure.is_none() {
            State::Delivered
        } else {
            State::Failed
        },
        progress,
    })
}
