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
}

impl HostIdentity {
    /// This process, in a new epoch.
    #[must_use]
    pub fn new(boot: Boot, pid: u32, now: Timestamp, random: &Random) -> Self {
        Self {
            host: boot.host,
            boot_id: boot.boot_id,
            pid,
            epoch: Epoch::make(now, random),
        }
    }
}
