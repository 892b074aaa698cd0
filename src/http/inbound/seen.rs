//! The memory of requests that were let in, so that none is relayed twice: a replayed signature, or a platform's repeat.
//! Only verified requests are remembered, so no stranger can fill it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most that are remembered; beyond, the oldest is forgotten.
const MAX_ENTRIES: usize = 65_536;

/// What makes two requests the same.
pub(in crate::http) type Key = [u8; 16];

/// The requests of the last minutes.
pub(in crate::http) struct Seen {
    entries: Mutex<Entries>,
    remembered_for: Duration,
}

#[derive(Default)]
struct Entries {
    /// Whether each is done; else it is under way.
    known: HashMap<Key, bool>,
    order: VecDeque<(Instant, Key)>,
}

/// The first of its kind. It is forgotten again when this is dropped without [`First::keep`], so that a request that came to
/// nothing may be repeated.
#[must_use]
pub(in crate::http) struct First<'a> {
    seen: &'a Seen,
    key: Option<Key>,
}

/// How a request stands to those before it.
pub(super) enum Standing<'a> {
    /// It is the first of its kind.
    First(First<'a>),
    /// The first one has not come to its end.
    UnderWay,
    /// The first one is done.
    Done,
}

impl Seen {
    /// A memory of so long.
    #[must_use]
    pub(in crate::http) fn new(remembered_for: Duration) -> Self {
        Self {
            entries: Mutex::default(),
            remembered_for,
        }
    }

    /// Whether this is the first; `None` for a repeat, even while the first is under way.
    pub(in crate::http) fn first(&self, key: Key, now: Instant) -> Option<First<'_>> {
        match self.standing(key, now) {
            Standing::First(first) => Some(first),
            Standing::UnderWay | Standing::Done => None,
        }
    }

    /// The same, for those to whom it matters whether the first has come to its end.
    pub(super) fn standing(&self, key: Key, now: Instant) -> Standing<'_> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((since, old)) = entries.order.front().copied() {
            let is_old = now.saturating_duration_since(since) >= self.remembered_for;
            if !is_old && entries.order.len() < MAX_ENTRIES {
                break;
            }
            entries.order.pop_front();
            entries.known.remove(&old);
        }
        match entries.known.get(&key) {
            Some(true) => return Standing::Done,
            Some(false) => return Standing::UnderWay,
            None => {}
        }
        entries.known.insert(key, false);
        entries.order.push_back((now, key));
        Standing::First(First {
            seen: self,
            key: Some(key),
        })
    }
}

impl First<'_> {
    /// From now on a repeat is known as one.
    pub(in crate::http) fn keep(mut self) {
        let Some(key) = self.key.take() else { return };
        let entries = self.seen.entries.lock();
        let mut entries = entries.unwrap_or_else(PoisonError::into_inner);
        // Unless so many came meanwhile that it is forgotten.
        if let Some(is_done) = entries.known.get_mut(&key) {
            *is_done = true;
        }
    }
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let entries = self.seen.entries.lock();
        let mut entries = entries.unwrap_or_else(PoisonError::into_inner);
        entries.known.remove(&key);
        entries.order.retain(|(_, other)| *other != key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, ManualClock};

    const LONG: Duration = Duration::from_secs(600);

    fn key(number: usize) -> Key {
        let mut key = Key::default();
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn a_repeat_is_known_until_its_time_is_over() {
        let (clock, seen) = (ManualClock::default(), Seen::new(LONG));
        seen.first(key(1), clock.now()).unwrap().keep();

        let standing = seen.standing(key(1), clock.now());
        assert!(matches!(standing, Standing::Done));
        clock.advance(LONG - Duration::from_secs(1));
        assert!(seen.first(key(1), clock.now()).is_none());
        clock.advance(Duration::from_secs(1));
        assert!(seen.first(key(1), clock.now()).is_some());
    }

    #[test]
    fn what_came_to_nothing_is_forgotten_and_what_is_under_way_is_not() {
        let (clock, seen) = (ManualClock::default(), Seen::new(LONG));
        let first = seen.first(key(1), clock.now());

        assert!(seen.first(key(1), clock.now()).is_none());
        let standing = seen.standing(key(1), clock.now());
        assert!(matches!(standing, Standing::UnderWay));
        drop(first);
        assert!(seen.first(key(1), clock.now()).is_some());
    }

    #[test]
    fn its_size_is_bounded() {
        let (clock, seen) = (ManualClock::default(), Seen::new(LONG));
        for number in 0..MAX_ENTRIES + 100 {
            seen.first(key(number), clock.now()).unwrap().keep();
        }

        assert!(seen.first(key(0), clock.now()).is_some());
        assert!(seen.first(key(MAX_ENTRIES), clock.now()).is_none());
        let entries = seen.entries.lock().unwrap();
        assert_eq!(entries.known.len(), entries.order.len());
        assert!(entries.order.len() <= MAX_ENTRIES);
    }
}
