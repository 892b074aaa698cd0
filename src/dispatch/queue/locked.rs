//! The queue's state, locked; and whether there is anything in it to lock it for.
//!
//! Most of the time nothing waits and every platform works, and every post asks. The lock is one for all workers, and
//! would be handed from core to core for each.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::State;

/// The state, and what is known of it without the lock.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Written under the lock alone, so it is never older than what its reader has heard of the queue.
    is_calm: AtomicBool,
}

/// The state, while it is locked.
pub(super) struct Locked<'a> {
    state: MutexGuard<'a, State>,
    is_calm: &'a AtomicBool,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            is_calm: AtomicBool::new(true),
        }
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        Locked {
            state: self.state.lock().unwrap_or_else(PoisonError::into_inner),
            is_calm: &self.is_calm,
        }
    }

    /// Whether nothing waits and no gateway is in trouble.
    pub(super) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Acquire)
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let is_calm = self.state.schedule.is_calm();
        if self.is_calm.load(Ordering::Relaxed) != is_calm {
            self.is_calm.store(is_calm, Ordering::Release);
        }
    }
}
