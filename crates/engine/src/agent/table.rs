//! The states of an agent (stores.md, section 4): a pure table.

use super::AgentState;
use crate::{Decision, Reason};

/// What can happen to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentEvent {
    /// It is made.
    Create,
    /// Its configuration is set.
    Configure,
    /// It is to claim and fire nothing.
    Pause,
    /// It may again.
    Resume,
    /// It is to go.
    Delete,
    /// All that was its has gone.
    TornDown,
}

impl AgentEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 6] = [
        Self::Create,
        Self::Configure,
        Self::Pause,
        Self::Resume,
        Self::Delete,
        Self::TornDown,
    ];

    /// The event's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Configure => "configure",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Delete => "delete",
            Self::TornDown => "torn_down",
        }
    }
}

/// What becomes of an agent. No row is the same as a deleted one.
#[must_use]
pub fn decide(state: Option<AgentState>, event: AgentEvent) -> Decision<AgentState> {
    use AgentEvent as E;
    use AgentState as S;
    use Decision::{Apply, Ignore, Reject, Same};
    match (state.unwrap_or(S::Deleted), event) {
        (S::Deleted, E::Create) => Apply(S::Active),
        (S::Deleted, E::TornDown) => Ignore(Reason::Late),
        (S::Deleted, E::Configure | E::Pause | E::Resume | E::Delete) => Reject(Reason::Missing),

        (S::Active | S::Paused, E::Create) => Reject(Reason::Exists),
        (S::Active | S::Paused, E::Configure) => Same,
        (S::Active, E::Pause) => Apply(S::Paused),
        (S::Active, E::Resume) => Ignore(Reason::Same),
        (S::Paused, E::Pause) => Ignore(Reason::Same),
        (S::Paused, E::Resume) => Apply(S::Active),
        (S::Active | S::Paused, E::Delete) => Apply(S::Deleting),
        (S::Active | S::Paused, E::TornDown) => Reject(Reason::State),

        (S::Deleting, E::Create | E::Configure | E::Pause | E::Resume) => Reject(Reason::Deleting),
        (S::Deleting, E::Delete) => Ignore(Reason::Same),
        (S::Deleting, E::TornDown) => Apply(S::Deleted),
    }
}
