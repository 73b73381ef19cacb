//! The settings of retention: how long what is over is kept.

use super::bounds::HOUSEKEEPING;
use super::key::{Key, Kind};
use super::table::store;

/// `retention.gates`.
pub(super) const GATES: Key = store(
    "retention.gates",
    Kind::Duration(HOUSEKEEPING),
    Some("90d"),
    "how long a decided gate keeps what was asked and said; as long again its decision is kept",
);
/// `retention.tasks`.
pub(super) const TASKS: Key = store(
    "retention.tasks",
    Kind::Duration(HOUSEKEEPING),
    Some("90d"),
    "how long an ended task is kept, with its runs, their outcomes and output",
);
/// `retention.tombstones`.
pub(super) const TOMBSTONES: Key = store(
    "retention.tombstones",
    Kind::Duration(HOUSEKEEPING),
    Some("90d"),
    "how long it is known then that it was, and how it ended",
);
/// `retention.steps`.
pub(super) const STEPS: Key = store(
    "retention.steps",
    Kind::Duration(HOUSEKEEPING),
    Some("7d"),
    "how long the steps of an ended task are kept for a retry",
);
/// `retention.holds`.
pub(super) const HOLDS: Key = store(
    "retention.holds",
    Kind::Duration(HOUSEKEEPING),
    Some("30d"),
    "how long closed holds of budgets are kept",
);
/// `retention.usage`.
pub(super) const USAGE: Key = store(
    "retention.usage",
    Kind::Duration(HOUSEKEEPING),
    Some("400d"),
    "how long it is known what an account used on a day",
);
/// `retention.events`.
pub(super) const EVENTS: Key = store(
    "retention.events",
    Kind::Duration(HOUSEKEEPING),
    Some("30d"),
    "how long events are kept, and longer for a sink that has not got them yet",
);
/// `retention.events_max`.
pub(super) const EVENTS_MAX: Key = store(
    "retention.events_max",
    Kind::Number(1_000, 1_000_000_000),
    Some("1000000"),
    "most events that are kept of a tenant, whatever their age",
);
