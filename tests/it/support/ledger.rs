//! An append-only list that tests can wait on: the reason no test sleeps.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long anything may take before a test fails instead of hanging.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Entries in order of arrival.
pub struct Ledger<T> {
    entries: Mutex<(Vec<T>, bool)>,
    changed: Condvar,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self {
            entries: Mutex::new((Vec::new(), false)),
            changed: Condvar::new(),
        }
    }
}

impl<T: Clone> Ledger<T> {
    pub fn push(&self, entry: T) {
        self.lock().0.push(entry);
        self.changed.notify_all();
    }

    /// Says that nothing more will come, so that nobody waits for it.
    pub fn close(&self) {
        self.lock().1 = true;
        self.changed.notify_all();
    }

    pub fn all(&self) -> Vec<T> {
        self.lock().0.clone()
    }

    pub fn len(&self) -> usize {
        self.lock().0.len()
    }

    /// Removes and returns everything.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.lock().0)
    }

    /// Changes entries in place, for fakes whose posts can be edited.
    pub fn change<R>(&self, change: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let result = change(&mut self.lock().0);
        self.changed.notify_all();
        result
    }

    /// The first answer `look` gives, or `None` once the list is closed or `limit` has passed.
    pub fn wait(&self, limit: Duration, mut look: impl FnMut(&[T]) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        let mut entries = self.lock();
        loop {
            if let Some(found) = look(&entries.0) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if entries.1 || left.is_zero() {
                return None;
            }
            entries = self
                .changed
                .wait_timeout(entries, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Everything, once at least `n` entries are there; also when they are not there in time.
    pub fn wait_for(&self, n: usize, limit: Duration) -> Vec<T> {
        if n > 0 {
            self.wait(limit, |entries| entries.get(n - 1).cloned());
        }
        self.all()
    }

    /// Whether the list was closed within `limit`.
    pub fn wait_closed(&self, limit: Duration) -> bool {
        self.wait(limit, |_| None);
        self.lock().1
    }

    // A test that failed while holding the lock has said so itself; the others go on.
    fn lock(&self) -> MutexGuard<'_, (Vec<T>, bool)> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
