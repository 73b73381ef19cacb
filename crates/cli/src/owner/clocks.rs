//! The clocks of runs of which neither the task nor its agent says any.

use dormouse_engine::command::{ClockSettings, Timer};

use crate::args::milliseconds;
use crate::config::Config;

/// The instance's own: the last that are asked.
pub(super) fn clocks(config: &Config) -> ClockSettings {
    let ms = |path| config.duration(path).map(milliseconds);
    ClockSettings {
        wall_clock_ms: ms("run.wall_clock"),
        idle_timeout_ms: Some(Timer::from(ms("run.idle_timeout"))),
        stall_after_ms: Some(Timer::from(ms("run.stall_after"))),
        grace_ms: ms("run.grace"),
    }
}
