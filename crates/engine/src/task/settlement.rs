//! What the end of a task leaves to be done for those that follow it: a row, found until all of them know.

use dormouse_filesystem::{
    Class, IndexEntry, IndexValue, Namespace, Record, RecordKind, Records, Tenant, Versioned, indexes,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::{stage_row, told};
use super::{
    Cause, ChildEnd, Delegation, DelegationEvent, DelegationState, DependencyEnd, Effect, Task, TaskEvent,
    TaskState, decide, decide_delegation, decide_dependent,
};
use crate::draft::Draft;
use crate::run::OutcomeKind;
use crate::{CommandError, Decision, OpId, TaskId};

/// A task has ended, and others follow that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// Which.
    pub task: TaskId,
    /// How, for those that wait for it.
    pub end: DependencyEnd,
    /// When.
    pub created_at: Timestamp,
    /// The command that ended it.
    pub op: OpId,
}

indexes! {
    /// What finds settlements.
    pub enum SettlementIndex {
        /// All of them, over all tenants, by when they came.
        Queue = system "queue",
    }
}

impl Record for Settlement {
    type Scope = Tenant;
    type Id = TaskId;
    type Index = SettlementIndex;
    const KIND: RecordKind = RecordKind::of("settlement");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> TaskId {
        self.task
    }

    fn index_entries(&self) -> Vec<IndexEntry<SettlementIndex>> {
        let since = IndexValue::instant(self.created_at);
        vec![IndexEntry::new(SettlementIndex::Queue, [since])]
    }
}

/// Stages what the end of a task leaves: for those that follow it, and for whoever gave it away.
pub(super) async fn stage_end(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    task: &Task,
    end: ChildEnd,
) -> Result<(), CommandError> {
    if task.has_followers {
        let row = Settlement {
            task: task.id,
            end: match end {
                ChildEnd::Done => DependencyEnd::Done,
                ChildEnd::Failed | ChildEnd::Quarantined | ChildEnd::Cancelled | ChildEnd::Deleted => {
                    DependencyEnd::NotDone
                }
            },
            created_at: draft.now(),
            op: draft.op(),
        };
        Records::new(space).stage_create(draft.batch(), &row)?;
        draft.note_settlement();
    }
    if task.parent.is_some() {
        stage_child_end(space, draft, task.id, end).await?;
    }
    Ok(())
}

/// The end of a task that was given away: its first one counts.
async fn stage_child_end(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    child: TaskId,
    end: ChildEnd,
) -> Result<(), CommandError> {
    let rows = Records::<Delegation>::new(space);
    let Some(read) = rows.get(&child).await? else {
        return Ok(());
    };
    let Decision::Apply(state) = decide_delegation(read.state, DelegationEvent::Settle) else {
        return Ok(());
    };
    let settled = Delegation {
        end: Some(end),
        ..moved_delegation(&read, state, draft)
    };
    rows.stage_replace(draft.batch(), &read, &settled).await?;
    draft.note_settlement();
    Ok(())
}

/// A delegation in its next state.
pub(super) fn moved_delegation(read: &Delegation, state: DelegationState, draft: &Draft) -> Delegation {
    Delegation {
        state,
        updated_at: draft.now(),
        op: draft.op(),
        ..read.clone()
    }
}

/// Stages what the end of a task is for one that waits for it. It does so once: afterwards it waits for it no more.
pub(super) async fn stage_dependent(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    read: &Versioned<Task>,
    ended: TaskId,
    end: DependencyEnd,
) -> Result<(), CommandError> {
    let mut task = Task::clone(read);
    task.open_dependencies.retain(|open| *open != ended);
    (task.updated_at, task.op) = (draft.now(), draft.op());
    let state = match decide_dependent(&read.state, read.on_failed, end) {
        Effect::OneFewer => None,
        Effect::Due => match decide(&task.state, &TaskEvent::Due, &task.facts(draft.now(), 0)) {
            Decision::Apply(settled) => Some(settled.state),
            // Others are open still.
            Decision::Same | Decision::Ignore(_) | Decision::Reject(_) => None,
        },
        Effect::Failed => Some(not_attempted()),
        Effect::Cancelled => Some(TaskState::Cancelled),
    };
    let Some(state) = state else {
        return stage_row(space, draft, read, &task, None).await;
    };
    task.state = state;
    let mut cause = Cause::default();
    if task.state.has_ended() {
        (task.ended_at, task.undone_by) = (Some(draft.now()), Some(ended));
        cause.dependency = Some(ended);
    }
    let change = told(&task, &TaskEvent::Due, cause);
    stage_row(space, draft, read, &task, change).await
}

/// Failed without an attempt.
pub(super) fn not_attempted() -> TaskState {
    let outcome = OutcomeKind::Failed;
    TaskState::Failed { outcome }
}
