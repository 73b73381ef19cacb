//! How long something took, for people to read.

use std::fmt;
use std::time::{Duration, Instant};

/// Measures from when it is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing here is tested with paused time"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn read(self) -> Took {
        Took(self.0.elapsed())
    }
}

/// A time taken; prints as seconds, or minutes and seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Took(pub(crate) Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        if seconds < 60.0 {
            write!(f, "{seconds:.1} s")
        } else {
            write!(f, "{} min {:02} s", self.0.as_secs() / 60, self.0.as_secs() % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_shown_from_one_minute_on() {
        assert_eq!(Took(Duration::from_millis(59_940)).to_string(), "59.9 s");
        assert_eq!(Took(Duration::from_secs(61)).to_string(), "1 min 01 s");
    }
}
