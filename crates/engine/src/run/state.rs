//! The parts of a run's state: where it is, its last checkpoint, and why it is being stopped.

use std::time::Duration;

use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::outcome::{CancelledBy, ClockKind, Outcome};
use crate::{GateId, Principal};

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Claimed; nothing was spawned yet.
    Starting,
    /// At work.
    Running,
    /// Parked: nobody holds it.
    Waiting,
    /// Told to stop.
    Stopping,
    /// It has its outcome.
    Ended,
}

impl RunState {
    /// Every state, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Starting,
        Self::Running,
        Self::Waiting,
        Self::Stopping,
        Self::Ended,
    ];

    /// The state's word, as printed and indexed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
        }
    }
}

/// What a parked run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum RunWait {
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
}

/// What is known of a run's effects: decides what a lapse does (stores.md, table C).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub enum Checkpoint {
    /// Nothing happened yet.
    #[default]
    None,
    /// What happened is known, and may be built upon.
    Safe {
        /// Where it stands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<Scrubbed>,
    },
    /// Something may be happening outside that is not to happen twice.
    SideEffect {
        /// What.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        what: Option<Scrubbed>,
    },
}

/// Why a run is being stopped. The first stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum StopReason {
    /// Somebody wanted it.
    Cancel {
        /// Who.
        by: Principal,
        /// Why, as they said it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Scrubbed>,
    },
    /// A clock ran out.
    Clock {
        /// Which.
        clock: ClockKind,
        /// Its limit, in milliseconds.
        limit_ms: u64,
    },
    /// The engine leaves.
    Shutdown,
    /// The agent was paused together with its runs.
    AgentPause,
}

impl StopReason {
    /// That this clock ran out.
    pub(crate) fn clock(clock: ClockKind, limit: Duration) -> Self {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Self::Clock { clock, limit_ms }
    }

    /// The word of the cause, as on events.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Cancel { .. } => "cancel",
            Self::Clock { clock, .. } => match clock {
                ClockKind::Wall => "wall",
                ClockKind::Idle => "idle",
            },
            Self::Shutdown => "shutdown",
            Self::AgentPause => "agent_pause",
        }
    }

    /// The outcome of a run that ends by this.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Cancel { reason, .. } => Outcome::Cancelled {
                by: CancelledBy::Principal,
                reason: reason.clone(),
            },
            Self::Clock { clock, limit_ms } => Outcome::Timeout {
                clock: *clock,
                limit_ms: *limit_ms,
            },
            Self::Shutdown => Outcome::Cancelled {
                by: CancelledBy::Shutdown,
                reason: None,
            },
            Self::AgentPause => Outcome::Cancelled {
                by: CancelledBy::AgentPause,
                reason: None,
            },
        }
    }
}
