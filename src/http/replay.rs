//! The memory of posts that must not be made twice: GETs, which browsers, scanners and proxies repeat; and, without an
//! outbox, idempotency keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most posts that are remembered; beyond, the oldest is forgotten.
const MAX_ENTRIES: usize = 4096;

/// What became of recent posts, by what makes them the same.
pub(super) struct Replays<T> {
    entries: Mutex<HashMap<u64, Entry<T>>>,
    remembered_for: Duration,
}

struct Entry<T> {
    since: Instant,
    slot: Slot<T>,
}

/// What became of one post. Whoever holds the lock is posting it; repeats wait for what comes of it.
pub(super) type Slot<T> = Arc<tokio::sync::Mutex<Option<T>>>;

impl<T> Replays<T> {
    /// A memory of so long.
    #[must_use]
    pub(super) fn new(remembered_for: Duration) -> Self {
        Self {
            entries: Mutex::default(),
            remembered_for,
        }
    }

    /// The slot of a post: filled if it was made within that time.
    #[must_use]
    pub(super) fn slot(&self, key: u64, now: Instant) -> Slot<T> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh =
            |entry: &Entry<T>| now.saturating_duration_since(entry.since) < self.remembered_for;
        if let Some(entry) = entries.get(&key).filter(|entry| fresh(entry)) {
            return Arc::clone(&entry.slot);
        }
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, entry| fresh(entry));
        }
        if entries.len() >= MAX_ENTRIES
            && let Some(oldest) = entries
                .iter()
                .min_by_key(|(_, entry)| entry.since)
                .map(|(key, _)| *key)
        {
            entries.remove(&oldest);
        }
        let slot = Slot::<T>::default();
        entries.insert(
            key,
            Entry {
                since: now,
                slot: Arc::clone(&slot),
            },
        );
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, ManualClock};

    #[test]
    fn slots_are_shared_expire_and_are_bounded() {
        let clock = ManualClock::default();
        let replays = Replays::<()>::new(Duration::from_secs(600));
        let first = replays.slot(1, clock.now());
        clock.advance(Duration::from_secs(599));
        assert!(Arc::ptr_eq(&first, &replays.slot(1, clock.now())));
        clock.advance(Duration::from_secs(1));
        assert!(!Arc::ptr_eq(&first, &replays.slot(1, clock.now())));
        for key in 0..10_000 {
            let _slot = replays.slot(key, clock.now());
        }
        assert_eq!(replays.entries.lock().unwrap().len(), MAX_ENTRIES);
    }
}
