//! Time and chance: the only place that reads them. A leaf: it knows no other module.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom as _, SystemRandom};

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// For waits and deadlines: never goes back.
    fn now(&self) -> Instant;

    /// Time since 1970, for what is compared with other machines.
    fn unix(&self) -> Duration;
}

/// The machine's time.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// Time that a test moves by hand.
#[derive(Debug)]
pub struct ManualClock {
    start: Instant,
    elapsed: Mutex<Duration>,
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    fn unix(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self {
            start: SystemClock.now(),
            elapsed: Mutex::new(Duration::ZERO),
        }
    }
}

impl ManualClock {
    /// Moves the time forward.
    pub fn advance(&self, by: Duration) {
        let mut elapsed = self
            .elapsed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *elapsed += by;
    }

    fn elapsed(&self) -> Duration {
        *self
            .elapsed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + self.elapsed()
    }

    /// Counts from an arbitrary second of 2026.
    fn unix(&self) -> Duration {
        Duration::from_secs(1_790_000_000) + self.elapsed()
    }
}

/// A number from 0 to 1, for jitter; not for secrets.
#[must_use]
pub fn roll() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
    let fraction = bits as f64 / (1u64 << 53) as f64;
    fraction
}

/// The system has no chance to give; only early in its boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoChance;

/// Bytes that nobody can foresee: for states, cookies and nonces.
///
/// # Errors
/// [`NoChance`].
pub fn random<const N: usize>() -> Result<[u8; N], NoChance> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoChance)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_does_not_repeat_itself() {
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
