//! PURE: how long an answer asks us to wait.

use std::time::Duration;

use awc::http::header::HeaderMap;

use crate::dispatch::exchange::Head;

/// The longest wait that a platform may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// How many requests a limit still lets through, and the seconds until it lets all of them through
/// (reference/mattermost.md 7).
const REMAINING: &str = "x-ratelimit-remaining";
const RESET: &str = "x-ratelimit-reset";
/// More seconds than any limit takes: what else goes by the name of `X-Ratelimit-Reset` is a time stamp.
const A_TIME_STAMP: u64 = 1_000_000_000;

/// The fields of an answer's head.
pub(in crate::dispatch) trait Fields {
    /// The values of a field that are text.
    fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str>;
}

impl Fields for Head {
    fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
    }
}

impl Fields for HeaderMap {
    fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.get_all(name).filter_map(|value| value.to_str().ok())
    }
}

/// What `Retry-After` of an answer asks for, or else its limit headers, of which there may be several
/// (reference/mattermost.md 7): used up is one of them, and the longest wait counts.
pub(in crate::dispatch) fn asked(
    status: u16,
    fields: &impl Fields,
    unix: impl FnOnce() -> Duration,
) -> Option<Duration> {
    let text = |name| fields.texts(name).next();
    let asked = text("retry-after").and_then(|asked| retry_after(asked, text("date"), unix));
    asked.or_else(|| {
        let is_used_up = status == 429
            || (200..300).contains(&status) && fields.texts(REMAINING).any(|left| left == "0");
        let resets = fields.texts(is_used_up.then_some(RESET)?);
        resets.filter_map(until_reset).max()
    })
}

/// Reads `Retry-After`: whole or decimal seconds rounded up, or an HTTP-date against the answer's own `Date`
/// (the two clocks may differ). What is unusable is as good as absent, and so is a wait of 0: taken at its word, a platform
/// that goes on refusing would be asked as fast as it can answer.
fn retry_after(
    value: &str,
    date: Option<&str>,
    unix: impl FnOnce() -> Duration,
) -> Option<Duration> {
    let wait = match value.trim().parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds > 0.0 => {
            Duration::from_secs_f64(seconds.ceil().min(MAX_RETRY_AFTER.as_secs_f64()))
        }
        Ok(_) => return None,
        Err(_) => {
            let at = httpdate::parse_http_date(value.trim()).ok()?;
            let now = date
                .and_then(|d| httpdate::parse_http_date(d).ok())
                .unwrap_or_else(|| std::time::UNIX_EPOCH + unix());
            at.duration_since(now)
                .unwrap_or_default()
                .max(Duration::from_secs(1))
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Reads `X-Ratelimit-Reset`, whole seconds. What is unusable is as good as absent.
fn until_reset(value: &str) -> Option<Duration> {
    let seconds: u64 = value.trim().parse().ok()?;
    let is_wait = (1..A_TIME_STAMP).contains(&seconds);
    is_wait.then(|| Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_seconds_and_no_time_stamp() {
        let secs = |value| until_reset(value).map(|wait| wait.as_secs());

        for (value, want) in [
            ("6", Some(6)),
            (" 1 ", Some(1)),
            ("7200", Some(3600)),
            ("0", None),
            ("-1", None),
            ("1.5", None),
            ("1795242173", None),
            ("", None),
        ] {
            assert_eq!(secs(value), want, "{value}");
        }
    }

    /// F-11 and F-12.
    #[test]
    fn retry_after_in_every_form() {
        let unix = Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        let secs = |value, date| retry_after(value, date, || unix).map(|d| d.as_secs());
        for (value, want) in [
            ("30", Some(30)),
            ("0", None),
            ("0.0", None),
            ("0.2", Some(1)),
            ("1.2", Some(2)),
            ("-5", None),
            ("99999999999", Some(3600)),
            ("soon", None),
            ("", None),
            ("NaN", None),
            ("inf", None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(1)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(1)),
            ("Sun, 06 Nov 2033 08:00:00 GMT", Some(3600)),
        ] {
            assert_eq!(secs(value, None), want, "{value}");
        }
        let skewed = Some("Sun, 06 Nov 1994 08:50:30 GMT");
        assert_eq!(secs("Sun, 06 Nov 1994 08:50:37 GMT", skewed), Some(7));
    }
}
