//! Who this process is: on which host, since which boot, and in which epoch of its store.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Random;
use crate::id::uuid_v7;
use crate::worker::Boot;

/// One opening of a store by one process: what holds leases. No two are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(Uuid);

impl Epoch {
    /// A new one.
    #[must_use]
    pub fn make(now: Timestamp, random: &Random) -> Self {
        Self(uuid_v7(now, random))
    }
}

/// A place that one living process has at a time, such as a lock that the kernel frees with its holder.
///
/// In a store that several machines share it tells a holder that is certainly dead from one that is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seat(String);

impl Seat {
    /// The place of this name, which is unlike that of any other place of any machine and boot.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
}

/// The identity of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIdentity {
    /// The host's name.
    pub host: String,
    /// Which boot of the host this is: a pid of another boot is another process.
    pub boot_id: String,
    /// This process.
    pub pid: u32,
    /// This opening of the store.
    pub epoch: Epoch,
    /// What it has alone among all processes that live: its former holders are dead. None where nothing says so.
    pub seat: Option<Seat>,
}

impl HostIdentity {
    /// This process, in a new epoch, without a seat.
    #[must_use]
    pub fn new(boot: Boot, pid: u32, now: Timestamp, random: &Random) -> Self {
        Self {
            host: boot.host,
            boot_id: boot.boot_id,
            pid,
            epoch: Epoch::make(now, random),
            seat: None,
        }
    }
}
