//! Runs: attempts at tasks, each held by a lease and ended by exactly one outcome.

mod ahead;
mod beats;
mod calls;
mod checkpoint;
mod claim;
mod claiming;
mod companion;
mod continued;
mod finish;
mod former;
mod heartbeat;
mod inbox;
mod kind;
mod lapse;
mod list;
mod live;
mod next;
mod outcome;
mod park;
mod process;
mod saved;
mod service;
mod start;
mod state;
mod stop;
mod table;

use std::collections::BTreeMap;

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use beats::Beats;
pub(crate) use calls::Noted;
pub use calls::{CallFate, OpenCall};
pub(crate) use checkpoint::stage_checkpoint;
pub use claim::{ClaimOptions, Claimed, Slot};
pub(crate) use claiming::Claiming;
pub use companion::Companion;
pub use finish::Finished;
pub(crate) use former::Leaving;
pub use former::UsedBefore;
pub use heartbeat::Pulse;
pub use inbox::{INBOX_MAX, SendError, TEXT_BYTES_MAX};
pub(crate) use inbox::{Inbox, check as check_text};
pub use kind::OutcomeKind;
pub(crate) use lapse::{Lapsed, Seen, give_up, is_tried_again, lapse};
pub use list::{RunFilter, RunPage, RunRow};
pub use live::{LiveRuns, StopSignal};
pub use next::Next;
pub use outcome::{OutcomeIndex, OutcomeRow};
pub use park::Parked;
pub(crate) use park::parked;
pub(crate) use process::forget_gone;
pub use process::{Process, ProcessIndex, ProcessMark};
pub use service::Runs;
pub(crate) use start::Calls;
pub use start::Started;
pub use state::{Checkpoint, RunState, RunWait, StopReason};
pub(crate) use stop::{Stopped, stage_stop};
pub use table::{RunEvent, RunNext, decide, reported};

use crate::adapter::Tokens;
use crate::event::About;
use crate::{AgentName, Incarnation, OpId, RunId, SessionId, Subject, TaskId, ThreadId};

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The task it is an attempt at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The agent that works.
    pub agent: AgentName,
    /// That agent, told from former ones of its name.
    pub agent_incarnation: Incarnation,
    /// Which attempt at its task, from 1.
    pub attempt: u32,
    /// The session that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The thread it is at, when its task is the turn of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<ThreadId>,
    /// Where it is.
    pub state: RunState,
    /// What is known of its effects.
    pub checkpoint: Checkpoint,
    /// Why it is being stopped. The first reason stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopReason>,
    /// Until when its holder has to have ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_deadline: Option<Timestamp>,
    /// How long its worker has between the cooperative stop and the kill, in milliseconds, as its claim had it: whoever
    /// changes the agent meanwhile changes nothing of it. None of a row of a build that kept it not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// What it waits for, when it is parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<RunWait>,
    /// Which of its processes this is, from 1: each time it goes on after it was parked is another.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub spawn: u32,
    /// What its former processes used of the wall clock, in milliseconds.
    #[serde(default, skip_serializing_if = "is_none")]
    pub clock_ms: u64,
    /// The session of its provider, where that names it itself: what a later process goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_session: Option<Scrubbed>,
    /// The run, lost, whose session of its provider goes on in this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<RunId>,
    /// The calls of its provider whose effects may have happened and are not known: those that are open, and those that were
    /// cut, its own and, until it makes its first one, those of the run that it continues.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<OpenCall>,
    /// What the threads of its provider showed when its calls were noted last, at most 100 of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shown: BTreeMap<String, Tokens>,
    /// How often its task's steps had been begun afresh when it was claimed.
    #[serde(default, skip_serializing_if = "is_never")]
    pub step_epoch: u32,
    /// What its former processes used, where their streams told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_before: Option<UsedBefore>,
    /// What its worker saved for the next attempt: JSON, at most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<Scrubbed>,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When its row was made.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_first(spawn: &u32) -> bool {
    *spawn == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_never(times: &u32) -> bool {
    *times == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_none(milliseconds: &u64) -> bool {
    *milliseconds == 0
}

impl Run {
    /// What its lease is on.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject::Run(self.id)
    }

    /// What its events are about.
    #[must_use]
    pub fn about(&self) -> About {
        About::of(self.subject(), &self.agent, self.agent_incarnation)
    }
}

indexes! {
    /// What finds runs.
    pub enum RunIndex {
        /// By id, so in the order they began.
        Id = own "id",
        /// By task and attempt.
        Task = own "task",
        /// By agent and when they began.
        Agent = own "agent",
        /// Those that have not ended: by agent.
        Live = own "live",
        /// Those of a thread's turns: by thread and when they began.
        Thread = own "thread",
    }
}

impl Record for Run {
    type Scope = Tenant;
    type Id = RunId;
    type Index = RunIndex;
    const KIND: RecordKind = RecordKind::of("run");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> RunId {
        self.id
    }

    fn index_entries(&self) -> Vec<IndexEntry<RunIndex>> {
        let agent = IndexValue::segment(self.agent.segment());
        let mut entries = vec![
            IndexEntry::new(RunIndex::Id, []),
            IndexEntry::new(
                RunIndex::Agent,
                [agent.clone(), IndexValue::instant(self.started_at)],
            ),
        ];
        if let Some(task) = self.task {
            let task = IndexValue::name(&task.to_string());
            let attempt = IndexValue::number(u64::from(self.attempt));
            entries.push(IndexEntry::new(RunIndex::Task, [task, attempt]));
        }
        if let Some(thread) = self.thread {
            let thread = IndexValue::name(&thread.to_string());
            let started = IndexValue::instant(self.started_at);
            entries.push(IndexEntry::new(RunIndex::Thread, [thread, started]));
        }
        if self.state != RunState::Ended {
            entries.push(IndexEntry::new(RunIndex::Live, [agent]));
        }
        entries
    }
}
