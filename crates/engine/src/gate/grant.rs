//! Standing grants: an approval for a life of a session, by which equal calls need no new one.

use dormouse_filesystem::{Class, Digest, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Author, InTurn, KeyId};
use crate::event::About;
use crate::{AgentName, GateId, Incarnation, OpId, SessionId, Subject};

/// An approval for a life of a session. It is removed when it is revoked, or that life ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingGrant {
    /// Its key.
    pub key: KeyId,
    /// The gate whose approval gave it: what it is known by.
    pub gate: GateId,
    /// The agent whose calls it lets through.
    pub agent: AgentName,
    /// That agent, told from former ones of its name.
    pub agent_incarnation: Incarnation,
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
    /// The command that wrote the row.
    pub op: OpId,
}

impl StandingGrant {
    /// The key of the grant for these calls in this life of a session.
    #[must_use]
    pub fn key_of(turn: &InTurn, digest: &Digest) -> KeyId {
        let (session, incarnation) = (turn.session.to_string(), turn.incarnation.to_string());
        KeyId::of_parts(&["grant", &session, &incarnation, &digest.to_string()])
    }

    /// What its events are about: the gate that gave it.
    #[must_use]
    pub fn about(&self) -> About {
        About::of(Subject::Gate(self.gate), &self.agent, self.agent_incarnation)
    }
}

indexes! {
    /// What finds grants.
    pub enum GrantIndex {
        /// By session and when they were given.
        Session = own "session",
    }
}

impl Record for StandingGrant {
    type Scope = Tenant;
    type Id = KeyId;
    type Index = GrantIndex;
    const KIND: RecordKind = RecordKind::of("standing_grant");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> KeyId {
        self.key
    }

    fn index_entries(&self) -> Vec<IndexEntry<GrantIndex>> {
        let session = IndexValue::name(&self.session.to_string());
        let values = [session, IndexValue::instant(self.created_at)];
        vec![IndexEntry::new(GrantIndex::Session, values)]
    }
}
