//! Where a secret's row is: the scope with the agent's incarnation, and the name. One to one with its key.

use std::fmt;

use async_trait::async_trait;
use dormouse_filesystem::{ReadError, RecordId, Segment};
use serde::{Deserialize, Serialize};

use crate::{AgentId, Incarnation, SecretName, SecretRef, SecretScope};

/// One life of an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentAt {
    /// Its id.
    pub id: AgentId,
    /// Which life.
    pub incarnation: Incarnation,
}

/// Knows which agents of one tenant live.
#[async_trait]
pub trait Agents: fmt::Debug + Send + Sync + 'static {
    /// The incarnation of the living agent of this id; `None` when none lives.
    async fn living(&self, agent: &AgentId) -> Result<Option<Incarnation>, ReadError>;
}

/// Every agent lives, and once: for programs that keep no agents.
#[derive(Debug, Clone, Copy, Default)]
pub struct EveryAgent;

#[async_trait]
impl Agents for EveryAgent {
    async fn living(&self, _agent: &AgentId) -> Result<Option<Incarnation>, ReadError> {
        Ok(Some(Incarnation::from_u128(0)))
    }
}

/// Where a secret's row is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Place {
    /// The tenant's.
    Shared(SecretName),
    /// An agent's.
    Agent(AgentAt, SecretName),
}

impl Place {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &SecretName {
        match self {
            Self::Shared(name) | Self::Agent(_, name) => name,
        }
    }

    /// The agent, if it is an agent's.
    #[must_use]
    pub fn agent(&self) -> Option<&AgentAt> {
        match self {
            Self::Shared(_) => None,
            Self::Agent(agent, _) => Some(agent),
        }
    }

    /// What people call it.
    #[must_use]
    pub fn to_ref(&self) -> SecretRef {
        let scope = self.agent().map_or(SecretScope::InstanceShared, |agent| {
            SecretScope::Agent(agent.id.clone())
        });
        SecretRef {
            scope,
            name: self.name().clone(),
        }
    }
}

/// Where the rows of the tenant are, or of an agent.
pub(crate) fn range_of(agent: Option<&AgentAt>) -> Vec<Segment> {
    match agent {
        None => vec![word("shared")],
        Some(agent) => vec![word("agent"), agent.id.segment(), agent.incarnation.segment()],
    }
}

/// The name in the last segment of a key.
pub(crate) fn name_of(segment: &str) -> Option<SecretName> {
    let is_lower = !segment.bytes().any(|byte| byte.is_ascii_uppercase());
    SecretName::parse(&segment.to_ascii_uppercase())
        .ok()
        .filter(|_| is_lower)
}

fn word(text: &str) -> Segment {
    Segment::parse(text).expect("a fixed word is a segment")
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments = self.segments();
        let segments: Vec<&str> = segments.iter().map(Segment::as_str).collect();
        f.write_str(&segments.join("/"))
    }
}

impl RecordId for Place {
    fn segments(&self) -> Vec<Segment> {
        let mut segments = range_of(self.agent());
        let name = self.name().as_str().to_ascii_lowercase();
        segments.push(Segment::parse(&name).expect("a name begins with a letter and fits a segment"));
        segments
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        match segments {
            ["shared", name] => Some(Self::Shared(name_of(name)?)),
            ["agent", agent, incarnation, name] => {
                let agent = AgentAt {
                    id: agent.parse().ok()?,
                    incarnation: incarnation.parse().ok()?,
                };
                Some(Self::Agent(agent, name_of(name)?))
            }
            _ => None,
        }
    }
}
