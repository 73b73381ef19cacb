//! The row of a session.

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use dormouse_state::{Display, Lifecycle, Options, Row, Session, Snapshot};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::machine;
use crate::draft::Draft;
use crate::event::About;
use crate::limits::SESSION_LIVES_MAX;
use crate::{AgentName, CommandError, Incarnation, OpId, SessionId, Subject, TaskId};

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
    /// What its provider calls it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// The state of its machine.
    pub state: Snapshot,
    /// The task whose turn it is, where a claim began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_task: Option<TurnTask>,
    /// When its lives ended, the newest last: at most [`SESSION_LIVES_MAX`]. None is ever rewritten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<LifeEnd>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

/// What a provider calls a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// The provider.
    pub provider: String,
    /// Its id there.
    pub id: String,
}

/// A turn that a task's run works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnTask {
    /// The task.
    pub task: TaskId,
    /// The number of the turn.
    pub turn: u32,
}

/// The end of one life of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifeEnd {
    /// Which life.
    pub incarnation: u32,
    /// When it ended.
    pub at: Timestamp,
}

impl SessionRow {
    /// The machine, at this state.
    ///
    /// # Errors
    /// `Corrupt` when the state contradicts itself, `TooNew` when a newer build wrote it; it is untouched.
    pub fn session(&self, now: Timestamp) -> Result<Session, CommandError> {
        machine(&self.state, Options::default(), now)
    }

    /// The one word to show for it now.
    ///
    /// # Errors
    /// As [`session`](Self::session).
    pub fn display(&self, now: Timestamp) -> Result<Display, CommandError> {
        Ok(self.session(now)?.display(now))
    }

    pub(super) fn about(&self) -> About {
        About::of(Subject::Session(self.id), &self.agent, self.agent_incarnation)
    }

    /// The row at this state, written by this draft.
    pub(super) fn at(&self, state: &Snapshot, draft: &Draft) -> Self {
        let mut row = Self {
            state: state.clone(),
            updated_at: draft.now(),
            op: draft.op(),
            ..self.clone()
        };
        if state.lifecycle == Lifecycle::Ended && self.state.lifecycle != Lifecycle::Ended {
            row.ends.push(LifeEnd {
                incarnation: state.incarnation,
                at: draft.now(),
            });
            let surplus = row.ends.len().saturating_sub(SESSION_LIVES_MAX);
            row.ends.drain(..surplus);
        }
        row
    }

    /// When it becomes idle, if it waits for that.
    pub(super) fn idle_at(&self) -> Option<Timestamp> {
        match self.state.lifecycle {
            Lifecycle::Completed { idle_at } => Some(idle_at),
            Lifecycle::Initializing
            | Lifecycle::Active
            | Lifecycle::WaitingHuman
            | Lifecycle::Paused
            | Lifecycle::Error
            | Lifecycle::Ended => None,
        }
    }

    /// Whether silence may close it: nothing holds it, and nobody is asked or has paused it.
    pub(super) fn may_go_stale(&self) -> bool {
        let is_held = self.state.run.is_some();
        match self.state.row() {
            Row::Waiting | Row::WaitingForSeveral | Row::Paused | Row::Ended => false,
            Row::Initializing
            | Row::Idle
            | Row::Queued
            | Row::Thinking
            | Row::Working
            | Row::Compacting
            | Row::CompactingOutside
            | Row::Completed
            | Row::Error => !is_held,
        }
    }
}

indexes! {
    /// What finds sessions.
    pub enum SessionIndex {
        /// By id, so in the order they were made.
        Id = own "id",
        /// By agent and when they were made.
        Agent = own "agent",
        /// Those that have not ended: by agent.
        Open = own "open",
        /// Those that become idle at a time, over all tenants.
        Due = system "due",
        /// Those that wait for a person, over all tenants.
        Waiting = system "session_waiting",
        /// Those that silence may close, by when they last showed life.
        Stale = own "session_stale",
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
        use SessionIndex as I;
        let agent = IndexValue::segment(self.agent.segment());
        let by_agent = [agent.clone(), IndexValue::instant(self.created_at)];
        let mut entries = vec![IndexEntry::new(I::Id, []), IndexEntry::new(I::Agent, by_agent)];
        if self.state.lifecycle != Lifecycle::Ended {
            entries.push(IndexEntry::new(I::Open, [agent]));
        }
        if let Some(idle_at) = self.idle_at() {
            entries.push(IndexEntry::new(I::Due, [IndexValue::instant(idle_at)]));
        }
        if self.state.lifecycle == Lifecycle::WaitingHuman {
            entries.push(IndexEntry::new(I::Waiting, []));
        }
        if self.may_go_stale() {
            let activity = IndexValue::instant(self.state.activity_at);
            entries.push(IndexEntry::new(I::Stale, [activity]));
        }
        entries
    }
}
