//! Between what the values of settings are taken.

use std::time::Duration;

use dormouse_engine::command;

use crate::bytes;
use crate::duration::Bounds;

/// The clocks of a run.
pub const CLOCK: Bounds = Bounds {
    min: command::CLOCK_MIN,
    max: command::CLOCK_MAX,
};
/// For how long a gate can be decided.
pub const EXPIRES: Bounds = Bounds {
    min: dormouse_engine::limits::GATE_TIMEOUT_MIN,
    max: dormouse_engine::limits::GATE_TIMEOUT_MAX,
};
/// From the cooperative stop to the kill.
pub const GRACE: Bounds = Bounds {
    min: Duration::ZERO,
    max: command::GRACE_MAX,
};
/// How long a command waits for an owner or an answer.
pub(super) const WAIT: Bounds = Bounds {
    min: Duration::from_millis(1),
    max: Duration::from_secs(3600),
};

/// For how long the end of a turn is news.
pub(super) const AUTO_IDLE: Bounds = Bounds {
    min: dormouse_state::AUTO_IDLE_MIN,
    max: dormouse_state::AUTO_IDLE_MAX,
};
/// What happens every now and then while a session is at work.
pub(super) const AT_WORK: Bounds = Bounds {
    min: Duration::from_millis(100),
    max: Duration::from_secs(60),
};
/// How long an approval can be used.
pub(super) const CAPABILITY_TTL: Bounds = Bounds {
    min: Duration::from_secs(1),
    max: Duration::from_secs(7 * 24 * 60 * 60),
};
/// What the janitor measures.
pub(super) const HOUSEKEEPING: Bounds = Bounds {
    min: Duration::from_secs(60),
    max: Duration::from_secs(3650 * 24 * 60 * 60),
};
/// How long a period lasts that is given as a duration.
pub const PERIOD: Bounds = Bounds {
    min: Duration::from_secs(60),
    max: Duration::from_secs(366 * 24 * 60 * 60),
};
const MIB: u64 = 1 << 20;
/// The index in memory.
pub(super) const CACHE: bytes::Bounds = bytes::Bounds {
    min: MIB,
    max: 64 << 30,
};
/// A segment of the log.
pub(super) const SEGMENT: bytes::Bounds = bytes::Bounds {
    min: MIB,
    max: 1 << 30,
};
/// What is kept of the disk.
pub(super) const RESERVE: bytes::Bounds = bytes::Bounds {
    min: MIB,
    max: 1 << 40,
};
/// What deriving a key of a passphrase takes of memory.
pub(super) const DERIVATION: bytes::Bounds = bytes::Bounds {
    min: dormouse_secrets::KDF_MEMORY_KIB_MIN as u64 * 1024,
    max: dormouse_secrets::KDF_MEMORY_KIB_MAX as u64 * 1024,
};
/// A commit, less than the 15 s that an update may take.
pub(super) const COMMIT: Bounds = Bounds {
    min: Duration::from_millis(100),
    max: Duration::from_millis(14_999),
};
/// How long an export is held of which nobody takes anything.
pub(super) const EXPORT_IDLE: Bounds = Bounds {
    min: Duration::from_secs(1),
    max: Duration::from_secs(24 * 60 * 60),
};
/// What is waited for within a commit.
pub(super) const WITHIN_COMMIT: Bounds = Bounds {
    min: Duration::from_millis(1),
    max: Duration::from_millis(14_998),
};
/// What lies between a heartbeat and the end of a lease.
pub(super) const LEASE: Bounds = Bounds {
    min: Duration::from_millis(1),
    max: dormouse_engine::limits::LEASE_TTL_MAX,
};
pub(super) const NOTIFY: Bounds = Bounds {
    min: Duration::from_millis(1),
    max: Duration::from_secs(10),
};
pub(super) const TOMBSTONES: Bounds = Bounds {
    min: Duration::from_secs(60),
    max: Duration::from_secs(365 * 24 * 60 * 60),
};
