//! What workers are started with (`run.*`, `worker.*`).

use dormouse_engine::worker::isolation::Policy;

use super::bounds::{CLOCK, GRACE as GRACE_BOUNDS};
use super::key::{Class, Key, Kind, Scope};
use super::table::store;

/// A clock, which a project may choose too: that of each run that begins after a reload.
const fn clock(path: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key {
        path,
        kind,
        default: Some(default),
        scope: Scope::Project,
        class: Class::Live,
        about,
    }
}

/// The wall clock.
pub(super) const WALL_CLOCK: Key = clock(
    "run.wall_clock",
    Kind::Duration(CLOCK),
    "30m",
    "how long a run may take, where neither its task nor its agent says",
);
/// The idle clock.
pub(super) const IDLE_TIMEOUT: Key = clock(
    "run.idle_timeout",
    Kind::DurationOrOff(CLOCK),
    "10m",
    "how long a run may be without progress, where neither its task nor its agent says",
);
/// When it is told that nothing is heard.
pub(super) const STALL_AFTER: Key = clock(
    "run.stall_after",
    Kind::DurationOrOff(CLOCK),
    "3m",
    "how long a run is without progress before its session is told that it stalls, where nobody else says",
);
/// From the cooperative stop to the kill.
pub(super) const GRACE: Key = clock(
    "run.grace",
    Kind::Duration(GRACE_BOUNDS),
    "10s",
    "how long a worker has from being asked to stop to being killed, where neither its task nor its agent says",
);
/// The walls.
pub(super) const ISOLATION: Key = store(
    "worker.isolation",
    Kind::Word(&Policy::WORDS),
    None,
    "whether workers are walled in: required, best_effort or off; required where the kernel can, else best_effort",
)
.live();
/// Names passed through.
pub(super) const PASS: Key = store(
    "worker.pass",
    Kind::Variables,
    Some(""),
    "variables that every worker gets as the owner has them, with commas between; credentials are refused",
)
.live();
/// Too many bad ends.
pub(super) const AGENT_INTENSITY: Key = store(
    "worker.agent_intensity",
    Kind::Intensity,
    Some("10/10m"),
    "how many runs of an agent end badly within how long before it is paused, or off",
)
.live();
/// Words for workers.
pub(super) const INBOX_MAX: Key = store(
    "worker.inbox_max",
    Kind::Number(1, 1_000),
    Some("16"),
    "most texts that wait to be said to the worker of a run (runs send)",
)
.live();
