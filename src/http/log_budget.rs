//! How many refusals are logged: a stranger must not be able to fill the disk.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::DefaultClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// Refusals that are logged, per second and at once.
const REFUSALS_PER_SECOND: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// Lets every success and every failure of ours through, and of refusals as many as the budget holds.
pub(super) struct LogBudget {
    limiter: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
    suppressed: AtomicU64,
}

impl Default for LogBudget {
    fn default() -> Self {
        Self {
            limiter: RateLimiter::direct(Quota::per_second(REFUSALS_PER_SECOND)),
            suppressed: AtomicU64::new(0),
        }
    }
}

impl LogBudget {
    /// Whether a request with this status is logged. What was left out is logged as a number.
    pub(super) fn allows(&self, status: u16) -> bool {
        if !(400..500).contains(&status) {
            return true;
        }
        if self.limiter.check().is_err() {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.report();
        true
    }

    /// Logs how many were left out since the last time, if any.
    pub(super) fn report(&self) {
        let suppressed = self.suppressed.swap(0, Ordering::Relaxed);
        if suppressed > 0 {
            tracing::warn!(suppressed, "refused requests were not logged one by one");
        }
    }
}
