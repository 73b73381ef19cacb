//! The settings of leases: how runs are held, and for how long.

use super::bounds::LEASE;
use super::key::{Key, Kind};
use super::table::store;

/// `lease.ttl`.
pub(super) const TTL: Key = store(
    "lease.ttl",
    Kind::Duration(LEASE),
    Some("90s"),
    "how long a run is held after a heartbeat; alike for all that share a store, as all of lease",
);
/// `lease.heartbeat`.
pub(super) const HEARTBEAT: Key = store(
    "lease.heartbeat",
    Kind::Duration(LEASE),
    Some("20s"),
    "how often that is renewed: more than store.commit_deadline, a third of lease.ttl at most",
);
/// `lease.skew`.
pub(super) const SKEW: Key = store(
    "lease.skew",
    Kind::Duration(LEASE),
    Some("5s"),
    "how long after its end a run is taken over by another, since clocks differ",
);
/// `lease.self_stop`.
pub(super) const SELF_STOP: Key = store(
    "lease.self_stop",
    Kind::Duration(LEASE),
    Some("45s"),
    "a worker is stopped without a durable heartbeat for so long: less than lease.ttl",
);
/// `lease.runway`.
pub(super) const RUNWAY: Key = store(
    "lease.runway",
    Kind::Duration(LEASE),
    Some("15s"),
    "what must be left before a side effect, or it is renewed first: less than lease.ttl",
);
/// `lease.batch_max`.
pub(super) const BATCH_MAX: Key = store(
    "lease.batch_max",
    Kind::Number(1, 256),
    Some("256"),
    "most heartbeats of one commit",
);
