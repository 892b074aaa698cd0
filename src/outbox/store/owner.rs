//! The thread's side: takes what waits, and decides what a full or a failed disk means for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::StoreHealth;
use crate::clock::Clock;
use crate::outbox::batch::{self, End, Job, answer_all};
use crate::outbox::sqlite::Sqlite;
use crate::outbox::{Outbox, StoreError};

/// The most that share a commit, so that the first of them does not wait for ever.
pub(super) const BATCH: usize = 1024;
/// How often a full disk is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// After so many commits what is not urgent is done even if there is always something else.
const REST: u32 = 10_000;

/// What the thread does with an outbox beside its operations.
pub(super) trait Durable: Outbox {
    /// Keeps back some of the disk; `false` if there is too little.
    fn take_reserve(&mut self) -> bool;
    /// Gives that to the outbox.
    fn give_reserve(&mut self);
    /// Does what is not urgent, outside of a transaction.
    fn rest(&mut self);
    /// Ends it.
    fn close(self, in_flight: bool);
}

impl Durable for Sqlite {
    fn take_reserve(&mut self) -> bool {
        Self::take_reserve(self)
    }

    fn give_reserve(&mut self) {
        Self::give_reserve(self);
    }

    fn rest(&mut self) {
        Self::rest(self);
    }

    fn close(self, in_flight: bool) {
        Self::close(self, in_flight);
    }
}

/// The thread.
pub(super) struct Owner<O: Durable> {
    /// Gone only at the end: a panic finds it here.
    outbox: Option<O>,
    jobs: Receiver<Box<dyn Job>>,
    health: Arc<watch::Sender<StoreHealth>>,
    clock: Arc<dyn Clock>,
    /// Whether attempts are left in flight when it is closed.
    in_flight: Arc<AtomicBool>,
    /// When it last looked for room.
    looked: Instant,
    /// Commits since the last rest.
    busy: u32,
}

impl<O: Durable> Owner<O> {
    /// It has looked for room already.
    pub(super) fn new(
        outbox: O,
        jobs: Receiver<Box<dyn Job>>,
        health: Arc<watch::Sender<StoreHealth>>,
        clock: Arc<dyn Clock>,
        in_flight: Arc<AtomicBool>,
    ) -> Self {
        let mut owner = Self {
            outbox: Some(outbox),
            jobs,
            health,
            looked: clock.now(),
            clock,
            in_flight,
            busy: 0,
        };
        owner.look_for_room();
        owner
    }

    /// Ends when nobody can ask any more and everything is answered.
    pub(super) fn run(mut self) {
        let mut batch: Vec<Box<dyn Job>> = Vec::with_capacity(BATCH);
        loop {
            match self.jobs.recv_timeout(LOOK_AGAIN) {
                Ok(job) => batch.push(job),
                Err(RecvTimeoutError::Timeout) => {
                    self.look_for_room();
                    self.rest();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            batch.extend(self.jobs.try_iter().take(BATCH - 1));
            self.handle(&mut batch);
            self.busy += 1;
            if self.busy == REST {
                self.rest();
            }
        }
        if let Some(outbox) = self.outbox.take() {
            outbox.close(self.in_flight.load(Ordering::Relaxed));
        }
    }

    fn health(&self) -> StoreHealth {
        *self.health.borrow()
    }

    fn rest(&mut self) {
        self.busy = 0;
        if let Some(outbox) = self.outbox.as_mut() {
            outbox.rest();
        }
    }

    fn handle(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        self.refuse_if_full(batch);
        if self.health() == StoreHealth::Failed {
            let end = StoreError::Failed("an earlier write failed".to_owned());
            answer_all(batch, &Err(end));
            return;
        }
        let mut end = self.attempt(batch);
        if end == End::Full {
            if self.health() == StoreHealth::Ok {
                tracing::error!("the disk of the outbox is full: new messages are refused");
                self.health.send_replace(StoreHealth::Full);
            }
            // Also later: what was settled meanwhile has filled the log again.
            if let Some(outbox) = &mut self.outbox {
                outbox.give_reserve();
            }
            // The room that was just given must not look like room for more.
            self.looked = self.clock.now();
            self.refuse_if_full(batch);
            end = self.attempt(batch);
        }
        match end {
            End::Done => {}
            End::Full => answer_all(batch, &Err(StoreError::Full)),
            End::Failed => {
                self.health.send_replace(StoreHealth::Failed);
            }
        }
    }

    fn attempt(&mut self, batch: &mut Vec<Box<dyn Job>>) -> End {
        match &mut self.outbox {
            Some(outbox) => batch::run(outbox, batch),
            None => End::Failed,
        }
    }

    /// While the disk is full, what would add to it is refused before it touches it.
    fn refuse_if_full(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        if self.health() != StoreHealth::Full {
            return;
        }
        // Under load the thread is never idle.
        let now = self.clock.now();
        if now.saturating_duration_since(self.looked) >= LOOK_AGAIN {
            self.looked = now;
            self.look_for_room();
        }
        if self.health() == StoreHealth::Full {
            for job in batch.extract_if(.., |job| job.adds()) {
                job.answer(Err(StoreError::Full));
            }
        }
    }

    /// Takes messages again once the reserve is whole.
    fn look_for_room(&mut self) {
        let before = self.health();
        let Some(outbox) = self
            .outbox
            .as_mut()
            .filter(|_| before != StoreHealth::Failed)
        else {
            return;
        };
        let now = if outbox.take_reserve() {
            StoreHealth::Ok
        } else {
            StoreHealth::Full
        };
        if now != before {
            tracing::warn!(
                full = now == StoreHealth::Full,
                "the room for the outbox has changed"
            );
            self.health.send_replace(now);
        }
    }
}

/// Reached by a panic too: then nothing can be promised any more.
impl<O: Durable> Drop for Owner<O> {
    fn drop(&mut self) {
        if self.outbox.is_some() {
            self.health.send_replace(StoreHealth::Failed);
        }
    }
}
