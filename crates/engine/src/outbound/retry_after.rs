//! `Retry-After`, in both of its forms.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::clock::until;

/// How long to wait by this header: seconds, or an HTTP date. What is over is nothing, what is longer than `most` is that, and
/// what is neither is no header.
///
/// ```
/// use std::time::Duration;
/// use dormouse_engine::outbound::{RETRY_AFTER_MAX, retry_after};
///
/// let now = "2026-11-27T03:00:00Z".parse()?;
/// let wait = |value| retry_after(value, now, RETRY_AFTER_MAX);
/// assert_eq!(wait("3"), Some(Duration::from_secs(3)));
/// assert_eq!(wait("Fri, 27 Nov 2026 03:01:00 GMT"), Some(Duration::from_secs(60)));
/// assert_eq!(wait("soon"), None);
/// # Ok::<(), jiff::Error>(())
/// ```
#[must_use]
pub fn retry_after(value: &str, now: Timestamp, most: Duration) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has is longer than anybody waits.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(most));
    }
    let at = rfc2822::parse(value).ok()?.timestamp();
    Some(until(at, now).min(most))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outbound::RETRY_AFTER_MAX;

    fn now() -> Timestamp {
        "2026-11-27T03:00:00Z".parse().unwrap()
    }

    #[test]
    fn what_is_over_is_nothing_and_two_days_are_one() {
        for (value, seconds) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("172800", Some(86_400)),
            ("99999999999999999999999999", Some(86_400)),
            ("Fri, 27 Nov 2026 02:00:00 GMT", Some(0)),
            ("Fri, 27 Nov 2026 03:00:09 GMT", Some(9)),
            ("Sun, 29 Nov 2026 03:00:00 GMT", Some(86_400)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("tomorrow", None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(retry_after(value, now(), RETRY_AFTER_MAX), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_wait_within_the_limit_or_none(value in ".{0,40}") {
            let wait = retry_after(&value, now(), RETRY_AFTER_MAX);
            prop_assert!(wait.is_none_or(|wait| wait <= RETRY_AFTER_MAX));
        }
    }
}
