//! A post with an outbox behind it: tried at once where nothing waits, else stored and delivered by the courier while
//! the caller waits, as long as it likes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, FutureExt as _, LocalBoxFuture, select};
use tokio::sync::oneshot;

use crate::backends::Part;
use crate::domain::channel::{Address, Destination};
use crate::domain::delivery::{Failure, Post};
use crate::outbox::{self, Appended, Lane, Message, Once, Progress, State, StoreError};

use super::queue::schedule::{Gateway, Release};
use super::queue::{Caller, Ended, Key, Room, Told};
use super::sent::{NotStored, Reason, Sent};
use super::settle::{Attempt, delay};
use super::{Bell, Desk, Dispatcher, Phase, Ready, stored};

/// A message on its way to the outbox.
pub struct Letter<'a> {
    /// What is posted.
    pub post: &'a Post,
    /// The caller's name.
    pub caller: &'a str,
    /// Query names that mean nothing, for the receipt.
    pub ignored: &'a [String],
    /// The idempotency key.
    pub once: Option<Once>,
}

/// How long the store may take to answer.
const STORE_DEADLINE: Duration = Duration::from_secs(5);

impl Dispatcher {
    /// Finds the backend and looks up the name. With an outbox, a name that cannot be looked up now is kept as it
    /// is, and so is one behind others that wait for it; without one it is looked up again while there is time.
    ///
    /// # Errors
    /// What [`Dispatcher::ready`] says.
    pub async fn aim(
        &self,
        destination: &Destination,
        deadline: Instant,
    ) -> Result<Ready, Failure> {
        let Some(desk) = &self.desk else {
            return self.ready_in_time(destination, deadline).await;
        };
        if matches!(destination.address, Address::Webhook(_)) {
            return self.ready(destination, deadline).await;
        }
        let Some(named) = self.named(destination) else {
            return self.ready(destination, deadline).await;
        };
        if !desk.queue.is_clear(named.lane) {
            return Ok(named);
        }
        match self.ready(destination, deadline).await {
            Err(Failure::Later { .. } | Failure::Unknown { .. }) => Ok(named),
            answer => answer,
        }
    }

    /// Delivers to one destination, or stores the message for it.
    pub async fn send(
        self: Arc<Self>,
        letter: &Letter<'_>,
        place: u16,
        ready: &Ready,
        parts: &[Part],
        deadline: Instant,
    ) -> Sent {
        let Some(desk) = &self.desk else {
            return Sent::NotStored {
                error: StoreError::Closed.into(),
                attempts: 0,
                may_be_posted: false,
            };
        };
        let now = self.shared.clock.now();
        // Boxed: most messages are delivered at once, and need not be as large as those that are stored.
        let queue = |progress, release, reason| {
            let place = (place, ready, progress);
            Box::pin(self.queue(desk, letter, place, release, reason, deadline))
        };
        if !desk.queue.is_open(ready.lane, ready.gateway()) {
            let behind = Reason::BehindEarlierMessages;
            return queue(Progress::default(), Release::Go, behind).await;
        }
        if ready.is_named {
            let later = Reason::BackendUnavailable;
            return queue(Progress::default(), Release::Go, later).await;
        }
        let lanes = &self.shared.lanes;
        let opens = lanes.opens_at(&ready.account(), now);
        if let Err(wait) = lanes.reserve(ready.lane, ready.pace, now, opens, now) {
            let throttled = Reason::BackendThrottled;
            return queue(Progress::default(), Release::Pause(wait), throttled).await;
        }
        let attempt = Box::pin(Arc::clone(&self).attempt_owned(ready.clone(), parts.to_vec()));
        let patience = std::pin::pin!(self.wait(desk, deadline));
        match select(attempt, patience).await {
            Either::Left((attempt, _)) => match attempt.failure {
                None => Sent::Delivered {
                    posted: attempt.posted.unwrap_or_default(),
                    is_stored: false,
                },
                Some(failure @ Failure::Refused { .. }) => Sent::Failed {
                    failure,
                    parts_taken: attempt.taken,
                    is_promised: false,
                    is_stored: false,
                },
                Some(ref failure) => {
                    let reason = Reason::of(failure);
                    let release = delay(failure, 1);
                    let now_ms = self.unix_ms();
                    let progress = attempt.progress(Progress::default(), now_ms);
                    queue(progress, release, reason).await
                }
            },
            Either::Right(((), attempt)) => {
                let dispatcher = Arc::clone(&self);
                Box::pin(dispatcher.store_in_flight(desk, letter, place, ready, attempt)).await
            }
        }
    }

    /// Ready at the deadline, or when the process waits for no platform any more.
    async fn wait(&self, desk: &Desk, deadline: Instant) {
        let over = self.over.get_or_init(|| {
            let queue = Arc::clone(&desk.queue);
            Bell::after(async move { queue.reached(Phase::Over).await })
        });
        // Either way the wait is over.
        drop(tokio::time::timeout_at(deadline.into(), over.rung()).await);
    }

    /// Stores a message whose attempt is under way; both go on whatever becomes of the caller.
    async fn store_in_flight(
        self: Arc<Self>,
        desk: &Desk,
        letter: &Letter<'_>,
        place: u16,
        ready: &Ready,
        attempt: LocalBoxFuture<'static, Attempt>,
    ) -> Sent {
        let key = (letter.post.id, place);
        // It is new, so nobody else holds it.
        let _held = desk.queue.hold(&[key]);
        let entry = waiting(place, ready, progress_of(Reason::BackendUnavailable));
        let message = message(letter, vec![entry], self.unix_ms());
        let (desk, ready) = (desk.clone(), ready.clone());
        let (reply, stored) = oneshot::channel();
        self.background.send_modify(|count| *count += 1);
        tokio::task::spawn_local(async move {
            let stored = self.store(&desk, message, Release::Absent, Room::Max).await;
            let is_stored = stored.is_ok();
            drop(reply.send(stored));
            if is_stored {
                self.go_on(&desk, key, &ready, attempt).await;
            }
            desk.queue.let_go(&[key]);
            self.background.send_modify(|count| *count -= 1);
        });
        match stored.await {
            Ok(Ok(_)) => Sent::Queued(Reason::BackendUnavailable),
            Ok(Err(error)) => Sent::NotStored {
                error,
                attempts: 1,
                may_be_posted: true,
            },
            Err(_) => Sent::NotStored {
                error: StoreError::Closed.into(),
                attempts: 1,
                may_be_posted: true,
            },
        }
    }

    async fn go_on(
        &self,
        desk: &Desk,
        key: Key,
        ready: &Ready,
        attempt: LocalBoxFuture<'static, Attempt>,
    ) {
        match AssertUnwindSafe(attempt).catch_unwind().await {
            Ok(attempt) => self.conclude(desk, key, ready, attempt).await,
            Err(_) => {
                tracing::error!("a delivery panicked; it is tried again");
                desk.queue.let_go(&[key]);
                let now = self.shared.clock.now();
                desk.queue.stored(ready.lane, Release::Go, now);
            }
        }
    }

    async fn queue(
        &self,
        desk: &Desk,
        letter: &Letter<'_>,
        (place, ready, progress): (u16, &Ready, Progress),
        release: Release,
        reason: Reason,
        deadline: Instant,
    ) -> Sent {
        let key = (letter.post.id, place);
        // Before it is stored, so that it cannot end unseen.
        let caller = desk.queue.expect(key);
        let progress = Progress {
            reason: progress.reason.or(progress_of(reason).reason),
            ..progress
        };
        let (attempts, may_be_posted) = (progress.attempts, progress.ambiguous > 0);
        let entry = waiting(place, ready, progress);
        let message = message(letter, vec![entry], self.unix_ms());
        let stored = self.store(desk, message, release, Room::Max).await;
        if let Err(error) = stored {
            desk.queue.promise(&caller);
            return Sent::NotStored {
                error,
                attempts,
                may_be_posted,
            };
        }
        desk.outcome(caller, reason, deadline).await
    }

    /// Stores a message; its lanes are reserved before, and offered to the courier after.
    pub(super) async fn store(
        &self,
        desk: &Desk,
        message: Message,
        release: Release,
        room: Room,
    ) -> Result<Appended, NotStored> {
        let lanes: Vec<(Lane, Gateway)> = message
            .deliveries
            .iter()
            .filter(|delivery| delivery.state == State::Waiting)
            .filter_map(|delivery| Some((delivery.lane, self.shared.gateway(&delivery.to)?)))
            .collect();
        let reserved = desk.queue.reserve(&lanes, room);
        reserved.map_err(|_| NotStored::Full)?;
        let (queue, clock) = (Arc::clone(&desk.queue), Arc::clone(&self.shared.clock));
        let now_ms = message.created_ms;
        // By the store itself: a caller who goes away must not leave reserved what is stored, or is not.
        let then = move |appended: &Result<Appended, StoreError>| {
            for (lane, _) in lanes {
                if *appended == Ok(Appended::Stored) {
                    queue.stored(lane, release, clock.now());
                } else {
                    queue.leave(lane, 1);
                }
            }
        };
        let stored = desk.store.append_then(message, now_ms, then);
        match tokio::time::timeout(STORE_DEADLINE, stored).await {
            Ok(appended) => Ok(appended?),
            Err(_) => Err(StoreError::Busy.into()),
        }
    }
}

impl Desk {
    /// Ready at the deadline, or when the courier has ended.
    async fn wait(&self, deadline: Instant) {
        let drained = self.queue.reached(Phase::Drained);
        // Either way the wait is over.
        drop(tokio::time::timeout_at(deadline.into(), drained).await);
    }

    pub(super) async fn outcome(
        &self,
        mut caller: Caller,
        reason: Reason,
        deadline: Instant,
    ) -> Sent {
        let patience = std::pin::pin!(self.wait(deadline));
        let in_time = match select(&mut caller.ended, patience).await {
            Either::Left((told, _)) => Some(told),
            Either::Right(_) => None,
        };
        let told = match in_time {
            Some(told) => told.ok(),
            None if self.queue.promise(&caller) => None,
            // Its end is known already, and is being written.
            None => caller.ended.await.ok(),
        };
        let Some(Told { ended, is_promised }) = told else {
            return Sent::Queued(reason);
        };
        match ended {
            Ended::Delivered(posted) => Sent::Delivered {
                posted,
                is_stored: true,
            },
            Ended::Failed {
                failure,
                parts_taken,
            } => Sent::Failed {
                failure,
                parts_taken,
                is_promised,
                is_stored: true,
            },
        }
    }

    pub(super) async fn append(
        &self,
        message: Message,
        now_ms: u64,
    ) -> Result<Appended, NotStored> {
        let appended = self.store.append(message, now_ms);
        match tokio::time::timeout(STORE_DEADLINE, appended).await {
            Ok(appended) => Ok(appended?),
            Err(_) => Err(StoreError::Busy.into()),
        }
    }
}

/// The progress of a delivery that was promised without an attempt.
pub(super) fn progress_of(reason: Reason) -> Progress {
    Progress {
        reason: Some(reason.word().to_owned()),
        ..Progress::default()
    }
}

pub(super) fn waiting(place: u16, ready: &Ready, progress: Progress) -> outbox::Delivery {
    outbox::Delivery {
        place,
        lane: ready.lane,
        to: stored::address(ready),
        state: State::Waiting,
        progress,
    }
}

pub(super) fn message(
    letter: &Letter<'_>,
    deliveries: Vec<outbox::Delivery>,
    now_ms: u64,
) -> Message {
    Message {
        id: letter.post.id,
        caller: letter.caller.to_owned(),
        created_ms: now_ms,
        post: stored::to_bytes(letter.post),
        replaced: u32::try_from(letter.post.message.replaced()).unwrap_or(u32::MAX),
        ignored: letter.ignored.to_vec(),
        once: letter.once.clone(),
        deliveries,
    }
}

#[cfg(test)]
mod tests;
