//! When to try again: exponential with full jitter.

use std::time::Duration;

/// Delays that double from `base` up to `cap`, each multiplied by chance (full jitter), so that callers
/// who failed together do not come back together.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    base: Duration,
    cap: Duration,
}

/// A policy whose delays could never grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the first delay must be above zero and not above the longest")]
pub struct RetryPolicyError;

impl RetryPolicy {
    /// From 1 s to 5 min, as the contract says.
    pub const STANDARD: Self = Self {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(300),
    };

    /// A policy of one's own.
    ///
    /// # Errors
    /// [`RetryPolicyError`] unless `0 < base <= cap`.
    pub fn try_new(base: Duration, cap: Duration) -> Result<Self, RetryPolicyError> {
        if base.is_zero() || base > cap {
            return Err(RetryPolicyError);
        }
        Ok(Self { base, cap })
    }

    /// The delay before the attempt after `attempt` (from 1). `roll` is chance from 0 to 1. What the
    /// platform asked for is never undercut.
    #[must_use]
    pub fn delay(&self, attempt: u32, retry_after: Option<Duration>, roll: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(16);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.cap);
        ceiling
            .mul_f64(roll.clamp(0.0, 1.0))
            .max(retry_after.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let policy = RetryPolicy::STANDARD;
        let ceilings: Vec<u64> = (1..=11)
            .map(|n| policy.delay(n, None, 1.0).as_secs())
            .collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert!(RetryPolicy::try_new(Duration::from_secs(2), Duration::from_secs(1)).is_err());
        assert!(RetryPolicy::try_new(Duration::ZERO, Duration::from_secs(1)).is_err());
    }

    proptest! {
        #[test]
        fn never_early_and_never_beyond_the_cap(attempt in any::<u32>(), asked in 0u64..4000, roll in 0.0f64..=1.0) {
            let asked = Duration::from_secs(asked);
            let delay = RetryPolicy::STANDARD.delay(attempt, Some(asked), roll);
            prop_assert!(delay >= asked);
            prop_assert!(delay <= asked.max(Duration::from_secs(300)));
        }
    }
}
