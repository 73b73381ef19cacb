//! The settings of wakes: how many there may be.

use super::key::{Key, Kind};
use super::table::store;

pub(super) const DUE_MAX: Key = store(
    "wakes.due_max",
    Kind::Number(1, 100_000_000),
    Some("1000000"),
    "most agents that are to be woken before asking for one more is refused; what becomes ready wakes its agent all the same",
);

pub(super) const TIMED_MAX: Key = store(
    "wakes.timed_max",
    Kind::Number(1, 100_000),
    Some("1000"),
    "most timed wakes of an agent that may wait",
)
.live();
