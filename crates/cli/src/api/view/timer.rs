//! A clock that may be off.

use dormouse_engine::command::Timer;
use serde::{Deserialize, Serialize};

/// A clock that may be off, as the API takes and answers it: milliseconds, or `"off"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TimerView {
    /// It ends after so many milliseconds.
    After(u64),
    /// It does not run.
    Word(Off),
}

/// The word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    /// `"off"`.
    Off,
}

impl From<Timer> for TimerView {
    fn from(timer: Timer) -> Self {
        match timer {
            Timer::Off => Self::Word(Off::Off),
            Timer::After(ms) => Self::After(ms),
        }
    }
}

impl From<TimerView> for Timer {
    fn from(timer: TimerView) -> Self {
        match timer {
            TimerView::Word(Off::Off) => Self::Off,
            TimerView::After(ms) => Self::After(ms),
        }
    }
}
