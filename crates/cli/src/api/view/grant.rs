//! An approval for a session.

use dormouse_engine::gate::{Author, StandingGrant};
use dormouse_engine::{AgentName, GateId, SessionId};
use dormouse_filesystem::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An approval for equal calls of a session, as the API answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrantView {
    /// The gate whose approval gave it: what it is known by.
    pub id: GateId,
    /// The agent whose calls it lets through.
    pub agent: AgentName,
    /// The session.
    pub session: SessionId,
    /// Which life of it.
    pub incarnation: u32,
    /// The digest of the calls.
    pub digest: Digest,
    /// Who gave it.
    pub by: Author,
    /// When.
    pub created_at: Timestamp,
}

impl GrantView {
    /// The view of a row.
    #[must_use]
    pub fn of(grant: &StandingGrant) -> Self {
        Self {
            id: grant.gate,
            agent: grant.agent.clone(),
            session: grant.session,
            incarnation: grant.incarnation,
            digest: grant.digest,
            by: grant.by.clone(),
            created_at: grant.created_at,
        }
    }
}
