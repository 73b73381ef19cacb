//! Which agents of a tenant live: their rows say so.

use async_trait::async_trait;
use dormouse_filesystem::{Namespace, ReadError, RecordError, Records, Tenant};
use dormouse_secrets::{AgentId, Agents};

use crate::AgentName;
use crate::agent::{Agent, AgentState};

/// The agents of a tenant, by their rows.
#[derive(Debug)]
pub(crate) struct Living(Records<Agent>);

impl Living {
    pub(crate) fn of(space: &Namespace<Tenant>) -> Self {
        Self(Records::new(space))
    }
}

#[async_trait]
impl Agents for Living {
    async fn living(&self, agent: &AgentId) -> Result<Option<dormouse_secrets::Incarnation>, ReadError> {
        let Ok(name) = agent.as_str().parse::<AgentName>() else {
            return Ok(None);
        };
        let row = self.0.get(&name).await.map_err(unread)?;
        Ok(row.and_then(|agent| match agent.state {
            AgentState::Active | AgentState::Paused => Some(agent.incarnation.of_secrets()),
            AgentState::Deleting | AgentState::Deleted => None,
        }))
    }
}

fn unread(error: RecordError) -> ReadError {
    match error {
        RecordError::Read(error) => error,
        RecordError::TooNew { found, known, .. } => ReadError::TooNew { found, known },
        RecordError::Invalid(_)
        | RecordError::Misplaced { .. }
        | RecordError::UnknownKind { .. }
        | RecordError::Exists { .. }
        | RecordError::NoIndex { .. }
        | RecordError::IndexBuilding { .. }
        | RecordError::CursorScope
        | RecordError::Commit(_) => ReadError::Invalid {
            reason: "the agent's row cannot be believed",
        },
    }
}
