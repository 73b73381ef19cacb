//! A credential session: the lease of a run on the set it was started with.

use dormouse_filesystem::{
    Class, IndexEntry, IndexValue, PAGE_MAX, Query, Record, RecordKind, Tenant, Versioned, indexes,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Cause, LEASE_KEPT, LeaseEvent, LeaseId, LeaseStatus, Left};
use crate::secrets::Secrets;
use crate::{AgentAt, LeaseError, SecretName};

/// Most uses of a credential session.
pub const SESSION_USES_MAX: u32 = 256;

/// A credential session, as it is stored: names and generations, no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRow {
    /// Its id.
    pub id: LeaseId,
    /// The run.
    pub run: String,
    /// The run's agent.
    pub agent: AgentAt,
    /// What was injected at the last spawn, with its generation, sorted.
    pub names: Vec<(SecretName, u64)>,
    /// How many spawns took the set.
    pub used: u32,
    /// Since when.
    pub granted_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
    /// How it is.
    pub status: LeaseStatus,
    /// Why it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl SessionRow {
    /// What a further spawn at this time is.
    pub(crate) fn use_at(&self, now: Timestamp) -> LeaseEvent {
        if now >= self.expires_at {
            LeaseEvent::UseLate
        } else if self.used + 1 >= SESSION_USES_MAX {
            LeaseEvent::Use(Left::Last)
        } else {
            LeaseEvent::Use(Left::More)
        }
    }

    pub(crate) fn ended(&self, status: LeaseStatus, cause: Option<Cause>, now: Timestamp) -> Self {
        Self {
            status,
            cause,
            ended_at: Some(now),
            ..self.clone()
        }
    }

    pub(crate) fn refusal(&self) -> LeaseError {
        super::record::refusal(self.status, self.cause, self.expires_at)
    }
}

indexes! {
    /// What finds credential sessions.
    pub enum SessionIndex {
        /// By their run.
        Run = own "run",
        /// By when they may go, over all tenants.
        Retire = system "retire",
    }
}

impl Record for SessionRow {
    type Scope = Tenant;
    type Id = LeaseId;
    type Index = SessionIndex;
    const KIND: RecordKind = RecordKind::of("secret_session");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> LeaseId {
        self.id
    }

    fn index_entries(&self) -> Vec<IndexEntry<SessionIndex>> {
        let gone_at = self.ended_at.unwrap_or(self.expires_at) + LEASE_KEPT;
        vec![
            IndexEntry::new(SessionIndex::Run, [IndexValue::bytes(self.run.as_bytes())]),
            IndexEntry::new(SessionIndex::Retire, [IndexValue::instant(gone_at)]),
        ]
    }
}

impl Secrets {
    /// The credential sessions of a run.
    ///
    /// # Errors
    /// As any list.
    pub async fn sessions_of(&self, run: &str) -> Result<Vec<Versioned<SessionRow>>, LeaseError> {
        Ok(self.sessions().find(&sessions_query(run)).await?.rows)
    }
}

pub(super) fn sessions_query(run: &str) -> Query<SessionIndex> {
    Query::of(SessionIndex::Run)
        .equals([IndexValue::bytes(run.as_bytes())])
        .limit(PAGE_MAX)
}
