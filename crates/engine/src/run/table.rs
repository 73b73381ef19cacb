//! The states of a run (stores.md, section 6): a pure table.

use super::{RunState, StopReason};
use crate::outcome::Outcome;
use crate::{Decision, Reason};

/// What can happen to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunEvent {
    /// Its process, or future, is about to go.
    Start,
    /// It says how far it is.
    Checkpoint,
    /// It waits without being held.
    Park,
    /// What it waited for is there.
    Resume,
    /// It is told to stop.
    Stop,
    /// Its holder reports how it ended.
    Finish {
        /// Whether this very end was reported before.
        is_replay: bool,
    },
    /// Its holder vanished.
    Lapse,
}

impl RunEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Start,
        Self::Checkpoint,
        Self::Park,
        Self::Resume,
        Self::Stop,
        Self::Finish { is_replay: false },
        Self::Finish { is_replay: true },
        Self::Lapse,
    ];

    /// The event's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Checkpoint => "checkpoint",
            Self::Park => "park",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Finish { .. } => "finish",
            Self::Lapse => "lapse",
        }
    }
}

/// What becomes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunNext {
    /// It goes on in this state.
    Live(RunState),
    /// It ended as reported; [`reported`] says with which outcome.
    Reported,
    /// It ended by its stop reason.
    Stopped,
    /// It ended lost.
    Lost,
}

/// What becomes of a run in this state.
#[must_use]
pub fn decide(state: RunState, event: RunEvent) -> Decision<RunNext> {
    use Decision::{Apply, Ignore, Reject, Same};
    use RunEvent as E;
    use RunNext::{Live, Lost, Reported, Stopped};
    use RunState as S;
    match (state, event) {
        (S::Starting, E::Start) => Apply(Live(S::Running)),
        (S::Starting, E::Checkpoint | E::Park) => Reject(Reason::State),
        (S::Running, E::Start) => Ignore(Reason::Same),
        (S::Running, E::Checkpoint) => Same,
        (S::Running, E::Park) => Apply(Live(S::Waiting)),
        (S::Starting | S::Running, E::Resume) => Reject(Reason::Live),
        (S::Starting | S::Running, E::Stop) => Apply(Live(S::Stopping)),
        (S::Starting | S::Running, E::Finish { .. }) => Apply(Reported),
        (S::Starting | S::Running, E::Lapse) => Apply(Lost),

        (S::Waiting, E::Start | E::Checkpoint | E::Finish { .. }) => Reject(Reason::Fenced),
        (S::Waiting, E::Park) => Ignore(Reason::Same),
        (S::Waiting, E::Resume) => Apply(Live(S::Starting)),
        (S::Waiting, E::Stop) => Apply(Stopped),
        (S::Waiting, E::Lapse) => Ignore(Reason::Late),

        (S::Stopping, E::Start) => Ignore(Reason::Late),
        (S::Stopping, E::Checkpoint) => Same,
        (S::Stopping, E::Park) => Reject(Reason::Stopping),
        (S::Stopping, E::Resume) => Reject(Reason::Live),
        (S::Stopping, E::Stop) => Ignore(Reason::Same),
        (S::Stopping, E::Finish { .. }) => Apply(Reported),
        (S::Stopping, E::Lapse) => Apply(Stopped),

        (S::Ended, E::Start | E::Checkpoint | E::Park | E::Resume) => Reject(Reason::End),
        (S::Ended, E::Stop | E::Lapse) => Ignore(Reason::Late),
        (S::Ended, E::Finish { is_replay: true }) => Ignore(Reason::Replay),
        (S::Ended, E::Finish { is_replay: false }) => Reject(Reason::End),
    }
}

/// The outcome of a run whose holder reported this one.
///
/// A finished result stands, though a stop had begun: success, partial, blocked. Anything else that follows a stop is
/// the stop's own outcome, since the first reason stands.
#[must_use]
pub fn reported(stop: Option<&StopReason>, outcome: Outcome) -> Outcome {
    match (stop, outcome) {
        (None, outcome)
        | (_, outcome @ (Outcome::Success { .. } | Outcome::Partial { .. } | Outcome::Blocked { .. })) => {
            outcome
        }
        (
            Some(stop),
            Outcome::Failed { .. }
            | Outcome::Timeout { .. }
            | Outcome::Cancelled { .. }
            | Outcome::Lost { .. },
        ) => stop.outcome(),
    }
}
