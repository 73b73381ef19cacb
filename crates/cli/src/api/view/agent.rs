//! An agent.

use dormouse_engine::AgentName;
use dormouse_engine::agent::{Agent, AgentState};
use dormouse_engine::command::Effects;
use dormouse_filesystem::Version;
use dormouse_secrets::SecretName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FormatsView, TimerView};

/// An agent, as the API answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentView {
    /// Its name.
    pub name: AgentName,
    /// Where it is.
    pub state: AgentState,
    /// Runs at once.
    pub concurrency: u32,
    /// The agents it may give tasks to.
    pub delegates_to: Vec<AgentName>,
    /// The secrets its workers get; all that it sees where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
    /// What is done about credentials that nobody registered, where it is said of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub_formats: Option<FormatsView>,
    /// What is known of the effects of its workers, where that is said of it; else as their kind has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Effects>,
    /// How long its runs may take, where their task does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_clock_ms: Option<u64>,
    /// How long they may be without progress, where their task does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<TimerView>,
    /// How long without progress is a stall, where their task does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall_after_ms: Option<TimerView>,
    /// How long they have from being asked to stop to being killed, where their task does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// Why it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Its version.
    pub version: Version,
}

impl AgentView {
    /// The view of a row.
    #[must_use]
    pub fn of(agent: &Agent, version: Version) -> Self {
        let clocks = &agent.config.clocks;
        Self {
            name: agent.name.clone(),
            state: agent.state,
            concurrency: agent.config.concurrency,
            delegates_to: agent.config.delegates_to.clone(),
            secrets: agent.config.secrets.clone(),
            scrub_formats: agent.config.formats.map(FormatsView::from),
            effects: agent.config.effects,
            wall_clock_ms: clocks.wall_clock_ms,
            idle_timeout_ms: clocks.idle_timeout_ms.map(TimerView::from),
            stall_after_ms: clocks.stall_after_ms.map(TimerView::from),
            grace_ms: clocks.grace_ms,
            paused_reason: agent.paused_reason.as_ref().map(ToString::to_string),
            created_at: agent.created_at,
            updated_at: agent.updated_at,
            version,
        }
    }
}
