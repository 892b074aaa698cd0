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
/// How often a full disk, or the place of the file, is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// After so many commits what is not urgent is done even if there is always something else.
const REST: u32 = 10_000;

/// What the thread does with an outbox beside its operations.
pub(super) trait Durable: Outbox {
    /// Keeps back some of the disk; `false` if there is too little.
    fn take_reserve(&mut self) -> bool;
    /// Gives that to the outbox.
    fn give_reserve(&mut self);
    /// Whether the next process will find what is written.
    fn is_in_place(&mut self) -> bool;
    /// Saves what can be saved where it will not.
    fn save(&mut self);
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

    fn is_in_place(&mut self) -> bool {
        Self::is_in_place(self)
    }

    fn save(&mut self) {
        Self::save(self);
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
        owner.look();
        owner
    }

    /// Ends when nobody can ask any more and everything is answered.
    pub(super) fn run(mut self) {
        let mut batch: Vec<Box<dyn Job>> = Vec::with_capacity(BATCH);
        loop {
            match self.jobs.recv_timeout(LOOK_AGAIN) {
                Ok(job) => batch.push(job),
                Err(RecvTimeoutError::Timeout) => {
                    self.look();
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
        self.refuse_what_adds(batch);
        if let Some(end) = self.health().refusal().filter(|_| self.has_failed()) {
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
            self.refuse_what_adds(batch);
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

    /// While the disk is full or the file is gone, what would add to it is refused before it touches it.
    fn refuse_what_adds(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        if self.has_failed() {
            return;
        }
        let is_adding = batch.iter().any(|job| job.adds());
        let is_lost = is_adding && self.health() == StoreHealth::Ok && !self.is_in_place();
        // Under load the thread is never idle.
        let now = self.clock.now();
        let is_due = now.saturating_duration_since(self.looked) >= LOOK_AGAIN;
        if is_lost || (is_due && self.health() != StoreHealth::Ok) {
            self.looked = now;
            self.look();
        }
        if let Some(refusal) = self.health().refusal() {
            for job in batch.extract_if(.., |job| job.adds()) {
                job.answer(Err(refusal.clone()));
            }
        }
    }

    fn has_failed(&self) -> bool {
        self.health() == StoreHealth::Failed
    }

    fn is_in_place(&mut self) -> bool {
        self.outbox.as_mut().is_some_and(Durable::is_in_place)
    }

    /// Takes messages as long as the file is where it was and the reserve is whole.
    fn look(&mut self) {
        let before = self.health();
        let failed = self.has_failed();
        let Some(outbox) = self.outbox.as_mut().filter(|_| !failed) else {
            return;
        };
        let now = if !outbox.is_in_place() {
            StoreHealth::Gone
        } else if outbox.take_reserve() {
            StoreHealth::Ok
        } else {
            StoreHealth::Full
        };
        if now == before {
            return;
        }
        if now == StoreHealth::Gone {
            tracing::error!(
                "the file of the outbox, or its log, was removed or replaced: new messages are refused; put it back, or start the program again"
            );
            outbox.save();
        } else {
            tracing::warn!(
                full = now == StoreHealth::Full,
                "the room for the outbox has changed"
            );
        }
        self.health.send_replace(now);
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
