//! Who opens a namespace.

use std::time::Duration;

use jiff::Timestamp;

use super::COMMIT_DEADLINE;

/// Who opens a namespace, and when: what tells its handshake from those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opener {
    /// The time of the opening.
    pub now: Timestamp,
    /// A number no other opener has: the machine's random one, or a test's. It also seeds the jitter between the
    /// attempts of updates.
    pub seed: u64,
    /// How long a commit may take whose caller names no deadline. [`COMMIT_DEADLINE`].
    pub commit_deadline: Duration,
}

impl Opener {
    /// An opening at this time, with this number.
    #[must_use]
    pub const fn at(now: Timestamp, seed: u64) -> Self {
        Self {
            now,
            seed,
            commit_deadline: COMMIT_DEADLINE,
        }
    }

    /// After this time what an opener left of its handshake is that of a killed one.
    pub const REST_MAX: Duration = Duration::from_secs(60 * 60);
}
