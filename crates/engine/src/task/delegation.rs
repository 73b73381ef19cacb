//! A task given away: the row beside the task, and its states as a pure table.

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::TaskState;
use crate::event::About;
use crate::{AgentName, Decision, Incarnation, OpId, Reason, Subject, TaskId};

/// Where a delegation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DelegationState {
    /// The task has not ended.
    Open,
    /// It has, and its parent does not know.
    Settled,
    /// Its parent was told.
    Delivered,
    /// Its parent took the result.
    Consumed,
    /// Nobody waits for it.
    Abandoned,
}

impl DelegationState {
    /// Every state, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Open,
        Self::Settled,
        Self::Delivered,
        Self::Consumed,
        Self::Abandoned,
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled => "settled",
            Self::Delivered => "delivered",
            Self::Consumed => "consumed",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether it takes a place in its tree.
    #[must_use]
    pub fn is_held(self) -> bool {
        match self {
            Self::Open | Self::Settled | Self::Delivered => true,
            Self::Consumed | Self::Abandoned => false,
        }
    }
}

/// What can happen to a delegation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DelegationEvent {
    /// The task ended.
    Settle,
    /// Its parent is told.
    Deliver,
    /// Its parent's run takes the result.
    Consume,
    /// Nobody will.
    Abandon,
}

impl DelegationEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Settle, Self::Deliver, Self::Consume, Self::Abandon];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::Deliver => "deliver",
            Self::Consume => "consume",
            Self::Abandon => "abandon",
        }
    }
}

/// The table of the page, cell by cell: `TABLE[row][column]`.
#[rustfmt::skip]
const TABLE: [[Decision<DelegationState>; 4]; 5] = {
    use Decision::{Apply as A, Ignore as I, Reject as X};
    use DelegationState::{Abandoned, Consumed, Delivered, Settled};
    use Reason as R;
    [
        // settle          deliver         consume            abandon
        [A(Settled),       X(R::Open),     X(R::Open),        A(Abandoned)],
        [I(R::Same),       A(Delivered),   X(R::Undelivered), A(Abandoned)],
        [I(R::Late),       I(R::Same),     A(Consumed),       A(Abandoned)],
        [I(R::Late),       I(R::Late),     I(R::Same),        I(R::Late)],
        [I(R::Late),       I(R::Late),     X(R::Abandoned),   I(R::Same)],
    ]
};

/// What becomes of a delegation.
#[must_use]
pub fn decide_delegation(state: DelegationState, event: DelegationEvent) -> Decision<DelegationState> {
    TABLE[state as usize][event as usize].clone()
}

/// How a task ended that was given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildEnd {
    /// It was done.
    Done,
    /// It was not done.
    Failed,
    /// It failed too often.
    Quarantined,
    /// It was called off.
    Cancelled,
    /// It was removed before it ended.
    Deleted,
}

impl ChildEnd {
    /// How a task of this state ended; none while it has not.
    #[must_use]
    pub fn of(state: &TaskState) -> Option<Self> {
        match state {
            TaskState::Done { .. } => Some(Self::Done),
            TaskState::Failed { .. } => Some(Self::Failed),
            TaskState::Quarantined => Some(Self::Quarantined),
            TaskState::Cancelled => Some(Self::Cancelled),
            TaskState::PendingApproval
            | TaskState::Backlog
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Waiting { .. } => None,
        }
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Quarantined => "quarantined",
            Self::Cancelled => "cancelled",
            Self::Deleted => "deleted",
        }
    }
}

/// A task that a run gave away: who waits for its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegation {
    /// The task that was given.
    pub child: TaskId,
    /// The task whose run gave it.
    pub parent: TaskId,
    /// The task at the top, which nobody gave.
    pub root: TaskId,
    /// How far it is below that, from 1.
    pub depth: u32,
    /// The agent that gave it.
    pub agent: AgentName,
    /// That agent, told from former ones of its name.
    pub agent_incarnation: Incarnation,
    /// The agent that it was given to.
    pub to: AgentName,
    /// Where it is.
    pub state: DelegationState,
    /// How the task ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<ChildEnd>,
    /// When it was given.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

impl Delegation {
    /// What its events are about: the task, told to the agent that gave it.
    #[must_use]
    pub fn about(&self) -> About {
        About::of(Subject::Task(self.child), &self.agent, self.agent_incarnation)
    }
}

indexes! {
    /// What finds delegations.
    pub enum DelegationIndex {
        /// By parent: all of them.
        Parent = own "parent",
        /// By parent: those that take a place in their tree.
        Held = own "held",
        /// Those whose end nobody was told yet, over all tenants, by when that came.
        Undelivered = system "undelivered",
    }
}

impl Record for Delegation {
    type Scope = Tenant;
    type Id = TaskId;
    type Index = DelegationIndex;
    const KIND: RecordKind = RecordKind::of("delegation");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> TaskId {
        self.child
    }

    fn index_entries(&self) -> Vec<IndexEntry<DelegationIndex>> {
        let parent = IndexValue::name(&self.parent.to_string());
        let mut entries = vec![IndexEntry::new(DelegationIndex::Parent, [parent.clone()])];
        if self.state.is_held() {
            entries.push(IndexEntry::new(DelegationIndex::Held, [parent]));
        }
        if self.state == DelegationState::Settled {
            let since = IndexValue::instant(self.updated_at);
            entries.push(IndexEntry::new(DelegationIndex::Undelivered, [since]));
        }
        entries
    }
}
