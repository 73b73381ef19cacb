//! How a session behaves.

use std::time::Duration;

use crate::Mode;

/// The shortest time that the end of a turn is news.
pub const AUTO_IDLE_MIN: Duration = Duration::from_millis(100);
/// The longest time that the end of a turn is news.
pub const AUTO_IDLE_MAX: Duration = Duration::from_secs(600);

/// How a session behaves. Not part of the state: a restored session takes today's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// For how long the end of a turn is news: 3 s unless set, kept between [`AUTO_IDLE_MIN`] and
    /// [`AUTO_IDLE_MAX`].
    pub auto_idle: Duration,
    /// The rule that calls of a new session are made under.
    pub mode: Mode,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            auto_idle: Duration::from_secs(3),
            mode: Mode::Ask,
        }
    }
}

impl Options {
    pub(crate) fn auto_idle(self) -> Duration {
        self.auto_idle.clamp(AUTO_IDLE_MIN, AUTO_IDLE_MAX)
    }
}
