//! Sessions: what is known about one conversation of an agent, kept as a row beside its runs.
//!
//! The machine is `dormouse-state`; here its snapshot is a record, and [`Sessions`] lets it follow the runs bound to
//! it: every change of a run changes its session in the same commit. Attempts at one task share their session.

mod apply;
mod follow;
mod service;

use dormouse_filesystem::{
    Class, Cursor, IndexEntry, IndexValue, Namespace, Query, Record, RecordKind, Records, Tenant, Versioned,
    indexes,
};
use dormouse_state::{Display, Lifecycle, Options, Session, Snapshot};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use follow::Sessions;
pub(crate) use follow::Told;
pub use service::SessionService;

use crate::event::About;
use crate::{AgentName, CommandError, Incarnation, OpId, SessionId, Subject};

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// The agent that has it.
    pub agent: AgentName,
    /// That agent, told from former ones of its name.
    pub agent_incarnation: Incarnation,
    /// The state of its machine.
    pub state: Snapshot,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

impl SessionRow {
    /// The machine, at this state.
    ///
    /// # Errors
    /// `Corrupt` when the state contradicts itself, `TooNew` when a newer build wrote it; it is untouched.
    pub fn session(&self, now: Timestamp) -> Result<Session, CommandError> {
        Session::restore(self.state.clone(), Options::default(), now).map_err(|error| match error {
            dormouse_state::RestoreError::TooNew { .. } => CommandError::TooNew(error.into()),
            corrupt @ dormouse_state::RestoreError::Corrupt { .. } => CommandError::Corrupt(corrupt.into()),
        })
    }

    /// The one word to show for it now.
    ///
    /// # Errors
    /// As [`session`](Self::session).
    pub fn display(&self, now: Timestamp) -> Result<Display, CommandError> {
        Ok(self.session(now)?.display(now))
    }

    fn about(&self) -> About {
        About::of(Subject::Session(self.id), &self.agent, self.agent_incarnation)
    }
}

indexes! {
    /// What finds sessions.
    pub enum SessionIndex {
        /// By id, so in the order they were made.
        Id = own "id",
        /// By agent and when they were made.
        Agent = own "agent",
        /// Those that become idle at a time, over all tenants.
        Due = system "due",
    }
}

impl Record for SessionRow {
    type Scope = Tenant;
    type Id = SessionId;
    type Index = SessionIndex;
    const KIND: RecordKind = RecordKind::of("session");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> SessionId {
        self.id
    }

    fn index_entries(&self) -> Vec<IndexEntry<SessionIndex>> {
        let agent = IndexValue::segment(self.agent.segment());
        let by_agent = [agent, IndexValue::instant(self.created_at)];
        let mut entries = vec![
            IndexEntry::new(SessionIndex::Id, []),
            IndexEntry::new(SessionIndex::Agent, by_agent),
        ];
        if let Lifecycle::Completed { idle_at } = self.state.lifecycle {
            entries.push(IndexEntry::new(SessionIndex::Due, [IndexValue::instant(idle_at)]));
        }
        entries
    }
}

/// A session, if there is one of this id. Reads create nothing.
///
/// # Errors
/// As any read.
pub async fn get(
    tenant: &Namespace<Tenant>,
    id: SessionId,
) -> Result<Option<Versioned<SessionRow>>, CommandError> {
    Ok(Records::<SessionRow>::new(tenant).get(&id).await?)
}

/// One page of an agent's sessions, oldest first.
///
/// # Errors
/// As any query.
pub async fn list(
    tenant: &Namespace<Tenant>,
    agent: &AgentName,
    after: Option<Cursor>,
    limit: usize,
) -> Result<(Vec<Versioned<SessionRow>>, Option<Cursor>), CommandError> {
    let query = Query::of(SessionIndex::Agent)
        .equals([IndexValue::segment(agent.segment())])
        .after(after)
        .limit(limit);
    let found = Records::<SessionRow>::new(tenant).find(&query).await?;
    Ok((found.rows, found.next))
}
