//! Wakes, as they are answered.

use dormouse_engine::command::CommandSpec;
use dormouse_engine::wake::{TimedWake, Woken};
use dormouse_engine::{AgentName, WakeId};
use dormouse_filesystem::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// That an agent is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WokenView {
    /// It is written down: durable, and not yet delivered.
    pub queued: bool,
    /// It was to be looked at already: one look serves both.
    pub coalesced: bool,
    /// Who answers serves wakes itself; else it waits for one that does.
    pub served: bool,
}

impl WokenView {
    /// The view of an answer.
    #[must_use]
    pub fn of(woken: Woken) -> Self {
        Self {
            queued: true,
            coalesced: woken.coalesced,
            served: woken.served,
        }
    }
}

/// That an agent is to be woken at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WakeView {
    /// Its id.
    pub id: WakeId,
    /// Whose task it becomes.
    pub agent: AgentName,
    /// When.
    pub due: Timestamp,
    /// Why, as whoever added it said.
    pub reason: String,
    /// The command line that does the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandSpec>,
    /// When it was added.
    pub created_at: Timestamp,
    /// Its version.
    pub version: Version,
}

impl WakeView {
    /// The view of a row.
    #[must_use]
    pub fn of(wake: &TimedWake, version: Version) -> Self {
        Self {
            id: wake.id,
            agent: wake.agent.clone(),
            due: wake.due,
            reason: wake.reason.to_string(),
            command: wake.command.clone(),
            created_at: wake.created_at,
            version,
        }
    }
}
