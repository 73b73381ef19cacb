//! The row beside a session's own: what it does within a turn, gathered for a second.
//!
//! A crash may lose it: the sources tell it again from the positions that are stored. It counts only on the very
//! session row it was written on, so whoever writes that row without having read it loses nothing but it.

use dormouse_filesystem::{
    Class, IndexEntry, Namespace, NoIndexes, Record, RecordKind, Records, Tenant, Version, Versioned,
};
use dormouse_state::{Edge, Options, Session, Snapshot};
use futures::future::try_join;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{SessionRow, machine, told};
use crate::draft::Draft;
use crate::{CommandError, SessionId};

/// A session's newest state, as far as it was gathered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionLive {
    /// The session.
    pub id: SessionId,
    /// The version of the session's row it goes on from.
    pub base: Version,
    /// The state of its machine.
    pub state: Snapshot,
    /// The edges since that row: they are history with the next commit of the row.
    pub edges: Vec<Edge>,
    /// When it was written.
    pub updated_at: Timestamp,
}

impl Record for SessionLive {
    type Scope = Tenant;
    type Id = SessionId;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("session_live");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Advisory;

    fn id(&self) -> SessionId {
        self.id
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}

/// A session as it was read: its row, and what was gathered since.
#[derive(Debug, Clone)]
pub(crate) struct Newest {
    pub(crate) row: Versioned<SessionRow>,
    /// The row beside it, current or not.
    pub(super) live: Option<Versioned<SessionLive>>,
}

impl Newest {
    /// Reads a session; none when there is none. Makes nothing.
    pub(crate) async fn read(space: &Namespace<Tenant>, id: SessionId) -> Result<Option<Self>, CommandError> {
        let (rows, gathered) = (Records::<SessionRow>::new(space), Records::new(space));
        let (row, live) = try_join(rows.get(&id), gathered.get(&id)).await?;
        Ok(row.map(|row| Self { row, live }))
    }

    /// What was gathered since the row was written.
    fn gathered(&self) -> Option<&SessionLive> {
        let live = self.live.as_deref()?;
        (live.base == self.row.version()).then_some(live)
    }

    /// The newest state that is stored.
    pub(crate) fn state(&self) -> &Snapshot {
        self.gathered().map_or(&self.row.state, |live| &live.state)
    }

    /// The edges that are not history yet.
    pub(super) fn edges(&self) -> &[Edge] {
        self.gathered().map_or(&[], |live| &live.edges)
    }

    /// The machine, at the newest state.
    pub(super) fn session(&self, options: Options, now: Timestamp) -> Result<Session, CommandError> {
        machine(self.state(), options, now)
    }

    /// When it last showed life.
    pub(super) fn activity_at(&self) -> Timestamp {
        self.row.state.activity_at.max(self.state().activity_at)
    }

    /// Stages the row at this state, and with it what was gathered before as history.
    pub(super) async fn stage(
        &self,
        space: &Namespace<Tenant>,
        draft: &mut Draft,
        state: &Snapshot,
    ) -> Result<SessionRow, CommandError> {
        self.stage_with(space, draft, self.row.at(state, draft)).await
    }

    /// As [`stage`](Self::stage), of a row of which more than the state changed.
    pub(super) async fn stage_with(
        &self,
        space: &Namespace<Tenant>,
        draft: &mut Draft,
        row: SessionRow,
    ) -> Result<SessionRow, CommandError> {
        let row = self.stage_row(space, draft, row).await?;
        told::tell_edges(space, draft, row.id, self.edges());
        draft.note_session(row.id);
        Ok(row)
    }

    /// Stages the row alone: what was gathered is for whoever calls to tell.
    pub(super) async fn stage_row(
        &self,
        space: &Namespace<Tenant>,
        draft: &mut Draft,
        row: SessionRow,
    ) -> Result<SessionRow, CommandError> {
        let rows = Records::<SessionRow>::new(space);
        rows.stage_replace(draft.batch(), &self.row, &row).await?;
        if let Some(idle_at) = row.idle_at() {
            draft.note_due(idle_at);
        }
        Ok(row)
    }
}
