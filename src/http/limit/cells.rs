//! Memory for limits that does not grow with the number of callers.
//!
//! A fixed table of sets, eight cells each. A key's set is chosen by its (keyed) hash. A new key takes the
//! cell of its set that recovered first: if that cell is fully recovered, forgetting it changes nothing; if all
//! eight are still in use, the newcomer inherits the mildest debt. So limits are exact until a flood of
//! addresses fills a set, and then they become stricter, never looser.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::nanos::Nanos;
use governor::state::StateStore;

const SETS: usize = 4096;
const WAYS: usize = 8;

/// 4096 sets of 8 cells: half a MiB.
pub(super) struct Cells(Box<[Mutex<[Cell; WAYS]>]>);

#[derive(Clone, Copy, Default)]
struct Cell {
    /// The key; 0 is an empty cell.
    key: u64,
    /// GCRA's theoretical arrival time, in nanoseconds of the limiter's clock.
    recovered: u64,
}

impl Default for Cells {
    fn default() -> Self {
        Self((0..SETS).map(|_| Mutex::default()).collect())
    }
}

impl Cells {
    fn set(&self, key: u64) -> Option<&Mutex<[Cell; WAYS]>> {
        self.0.get((key >> 32) as usize % SETS)
    }
}

impl Cells {
    /// When a key is fully recovered, on the limiter's clock; `None` for a key that was not seen lately.
    pub(super) fn recovered(&self, key: u64) -> Option<Duration> {
        let key = key.max(1);
        let set = self
            .set(key)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        set.iter()
            .find(|cell| cell.key == key)
            .map(|cell| Duration::from_nanos(cell.recovered))
    }
}

/// The cells as governor takes them, while we keep a hand on them.
pub(super) struct SharedCells(pub(super) Arc<Cells>);

impl StateStore for SharedCells {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let key = (*key).max(1);
        let Some(set) = self.0.set(key) else {
            return decide(None).map(|(outcome, _)| outcome);
        };
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        let index = set
            .iter()
            .position(|cell| cell.key == key)
            .or_else(|| (0..WAYS).min_by_key(|&way| set[way].recovered))
            .unwrap_or_default();
        let cell = &mut set[index];
        let known = (cell.key != 0).then(|| Nanos::from(cell.recovered));
        let (outcome, recovered) = decide(known)?;
        *cell = Cell {
            key,
            recovered: recovered.into(),
        };
        Ok(outcome)
    }
}
