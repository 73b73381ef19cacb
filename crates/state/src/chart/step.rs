//! What the charts are told about an input, and what they say besides the next state.

use std::time::Duration;

use jiff::Timestamp;

use crate::{Ignored, Rejected};

/// An input, as far as the table tells inputs apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    SessionStarted,
    Thinking,
    Working,
    CompactionStarted,
    CompactionFinished,
    /// A blocking gate opened.
    AwaitingHuman,
    TurnCompleted,
    Errored,
    Stalled,
    Ended,
    BeginTurn,
    BindRun,
    RunEnded(RunEnding),
    RunParked,
    Pause,
    Resume,
    AutoIdle,
    /// A blocking gate left pending.
    GateResolved(Resolution),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunEnding {
    Ok,
    Cancelled,
    Failed,
}

/// How the turn goes on after a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// The call that waited is made.
    CallGoesOn,
    /// The call that waited is told no, or the answer: the model goes on.
    ModelGoesOn,
    /// Nobody waits: somebody has to take the turn up again.
    Queued,
    /// The session pauses.
    Pauses,
}

/// The run that is bound, against the run of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    None,
    Same,
    Other,
}

/// What an answer depends on besides state and input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) is_turn_running: bool,
    pub(crate) is_turn_allotted: bool,
    pub(crate) is_compacting: bool,
    pub(crate) is_pause_pending: bool,
    pub(crate) is_stalled: bool,
    /// Whether the source of the event ended the last turn.
    pub(crate) is_from_ender: bool,
    pub(crate) is_expected_turn: bool,
    pub(crate) binding: Binding,
    /// Blocking gates that the input settles, and that are pending after it.
    pub(crate) settled: usize,
    pub(crate) remaining: usize,
    /// Whether the gates of a failed run stay.
    pub(crate) keeps_gates: bool,
    pub(crate) is_idle_due: bool,
    /// What a turn that is completed now is no longer news after.
    pub(crate) now: Timestamp,
    pub(crate) auto_idle: Duration,
}

/// Why nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Ignored(Ignored),
    Rejected(Rejected),
}

/// What a handler says besides the next state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) facts: Facts,
    pub(crate) refusal: Option<Refusal>,
    /// A turn has its number and has not begun.
    pub(crate) allots: bool,
    /// A turn begins; if one runs, it supersedes it.
    pub(crate) begins: bool,
    /// The turn ends though execution stays where it is.
    pub(crate) ends: bool,
    pub(crate) pause_pending: bool,
    pub(crate) stalls: bool,
}

impl Step {
    pub(super) fn new(facts: Facts) -> Step {
        Step {
            facts,
            refusal: None,
            allots: false,
            begins: false,
            ends: false,
            pause_pending: facts.is_pause_pending,
            stalls: false,
        }
    }
}
