//! What waits, as the workers and the courier share it: the schedule, who still waits for an answer, and the cap.
//!
//! The store holds the messages; here is only what decides who goes next and who must be told. Nothing here does I/O.

mod callers;
mod locked;
pub mod schedule;

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use tokio::sync::{Notify, watch};

use crate::domain::delivery::{DeliveryId, Failure, Posted};
use crate::outbox::Lane;
use callers::Waiting;
use locked::{Locked, Shared};
use schedule::{Gateway, Next, Release, Schedule, Sign};

pub use callers::{Caller, Callers, Told};

/// One delivery: a message and the place of the destination in it.
pub type Key = (DeliveryId, u16);

/// How a delivery ended that was stored.
#[derive(Debug, Clone)]
pub enum Ended {
    /// The platform has it.
    Delivered(Posted),
    /// It was refused for good.
    Failed {
        /// Why.
        failure: Failure,
        /// How many parts were taken before.
        parts_taken: usize,
    },
}

/// Everything that waits.
pub struct Queue {
    state: Shared,
    changed: Notify,
    phase: watch::Sender<Phase>,
    max: usize,
}

/// How far the process is with stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It is not.
    Serving,
    /// Nothing is begun any more; what is in flight may end.
    Stopping,
    /// The courier has ended: who waits for it is answered now.
    Drained,
    /// The grace is over: who still waits for a platform is answered now.
    Over,
}

#[derive(Default)]
struct State {
    schedule: Schedule,
    callers: HashMap<Key, Waiting>,
    /// How many have waited, which tells them apart.
    callers_ever: u64,
    /// Being tried, or taken out.
    held: HashSet<Key>,
    /// What an earlier process may have posted: the place in the order of the message, one in each of these lanes.
    doubtful: HashMap<Lane, i64>,
}

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// What `OUTBOX_MAX` leaves.
    Max,
    /// A little more, for what waits for nothing: it is stored before it is tried only because its key must be.
    Spare,
}

/// How many deliveries `OUTBOX_MAX` may be exceeded by, for those that are tried at once: as many as are tried at once.
const SPARE: usize = schedule::MAX_BUSY;

/// Why nothing was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxFull;

impl State {
    fn hold(&mut self, keys: &[Key]) -> bool {
        let is_free = !keys.iter().any(|key| self.held.contains(key));
        if is_free {
            self.held.extend(keys);
        }
        is_free
    }
}

impl Queue {
    /// A queue for at most `max` waiting deliveries (`OUTBOX_MAX`).
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            state: Shared::new(),
            changed: Notify::new(),
            phase: watch::Sender::new(Phase::Serving),
            max,
        }
    }

    fn lock(&self) -> Locked<'_> {
        self.state.lock()
    }

    /// How many deliveries wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().schedule.waiting()
    }

    /// Whether nothing waits for this destination.
    #[must_use]
    pub fn is_clear(&self, lane: Lane) -> bool {
        self.state.is_calm() || self.lock().schedule.is_clear(lane)
    }

    /// Whether nothing waits for this destination, nor for a name that may be its own.
    #[must_use]
    pub fn is_open(&self, lane: Lane, gateway: Gateway) -> bool {
        self.state.is_calm() || self.lock().schedule.is_open(lane, gateway)
    }

    /// Whether this lane was held up by its pace or its platform.
    #[must_use]
    pub fn is_throttled(&self, lane: Lane) -> bool {
        self.lock().schedule.is_throttled(lane)
    }

    /// The gateway of a lane with something waiting.
    #[must_use]
    pub fn gateway(&self, lane: Lane) -> Option<Gateway> {
        self.lock().schedule.gateway(lane)
    }

    /// How often in a row the head of this lane has failed.
    #[must_use]
    pub fn failures(&self, lane: Lane) -> u32 {
        self.lock().schedule.failures(lane)
    }

    /// A lane that was found in the store at the start.
    pub fn load(&self, lane: Lane, gateway: Gateway, count: u32, release: Release, now: Instant) {
        let mut state = self.lock();
        state.schedule.enter(lane, gateway, count);
        state.schedule.offer(lane, release, now);
    }

    /// Reserves room for deliveries that are about to be stored; from now on later posts to these lanes queue.
    ///
    /// # Errors
    /// [`OutboxFull`]: nothing is reserved.
    pub fn reserve(&self, lanes: &[(Lane, Gateway)], room: Room) -> Result<(), OutboxFull> {
        let mut state = self.lock();
        let goes_now = |(lane, gateway): &(Lane, Gateway)| state.schedule.goes_now(*lane, *gateway);
        let spare = match room {
            Room::Spare if lanes.iter().all(goes_now) => SPARE,
            Room::Spare | Room::Max => 0,
        };
        if state.schedule.waiting() + lanes.len() > self.max + spare {
            return Err(OutboxFull);
        }
        for (lane, gateway) in lanes {
            state.schedule.enter(*lane, *gateway, 1);
        }
        Ok(())
    }

    /// What was reserved is stored, and can be tried.
    pub fn stored(&self, lane: Lane, release: Release, now: Instant) {
        let is_new = self.lock().schedule.offer(lane, release, now);
        // Waking the courier costs more than all the rest.
        if is_new {
            self.changed.notify_one();
        }
    }

    /// So many of a lane wait no more.
    pub fn leave(&self, lane: Lane, count: u32) {
        self.lock().schedule.leave(lane, count);
    }

    /// Counts deliveries that are about to wait again, before the courier can come upon them; then
    /// [`Queue::stored`], or [`Queue::leave`].
    pub fn announce(&self, lane: Lane, gateway: Gateway) {
        self.lock().schedule.enter(lane, gateway, 1);
    }

    /// Deliveries that wait in another lane now.
    pub fn enter(&self, lane: Lane, gateway: Gateway, count: u32, now: Instant) {
        let mut state = self.lock();
        state.schedule.enter(lane, gateway, count);
        state.schedule.offer(lane, Release::Go, now);
        drop(state);
        self.changed.notify_one();
    }

    /// The lane to serve now, unless the process is stopping.
    pub fn next(&self, now: Instant) -> Next {
        if self.phase() > Phase::Serving {
            return Next::Idle;
        }
        self.lock().schedule.next(now)
    }

    /// Ready when [`Queue::next`] may have something else to say.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A lane that was taken is free again.
    pub fn release(&self, lane: Lane, release: Release, now: Instant) {
        self.lock().schedule.release(lane, release, now);
        self.changed.notify_one();
    }

    /// An attempt in a lane was made.
    pub fn attempted(&self, lane: Lane, failed: bool, now: Instant) {
        self.lock().schedule.attempted(lane, failed, now);
    }

    /// What an attempt says about its gateway.
    pub fn note(&self, gateway: Gateway, sign: Sign, now: Instant) {
        if sign == Sign::Works && self.state.is_calm() {
            return;
        }
        let mut state = self.lock();
        let works_as_ever = sign == Sign::Works && state.schedule.waiting() == 0;
        state.schedule.note(gateway, sign, now);
        drop(state);
        if !works_as_ever {
            self.changed.notify_one();
        }
    }

    /// Whether something waits for credentials that this gateway has refused.
    #[must_use]
    pub fn is_refused(&self, gateway: Gateway) -> bool {
        self.lock().schedule.is_refused(gateway)
    }

    /// Takes hold of deliveries, all or none: nobody else tries or drops them until [`Queue::let_go`].
    #[must_use]
    pub fn hold(&self, keys: &[Key]) -> bool {
        self.lock().hold(keys)
    }

    /// The courier's hold: only if nothing was taken out of the lane since it was read.
    #[must_use]
    pub fn hold_unchanged(&self, lane: Lane, withdrawn: u32, keys: &[Key]) -> bool {
        let mut state = self.lock();
        state.schedule.withdrawn(lane) == withdrawn && state.hold(keys)
    }

    /// How often something was taken out of this lane; read it before the lane's head.
    #[must_use]
    pub fn withdrawn(&self, lane: Lane) -> u32 {
        self.lock().schedule.withdrawn(lane)
    }

    /// Whether this one is being tried, or taken out.
    #[must_use]
    pub fn is_held(&self, key: Key) -> bool {
        self.lock().held.contains(&key)
    }

    /// Takes deliveries out by hand, unless one of them is held.
    #[must_use]
    pub fn withdraw(&self, deliveries: &[(Key, Lane)]) -> bool {
        let mut state = self.lock();
        let keys: Vec<Key> = deliveries.iter().map(|(key, _)| *key).collect();
        if !state.hold(&keys) {
            return false;
        }
        for (_, lane) in deliveries {
            state.schedule.withdraw(*lane);
        }
        true
    }

    /// Whether something may have been posted that nobody has written: an attempt is under way, or an earlier process's
    /// was not repeated yet.
    #[must_use]
    pub fn is_anything_doubtful(&self) -> bool {
        let state = self.lock();
        !state.held.is_empty() || !state.doubtful.is_empty()
    }

    /// The message at this place, the first of its lane, may have been posted already.
    pub fn doubt(&self, lane: Lane, seq: i64) {
        self.lock().doubtful.insert(lane, seq);
    }

    /// Whether this message, now the first of its lane, may have been posted. No other is in doubt because of it: what
    /// was before it has ended, what was moved before it was never tried.
    pub fn take_doubt(&self, lane: Lane, seq: i64) -> bool {
        let mut state = self.lock();
        let doubtful = state.doubtful.get(&lane).copied();
        if doubtful.is_some_and(|doubtful| doubtful <= seq) {
            state.doubtful.remove(&lane);
        }
        doubtful == Some(seq)
    }

    /// This message, wherever it is in its lane, ends without another attempt.
    pub fn forget_doubt(&self, lane: Lane, seq: i64) {
        let mut state = self.lock();
        if state.doubtful.get(&lane) == Some(&seq) {
            state.doubtful.remove(&lane);
        }
    }

    /// Ends a hold.
    pub fn let_go(&self, keys: &[Key]) {
        let mut state = self.lock();
        for key in keys {
            state.held.remove(key);
        }
    }

    /// When the first of this lane will have waited too long.
    pub fn expire_at(&self, lane: Lane, at: Instant) {
        self.lock().schedule.expire_at(lane, at);
    }

    /// The head of this lane is tried now.
    pub fn hurry(&self, lane: Lane) {
        self.lock().schedule.hurry(lane);
        self.changed.notify_one();
    }

    /// The next phase of stopping.
    pub fn enter_phase(&self, phase: Phase) {
        self.phase.send_modify(|now| *now = phase.max(*now));
        self.changed.notify_one();
    }

    /// How far the process is with stopping.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Ready when the process is that far with stopping.
    pub async fn reached(&self, phase: Phase) {
        // The sender lives as long as this queue.
        let mut phases = self.phase.subscribe();
        phases.wait_for(|now| *now >= phase).await.ok();
    }
}

#[cfg(test)]
mod tests;
