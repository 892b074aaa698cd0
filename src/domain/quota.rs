//! A limit as an operator writes it: `120/m`, or `off`.

use std::num::NonZeroU32;
use std::time::Duration;

/// `count` per `period`; `count` is also the burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    count: NonZeroU32,
    period: Duration,
}

/// A quota, or none.
pub type Limit = Option<Quota>;

/// Why a text is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected N/s, N/m or N/h with N from 1 to 1000000, or off")]
pub struct QuotaError;

impl Quota {
    /// The most a quota may allow in its period; far above any chat server.
    const MAX: u32 = 1_000_000;

    /// How many in one period, and at once.
    #[must_use]
    pub fn count(&self) -> NonZeroU32 {
        self.count
    }

    /// The period: a second, a minute or an hour.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// The time after which one more is allowed.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.period / self.count.get()
    }
}

/// Parses `N/s`, `N/m`, `N/h` or `off`.
///
/// # Errors
/// [`QuotaError`] for anything else.
pub fn parse_limit(text: &str) -> Result<Limit, QuotaError> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let (count, unit) = text.split_once('/').ok_or(QuotaError)?;
    let period = match unit.trim() {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err(QuotaError),
    };
    let count: NonZeroU32 = count.trim().parse().map_err(|_| QuotaError)?;
    if count.get() > Quota::MAX {
        return Err(QuotaError);
    }
    Ok(Some(Quota { count, period }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_as_written() {
        let quota = parse_limit("120/m").unwrap().unwrap();
        assert_eq!((quota.count().get(), quota.period().as_secs()), (120, 60));
        assert_eq!(quota.interval(), Duration::from_millis(500));
        assert_eq!(parse_limit("off"), Ok(None));
        for bad in ["", "0/s", "5", "5/d", "-1/s", "x/s", "5/s/s", "1000001/s"] {
            assert_eq!(parse_limit(bad), Err(QuotaError), "{bad}");
        }
    }
}
