//! Timed wakes: that an agent is to be woken at a time is a row, which becomes a task of its in one commit when that time has
//! come. So it happens once, whoever died when. Until then it is an entry of an index and no timer of its own.
//!
//! ```text
//! add ── row, index entry ──▶ due: the row goes, a task comes, its agent is rung     (fire)
//!          └── cancel, the agent is deleted: the row goes
//! ```

mod fire;
mod service;

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use fire::fire;
pub(crate) use service::cancel;
pub use service::{NewWake, TimedPage, TimedWakes};

use crate::command::CommandSpec;
use crate::event::About;
use crate::{AgentName, Incarnation, OpId, Principal, Subject, WakeId};

/// That an agent is to be woken at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimedWake {
    /// Its id.
    pub id: WakeId,
    /// Whose task it becomes.
    pub agent: AgentName,
    /// That agent, told from former ones of its name.
    pub agent_incarnation: Incarnation,
    /// When.
    pub due: Timestamp,
    /// Why, as whoever added it said: what the task is called, and what is to be done.
    pub reason: Scrubbed,
    /// The command line that does the task, when a process is to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandSpec>,
    /// Who added it.
    pub created_by: Principal,
    /// When.
    pub created_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

impl TimedWake {
    /// What its events are about.
    #[must_use]
    pub fn about(&self) -> About {
        About::of(Subject::Wake(self.id), &self.agent, self.agent_incarnation)
    }
}

indexes! {
    /// What finds timed wakes.
    pub enum TimedWakeIndex {
        /// By the beginning of their id.
        Id = own "id",
        /// By when they are due.
        At = own "at",
        /// By agent, and when they are due.
        Agent = own "agent",
        /// By when they are due, over all tenants.
        Due = system "due",
    }
}

impl Record for TimedWake {
    type Scope = Tenant;
    type Id = WakeId;
    type Index = TimedWakeIndex;
    const KIND: RecordKind = RecordKind::of("timed_wake");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> WakeId {
        self.id
    }

    fn index_entries(&self) -> Vec<IndexEntry<TimedWakeIndex>> {
        let due = || IndexValue::instant(self.due);
        let agent = IndexValue::segment(self.agent.segment());
        vec![
            IndexEntry::new(TimedWakeIndex::Id, []),
            IndexEntry::new(TimedWakeIndex::At, [due()]),
            IndexEntry::new(TimedWakeIndex::Agent, [agent, due()]),
            IndexEntry::new(TimedWakeIndex::Due, [due()]),
        ]
    }
}
