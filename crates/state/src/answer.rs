//! What a session answers to an input.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Completion, Edges, EndReason, Evidence, GateId, GateOutcome, Invalidation, Mode, Party, Row, RunId,
    TurnResult,
};

/// The answer to an input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an applied input has effects, and may have to be stored before anything else happens"]
pub enum Answer {
    /// The state changed.
    Applied(Applied),
    /// Nothing changed, and nobody has to be told. The event's position is noted all the same.
    Ignored(Ignored),
    /// Nothing changed, and whoever asked should know. The event's position is noted all the same.
    Rejected(Rejected),
}

impl Answer {
    /// What was applied, if it was.
    #[must_use]
    pub fn applied(&self) -> Option<&Applied> {
        match self {
            Answer::Applied(applied) => Some(applied),
            Answer::Ignored(_) | Answer::Rejected(_) => None,
        }
    }
}

/// A change of the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The moves from row to row, and the turns that began.
    pub edges: Edges,
    /// What came of it, in order: the events to tell.
    pub effects: Vec<Effect>,
    /// Whether the change is to be stored before it is acknowledged. What is not (work going on within a
    /// turn, a stall, a plan) may be gathered for a while.
    pub durable: bool,
}

/// One move in the table, as a session's history keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// The session's count of changes after it.
    pub sequence: u64,
    /// When, by the clock of whoever called.
    pub at: Timestamp,
    /// The row it left.
    pub from: Row,
    /// The row it reached.
    pub to: Row,
    /// What moved it.
    pub input: InputName,
    /// Who said it.
    pub source: Party,
    /// How well it is known.
    pub evidence: Evidence,
}

/// The columns of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are the events and commands of the same names")]
pub enum InputName {
    SessionStarted,
    Thinking,
    Working,
    CompactionStarted,
    CompactionFinished,
    AwaitingHuman,
    TurnCompleted,
    Errored,
    Stalled,
    Ended,
    BeginTurn,
    BindRun,
    RunEndedOk,
    RunEndedCancelled,
    RunEndedFailed,
    RunParked,
    Pause,
    Resume,
    AutoIdle,
    HumanResolved,
}

/// Something that came of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The provider's process got ready for the first time.
    SessionStarted,
    /// A turn began.
    TurnStarted {
        /// Its number.
        turn: u32,
        /// The run that works on it.
        run: Option<RunId>,
    },
    /// A turn ended.
    TurnEnded {
        /// Its number.
        turn: u32,
        /// How.
        result: TurnResult,
        /// Who ended it.
        by: Party,
        /// How long it ran, in milliseconds.
        duration_ms: u64,
    },
    /// A gate opened that the turn waits for.
    AwaitingHuman {
        /// The gate.
        gate: GateId,
        /// How many wait now.
        pending: usize,
    },
    /// A gate left pending.
    GateEnded {
        /// The gate.
        gate: GateId,
        /// How.
        outcome: GateOutcome,
    },
    /// The session can go on.
    Resumed(Resumed),
    /// The end of a turn is no longer news.
    BecameIdle,
    /// No turn is to begin from now on.
    Paused {
        /// Whether a turn had to end first.
        after_turn: bool,
    },
    /// It failed; the text is in the snapshot's `last_error`.
    Errored {
        /// A word for the kind of failure.
        reason: String,
    },
    /// Nothing was heard for long.
    Stalled {
        /// For how long, in milliseconds.
        silent_for_ms: u64,
    },
    /// A call was refused without asking anybody.
    PermissionDenied {
        /// The tool.
        tool: String,
    },
    /// Calls are made under another rule.
    ModeChanged {
        /// The rule until now.
        from: Mode,
        /// The rule from now on.
        to: Mode,
    },
    /// A run works on the session.
    RunBound {
        /// The run.
        run: RunId,
    },
    /// The run does not any more.
    RunUnbound {
        /// The run.
        run: RunId,
    },
    /// The session is over.
    Ended {
        /// Why.
        reason: EndReason,
        /// How many turns it had.
        turns: u32,
    },
}

/// Why a session can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resumed {
    /// A person decided.
    Decided,
    /// Nobody did in time.
    Expired,
    /// The provider went on, so it was settled there.
    Settled,
    /// The question lost its meaning.
    Invalidated,
    /// A failed session's process is ready again.
    Restarted,
    /// A pause was lifted.
    Operator,
}

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// The word of the table.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

reasons! {
    /// Why an input changes nothing, and nobody has to be told.
    Ignored {
        /// It is so already.
        Same = "same",
        /// The session had started.
        Started = "started",
        /// No turn runs that it could end.
        Over = "over",
        /// Nothing is going on that could stall.
        Idle = "idle",
        /// A person is asked; that is no stall.
        Human = "human",
        /// The session is paused.
        Paused = "paused",
        /// The session is over.
        Ended = "ended",
        /// It does not show that the wait is over.
        NoEvidence = "no_evidence",
        /// The gate is not pending here.
        NotPending = "not_pending",
        /// No deadline is set.
        NoDeadline = "no_deadline",
        /// The deadline is not reached.
        NotDue = "not_due",
        /// It is of a run that is not bound.
        StaleRun = "stale_run",
        /// It was read before.
        Duplicate = "duplicate",
        /// A subagent's work is not the session's.
        Subagent = "subagent",
        /// It happened before the turn began.
        StaleTurn = "stale_turn",
        /// It is inferred, and what is known is not.
        Weaker = "weaker",
        /// It is a late report of work on a turn that ended.
        Straggler = "straggler",
    }
}

reasons! {
    /// Why an input is refused.
    Rejected {
        /// The session is over.
        Ended = "ended",
        /// The session is paused, or about to be.
        Paused = "paused",
        /// There is no pause to lift.
        NotPaused = "not_paused",
        /// A turn runs, or it is not the expected one.
        Turn = "turn",
        /// Another run is bound.
        Run = "run",
        /// It is of another life of the session.
        Incarnation = "incarnation",
        /// There are as many sources as a session takes.
        Sources = "sources",
        /// There are as many pending gates as a session takes.
        Full = "full",
    }
}

impl From<Completion> for TurnResult {
    fn from(completion: Completion) -> TurnResult {
        match completion {
            Completion::Completed => TurnResult::Completed,
            Completion::Interrupted => TurnResult::Interrupted,
        }
    }
}

/// Why a gate that was answered, expired or withdrawn lets a session go on.
impl From<GateOutcome> for Resumed {
    fn from(outcome: GateOutcome) -> Resumed {
        match outcome {
            GateOutcome::Approved | GateOutcome::Answered | GateOutcome::Rejected => Resumed::Decided,
            GateOutcome::Expired(_) => Resumed::Expired,
            GateOutcome::Invalidated(Invalidation::SettledElsewhere) => Resumed::Settled,
            GateOutcome::Invalidated(_) | GateOutcome::Discarded => Resumed::Invalidated,
        }
    }
}
