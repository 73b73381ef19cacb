//! Calls to others over a network: when one is made again, when it is given up, and when it is not known what became of it.
//!
//! ```text
//! send ──▶ Answer ──decide──▶ Done
//!   ▲                         Again{wait}    by backoff, never sooner than `Retry-After`
//!   └─────────────────────────┘
//!                             Later{at}      that is beyond the deadline: kept, and gone on with then
//!                             GivenUp        it did not happen, or was refused
//!                             Unknown        it was sent, and nobody said: no other channel sends it again
//! ```
//!
//! [`decide()`] is pure: what was answered, how often and how long it was tried go in, with a drawn number. [`Caller`] drives it
//! over a [`Transport`], which knows the protocol.

mod caller;
mod decide;
mod retry_after;

pub use caller::{Attempt, Caller, Ended, Transport, Tried};
pub use decide::{Answer, Next, Repeat, So, Why, decide};
pub use retry_after::retry_after;

use std::time::Duration;

/// Most attempts at one call (`outbound.attempts`).
pub const ATTEMPTS_MAX: u32 = 4;
/// How long a call may take, its waits included (`outbound.deadline`).
pub const DEADLINE: Duration = Duration::from_secs(60);
/// The longest that `Retry-After` is heeded (`outbound.retry_after_max`).
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Within this the first wait is drawn; each next one within twice as much.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// The longest wait that is drawn from.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Limits of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Most attempts; [`ATTEMPTS_MAX`].
    pub attempts_max: u32,
    /// How long it may take, its waits included; [`DEADLINE`].
    pub deadline: Duration,
    /// The longest that `Retry-After` is heeded; [`RETRY_AFTER_MAX`].
    pub retry_after_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            attempts_max: ATTEMPTS_MAX,
            deadline: DEADLINE,
            retry_after_max: RETRY_AFTER_MAX,
        }
    }
}
