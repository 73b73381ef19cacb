//! The settings of class live, as the engine and its supervisor take them: at the start, and at each reload.

use std::collections::BTreeMap;

use dormouse_engine::Adjustable;
use dormouse_engine::command::{ClockSettings, Timer};
use dormouse_engine::supervisor::SupervisorOptions;

use super::store::isolation;
use crate::args::milliseconds;
use crate::config::Config;
use crate::context::Context;

/// What the engine takes.
pub(crate) fn adjustable(config: &Config) -> Adjustable {
    Adjustable {
        agent_intensity: config.intensity(),
        clocks: clocks(config),
        wakes_timed_max: usize::try_from(config.number("wakes.timed_max")).unwrap_or(usize::MAX),
    }
}

/// What workers are started with.
pub(crate) fn set_workers(context: &Context, options: &mut SupervisorOptions) {
    options.passed = passed(context);
    options.isolation = isolation(context);
    options.inbox_max = usize::try_from(context.config.number("worker.inbox_max")).unwrap_or(usize::MAX);
}

/// The variables that workers get as we have them. One that is not set here, or is no text, they do not get.
fn passed(context: &Context) -> BTreeMap<String, String> {
    let names = context.config.passed().into_iter();
    let here = names.filter_map(|name| {
        let value = context.environment.get(name)?.to_str()?;
        Some((name.to_owned(), value.to_owned()))
    });
    here.collect()
}

/// The instance's own: the last that are asked.
fn clocks(config: &Config) -> ClockSettings {
    let ms = |path| config.duration(path).map(milliseconds);
    ClockSettings {
        wall_clock_ms: ms("run.wall_clock"),
        idle_timeout_ms: Some(Timer::from(ms("run.idle_timeout"))),
        stall_after_ms: Some(Timer::from(ms("run.stall_after"))),
        grace_ms: ms("run.grace"),
    }
}
