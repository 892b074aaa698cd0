//! The timestamp of a log line: RFC 3339 in UTC, with six digits. It reads no clock.

use std::cell::Cell;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time as text.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    /// Since 1970.
    second: u64,
    text: [u8; Stamp::LEN],
}

thread_local! {
    /// The stamp of the line before: most lines of a busy log differ from it in their last digits alone.
    static LAST: Cell<Stamp> = const {
        Cell::new(Stamp { second: 0, text: *b"1970-01-01T00:00:00.000000Z" })
    };
}

impl Stamp {
    const LEN: usize = 27;
    const SECOND_LEN: usize = 19;

    /// The stamp of this time since 1970.
    pub(super) fn of(unix: Duration) -> Self {
        let mut stamp = LAST.get();
        if stamp.second != unix.as_secs() {
            stamp.set_second(unix.as_secs());
            LAST.set(stamp);
        }
        let mut micros = unix.subsec_micros();
        for digit in stamp.text[Self::SECOND_LEN + 1..Self::LEN - 1]
            .iter_mut()
            .rev()
        {
            *digit = b'0' + (micros % 10) as u8;
            micros /= 10;
        }
        stamp
    }

    /// A time that has no such text, after the year 9999, keeps the one before.
    fn set_second(&mut self, second: u64) {
        let time = i64::try_from(second).ok();
        let time = time.and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok());
        let text = time
            .and_then(|time| time.format(&Rfc3339).ok())
            .unwrap_or_default();
        for (to, from) in self.text[..Self::SECOND_LEN].iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self.second = second;
    }

    /// `2026-11-21T18:45:41.123456Z`
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(seconds: u64, nanos: u32) -> String {
        Stamp::of(Duration::new(seconds, nanos)).as_str().to_owned()
    }

    #[test]
    fn six_digits_and_utc() {
        assert_eq!(text(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(
            text(1_795_286_741, 123_456_999),
            "2026-11-21T18:45:41.123456Z"
        );
        assert_eq!(text(1_795_286_741, 999), "2026-11-21T18:45:41.000000Z");
        assert_eq!(text(0, 999_999_999), "1970-01-01T00:00:00.999999Z");
    }

    proptest! {
        #[test]
        fn one_stamp_leaves_nothing_in_the_next(
            times in proptest::collection::vec((0u64..253_402_300_800, 0u32..1_000_000_000), 1..5),
        ) {
            for (seconds, nanos) in times {
                let time = OffsetDateTime::from_unix_timestamp(seconds as i64).unwrap();
                let (date, (h, m, s)) = (time.date(), time.to_hms());
                let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
                let micros = nanos / 1000;
                prop_assert_eq!(
                    text(seconds, nanos),
                    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{micros:06}Z")
                );
            }
        }
    }
}
