//! Why a capability does not do what was asked.

use crate::{CommandError, GateId, RunId};

/// What capabilities answer when they do not do what was asked. The capability is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CapabilityError {
    /// There is none, or none to be seen by this run. Ask.
    #[error("there is no capability {gate}")]
    Unknown {
        /// The gate.
        gate: GateId,
    },
    /// It is for another call. Ask for this one.
    #[error("the approval is for another call")]
    Mismatch,
    /// Another run is at it.
    #[error("the approval is being used by {run}")]
    Claimed {
        /// Which.
        run: RunId,
    },
    /// It cannot be used any more. Ask again.
    #[error("the approval is {state}")]
    Closed {
        /// The word of how it ended.
        state: &'static str,
    },
    /// The run does not hold it, its effect has not begun, or it may be happening.
    #[error("the approval does not allow it: {reason}")]
    Refused {
        /// The word of the table.
        reason: &'static str,
    },
    /// As any command; `Fenced` and `LeaseExpired` tell the run to stop at once.
    #[error(transparent)]
    Command(#[from] CommandError),
}
