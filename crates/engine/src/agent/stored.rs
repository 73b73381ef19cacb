//! The form in which an agent is stored: a tombstone keeps no configuration, and every other row has one.

use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Agent, AgentConfig, AgentState};
use crate::{AgentName, Incarnation, OpId};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    name: AgentName,
    incarnation: Incarnation,
    state: AgentState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<AgentConfig>,
    config_digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paused_reason: Option<Scrubbed>,
    created_at: Timestamp,
    updated_at: Timestamp,
    op: OpId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
}

/// A row that contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Contradiction {
    /// Nobody knows what the agent may do.
    #[error("config: is missing, and the agent is not deleted")]
    NoConfig,
    /// A tombstone with more than it keeps, or an agent that is there and was deleted.
    #[error("deleted_at: a deleted agent has it and no configuration, and no other has it")]
    Deleted,
}

impl TryFrom<Stored> for Agent {
    type Error = Contradiction;

    fn try_from(stored: Stored) -> Result<Self, Contradiction> {
        let is_deleted = stored.state == AgentState::Deleted;
        if is_deleted != stored.deleted_at.is_some() || (is_deleted && stored.config.is_some()) {
            return Err(Contradiction::Deleted);
        }
        let config = match stored.config {
            Some(config) => config,
            None if is_deleted => AgentConfig::default(),
            None => return Err(Contradiction::NoConfig),
        };
        Ok(Self {
            name: stored.name,
            incarnation: stored.incarnation,
            state: stored.state,
            config,
            config_digest: stored.config_digest,
            paused_reason: stored.paused_reason,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
            op: stored.op,
            deleted_at: stored.deleted_at,
        })
    }
}

impl From<Agent> for Stored {
    fn from(agent: Agent) -> Self {
        Self {
            name: agent.name,
            incarnation: agent.incarnation,
            state: agent.state,
            config: (agent.state != AgentState::Deleted).then_some(agent.config),
            config_digest: agent.config_digest,
            paused_reason: agent.paused_reason,
            created_at: agent.created_at,
            updated_at: agent.updated_at,
            op: agent.op,
            deleted_at: agent.deleted_at,
        }
    }
}
