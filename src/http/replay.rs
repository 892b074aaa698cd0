//! The memory of GETs that posted: browsers, scanners and proxies repeat GETs, and the repeat posts nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::receipt::Receipt;

/// How long the same GET answers the first receipt again.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);
/// The most GETs that are remembered; beyond, the oldest is forgotten.
const MAX_ENTRIES: usize = 4096;

/// The receipts of recent GETs, by caller and target.
#[derive(Default)]
pub(super) struct Replays(Mutex<HashMap<u64, Entry>>);

struct Entry {
    since: Instant,
    slot: Slot,
}

/// One GET's receipt. Whoever holds the lock is posting it; repeats wait for what comes of it.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<Receipt>>>;

impl Replays {
    /// The slot of a GET: filled if it posted within the last ten minutes.
    #[must_use]
    pub(super) fn slot(&self, key: u64, now: Instant) -> Slot {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |entry: &Entry| now.saturating_duration_since(entry.since) < REMEMBERED_FOR;
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
        let slot = Slot::default();
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
        let (replays, clock) = (Replays::default(), ManualClock::default());
        let first = replays.slot(1, clock.now());
        clock.advance(Duration::from_secs(599));
        assert!(Arc::ptr_eq(&first, &replays.slot(1, clock.now())));
        clock.advance(Duration::from_secs(1));
        assert!(!Arc::ptr_eq(&first, &replays.slot(1, clock.now())));
        for key in 0..10_000 {
            let _slot = replays.slot(key, clock.now());
        }
        assert_eq!(replays.0.lock().unwrap().len(), MAX_ENTRIES);
    }
}
