//! What the engine says.

use crate::{Caller, GateId, GateOutcome, Mode, RunId};

/// A word of the engine. It needs no position and passes no filter: the engine is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The next turn begins; one that runs is superseded.
    BeginTurn {
        /// Refuse unless this is the number of the newest turn now.
        expected_turn: Option<u32>,
    },
    /// From now on the session is worked on by this run.
    BindRun {
        /// The run.
        run: RunId,
    },
    /// The run waits without a process. It has not ended, its gates stay.
    RunParked {
        /// The run.
        run: RunId,
    },
    /// The run has an outcome.
    RunEnded {
        /// The run.
        run: RunId,
        /// Which, as far as a session is concerned.
        end: RunEnd,
    },
    /// No turn is to begin; one that runs may end.
    Pause,
    /// Turns may begin again.
    Resume,
    /// Calls are made under another rule.
    SetMode {
        /// The rule.
        mode: Mode,
    },
    /// A gate left pending: a person, a deadline or the engine decided.
    ResolveGate {
        /// The gate.
        gate: GateId,
        /// How it ended.
        outcome: GateOutcome,
        /// Whether its call still waits.
        caller: Caller,
    },
    /// The conversation is over.
    End {
        /// Why.
        reason: EndReason,
    },
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Success, or a part of it.
    Ok,
    /// Somebody stopped it.
    Cancelled,
    /// Anything else.
    Failed {
        /// A word for the kind of failure.
        reason: String,
        /// What was said, scrubbed.
        text: String,
        /// What becomes of the gates the run had open.
        gates: FailedRunGates,
    },
}

/// What becomes of the gates of a failed run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailedRunGates {
    /// They lose their meaning.
    Invalidate,
    /// The run was lost and its task will be tried again: they stay, and the turn waits on.
    Keep,
}

/// Why a conversation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The provider said so.
    Observed,
    /// A person said so.
    Operator,
    /// Nothing happened for long.
    Stale,
    /// Its agent was deleted.
    AgentDeleted,
}

impl EndReason {
    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EndReason::Observed => "observed",
            EndReason::Operator => "operator",
            EndReason::Stale => "stale",
            EndReason::AgentDeleted => "agent_deleted",
        }
    }
}
