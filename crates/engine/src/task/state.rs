//! The state of a task, with what it waits for or how it ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::GateId;
use crate::run::OutcomeKind;

/// Where a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum TaskState {
    /// Somebody is to approve it first.
    PendingApproval,
    /// Put aside.
    Backlog,
    /// To be claimed.
    Ready,
    /// A run is at it.
    Running,
    /// Nothing to do before something happens.
    Waiting {
        /// What.
        on: Wait,
    },
    /// Ended: it was done.
    Done {
        /// By this outcome of its last run.
        outcome: OutcomeKind,
    },
    /// Ended: it was not done, and is not tried again unless somebody says so.
    Failed {
        /// By this outcome of its last run.
        outcome: OutcomeKind,
    },
    /// Ended: it failed too often.
    Quarantined,
    /// Ended: it was called off.
    Cancelled,
}

/// What a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Wait {
    /// The decision of a gate.
    Gate {
        /// Which.
        gate: GateId,
    },
    /// A time.
    Until {
        /// When.
        until: Timestamp,
    },
    /// The end of other tasks.
    Tasks,
}

impl TaskState {
    /// The state's word, as printed and indexed.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::PendingApproval => "pending_approval",
            Self::Backlog => "backlog",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Waiting { .. } => "waiting",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Quarantined => "quarantined",
            Self::Cancelled => "cancelled",
        }
    }

    /// Every word a state has, in the order of a task's life.
    pub const WORDS: [&'static str; 9] = [
        "pending_approval",
        "backlog",
        "ready",
        "running",
        "waiting",
        "done",
        "failed",
        "quarantined",
        "cancelled",
    ];

    /// Whether it is an end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Done { .. } | Self::Failed { .. } | Self::Quarantined | Self::Cancelled => true,
            Self::PendingApproval | Self::Backlog | Self::Ready | Self::Running | Self::Waiting { .. } => {
                false
            }
        }
    }
}
