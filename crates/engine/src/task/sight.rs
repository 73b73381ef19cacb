//! Which tasks who asks can see. What it cannot see is missing, in the same words.

use super::Task;
use crate::{AgentName, Incarnation};

/// Whose eyes tasks are seen with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    /// All of the tenant.
    Tenant,
    /// Those that this agent owns or is assigned.
    Agent(AgentName, Incarnation),
}

impl Sight {
    pub(super) fn sees(&self, task: &Task) -> bool {
        match self {
            Self::Tenant => true,
            Self::Agent(name, incarnation) => {
                let is_its = task.assignee == *name && task.agent_incarnation == *incarnation;
                let owns = task.owner.as_ref() == Some(name) && task.owner_incarnation == Some(*incarnation);
                is_its || owns
            }
        }
    }
}
