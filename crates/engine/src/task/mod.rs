//! Tasks: what is to be done, by which agent, and where it stands.

mod change;
mod combine;
mod create;
mod delegation;
mod delegations;
mod delete;
mod dependency;
mod edit;
mod list;
mod metadata;
mod numbers;
mod service;
mod settle;
mod settlement;
mod settler;
mod sight;
mod standing;
mod state;
mod table;
mod tree;

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use dormouse_secrets::Scrubbed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use create::{NewTask, Start};
pub use delegation::{
    ChildEnd, Delegation, DelegationEvent, DelegationIndex, DelegationState, decide_delegation,
};
pub use delegations::{Delegated, Delegations, Receiver};
pub use delete::{TaskTombstone, TombstoneIndex};
pub use dependency::{DependencyEnd, Effect, OnFailed, decide_dependent};
pub use edit::TaskEdit;
pub use list::{TaskFilter, TaskPage};
pub use service::{Steps, Tasks};
pub use settle::{Counters, Settled, backoff, settle_lapse, settle_outcome};
pub use settlement::{Settlement, SettlementIndex};
pub use settler::SettledOnce;
pub use state::{TaskState, Wait};
pub use table::{Gone, Lapse, TaskEvent, TaskFacts, decide, decide_delete, ready_or_wait};
pub use tree::Tree;

pub(crate) use change::{Cause, Moved, move_task, move_task_in, park_task};
pub(crate) use combine::Creations;
pub(crate) use create::{Clean, numbered};
pub(crate) use delete::stage_tombstone;
pub(crate) use metadata::scrubbed;
pub(crate) use numbers::{Numbers, TaskNumbers};
pub(crate) use settler::SettleHint;
pub(crate) use standing::Grounds;

use crate::command::CommandSpec;
use crate::event::About;
use crate::thread::Turn;
use crate::{AgentName, Channel, Incarnation, OpId, Principal, RunId, Subject, TaskId};

/// How much a task presses. Of one agent's ready tasks the highest is claimed first, then the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before everything.
    Critical,
    /// Before the usual.
    High,
    /// The usual.
    #[default]
    Normal,
    /// When there is nothing else.
    Low,
}

impl Priority {
    /// Every priority, highest first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// The priority's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// Its place in a lane: 0 is first.
    #[must_use]
    pub fn rank(self) -> u64 {
        self as u64
    }
}

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Its number: rises per tenant in the order of creation and is never given again.
    pub number: u64,
    /// What it is called, at most 200 characters.
    pub title: Scrubbed,
    /// What is to be done, at most 256 KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// The agent that made it; none when an operator did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<AgentName>,
    /// That agent, told from former ones of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_incarnation: Option<Incarnation>,
    /// The agent that is to do it.
    pub assignee: AgentName,
    /// That agent, told from former ones of its name.
    pub agent_incarnation: Incarnation,
    /// The way it came.
    pub source: Channel,
    /// How much it presses.
    pub priority: Priority,
    /// Where it is.
    pub state: TaskState,
    /// Failures since it was made or retried by hand.
    pub failures: u32,
    /// Lapses after which it was made ready again.
    pub reclaims: u32,
    /// Raised when its steps are to be done afresh.
    pub step_epoch: u32,
    /// Runs so far.
    pub attempts: u32,
    /// The last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<RunId>,
    /// Whether that one is parked: it waits with the task, and the next claim goes on with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_parked: bool,
    /// Not to be tried before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The task it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// The tasks it waits for that have not ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_dependencies: Vec<TaskId>,
    /// What becomes of it when one of those is not done.
    #[serde(default, skip_serializing_if = "OnFailed::is_default")]
    pub on_failed: OnFailed,
    /// The task that it waited for, which was not done, so that it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<TaskId>,
    /// Whether others follow its end: tasks that depend on it, or that it gave away.
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_followers: bool,
    /// What its maker keeps with it, at most 16 KiB.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// The command line that does it, when a process is to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandSpec>,
    /// The message whose turn it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
    /// Whether somebody has to approve it before it is done.
    pub approval_required: bool,
    /// When somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Timestamp>,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<Principal>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(fact: &bool) -> bool {
    !*fact
}

impl Task {
    /// What its events are about.
    #[must_use]
    pub fn about(&self) -> About {
        About::of(Subject::Task(self.id), &self.assignee, self.agent_incarnation)
    }

    /// When its time comes, if it waits for one.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        match self.state {
            TaskState::Waiting {
                on: Wait::Until { until },
            } => Some(until),
            _ => None,
        }
    }

    /// What a decision on it depends on.
    pub(crate) fn facts(&self, now: Timestamp, roll: u64) -> TaskFacts {
        TaskFacts {
            now,
            not_before: self.not_before,
            has_open_dependencies: !self.open_dependencies.is_empty(),
            needs_approval: self.approval_required && self.approved_at.is_none(),
            has_parked_run: self.is_parked,
            counters: Counters {
                failures: self.failures,
                reclaims: self.reclaims,
            },
            roll,
        }
    }
}

indexes! {
    /// What finds tasks.
    pub enum TaskIndex {
        /// By the beginning of their id.
        Id = own "id",
        /// By number, so in the order they were made.
        Number = own "number",
        /// Those that are ready: by assignee, priority, number.
        Ready = own "ready",
        /// By state and number.
        State = own "state",
        /// By assignee and number.
        Assignee = own "assignee",
        /// By assignee, state and when they changed last.
        AssigneeState = own "assignee_state",
        /// By owner and number.
        Owner = own "owner",
        /// By the agent that sees it, as its owner or its assignee, and number.
        Seen = own "seen",
        /// By the task it is a part of, and number.
        Parent = own "parent",
        /// Those that wait for another: by that one.
        Dependency = own "dependency",
        /// Those that wait for a time, over all tenants.
        Due = system "due",
        /// Those that wait for a gate, by which.
        Gate = own "gate",
        /// Those that have ended, by when, over all tenants.
        Retire = system "retire",
    }
}

impl Record for Task {
    type Scope = Tenant;
    type Id = TaskId;
    type Index = TaskIndex;
    const KIND: RecordKind = RecordKind::of("task");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> TaskId {
        self.id
    }

    fn index_entries(&self) -> Vec<IndexEntry<TaskIndex>> {
        let number = IndexValue::number(self.number);
        let assignee = IndexValue::segment(self.assignee.segment());
        let state = IndexValue::name(self.state.word());
        let mut entries = vec![
            IndexEntry::new(TaskIndex::Id, []),
            IndexEntry::new(TaskIndex::Number, [number.clone()]),
            IndexEntry::new(TaskIndex::State, [state.clone(), number.clone()]),
            IndexEntry::new(TaskIndex::Assignee, [assignee.clone(), number.clone()]),
            IndexEntry::new(
                TaskIndex::AssigneeState,
                [assignee.clone(), state, IndexValue::instant(self.updated_at)],
            ),
        ];
        entries.push(IndexEntry::new(
            TaskIndex::Seen,
            [assignee.clone(), number.clone()],
        ));
        if let Some(owner) = &self.owner {
            let owner_value = IndexValue::segment(owner.segment());
            entries.push(IndexEntry::new(
                TaskIndex::Owner,
                [owner_value.clone(), number.clone()],
            ));
            if *owner != self.assignee {
                entries.push(IndexEntry::new(TaskIndex::Seen, [owner_value, number.clone()]));
            }
        }
        if let Some(parent) = self.parent {
            let parent = IndexValue::name(&parent.to_string());
            entries.push(IndexEntry::new(TaskIndex::Parent, [parent, number.clone()]));
        }
        // Also of one that has ended: should it be tried again, it still waits.
        for dependency in &self.open_dependencies {
            let dependency = IndexValue::name(&dependency.to_string());
            entries.push(IndexEntry::new(TaskIndex::Dependency, [dependency]));
        }
        if self.state == TaskState::Ready {
            let rank = IndexValue::number(self.priority.rank());
            entries.push(IndexEntry::new(TaskIndex::Ready, [assignee, rank, number]));
        }
        if let Some(until) = self.due_at() {
            entries.push(IndexEntry::new(TaskIndex::Due, [IndexValue::instant(until)]));
        }
        if let TaskState::Waiting {
            on: Wait::Gate { gate },
        } = self.state
        {
            let gate = IndexValue::name(&gate.to_string());
            entries.push(IndexEntry::new(TaskIndex::Gate, [gate]));
        }
        if let Some(at) = self.ended_at {
            entries.push(IndexEntry::new(TaskIndex::Retire, [IndexValue::instant(at)]));
        }
        entries
    }
}
