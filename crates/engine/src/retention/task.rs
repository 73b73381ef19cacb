//! An ended task goes with its runs, their outcomes, what they printed, and what was given away by it; later what is left
//! of it goes too.

use std::time::Duration;

use dormouse_filesystem::{IndexValue, LogHead, Query, Records, Versioned};
use jiff::Timestamp;

use super::{Gone, Retention, Retires};
use crate::budget::{Account, AccountPath, Move};
use crate::core::Core;
use crate::draft::Draft;
use crate::run::{OutcomeRow, Run, RunIndex, RunState};
use crate::task::{
    Delegation, DelegationState, Settlement, Task, TaskIndex, TaskTombstone, TombstoneIndex, Tree,
    stage_tombstone,
};
use crate::transcript::TranscriptLogs;
use crate::{CommandError, RunId, TaskId};

/// Runs of a task that go in one commit.
const RUNS: usize = 16;

impl Retires for Task {
    const SWEEP: &'static str = "tasks";
    const RETIRE: TaskIndex = TaskIndex::Retire;

    fn kept(retention: &Retention) -> Duration {
        retention.tasks
    }

    fn ended_at(&self) -> Option<Timestamp> {
        self.ended_at
    }

    async fn stage_gone(
        core: &Core,
        draft: &mut Draft,
        task: &Versioned<Self>,
    ) -> Result<Gone, CommandError> {
        if is_followed(core, task.id).await? {
            return Ok(Gone::Not);
        }
        let tasks = Records::<Self>::new(&core.space);
        match stage_runs(core, draft, task.id).await? {
            Gone::Wholly => {}
            Gone::Partly => {
                tasks.stage_check(draft.batch(), task);
                return Ok(Gone::Partly);
            }
            left @ (Gone::Among { .. } | Gone::Later | Gone::Not) => return Ok(left),
        }
        stage_ties(core, draft, task.id).await?;
        stage_tombstone(core, draft, task)?;
        tasks.stage_remove(draft.batch(), task).await?;
        Ok(Gone::Wholly)
    }
}

impl Retires for TaskTombstone {
    const SWEEP: &'static str = "tombstones";
    const RETIRE: TombstoneIndex = TombstoneIndex::Retire;

    fn kept(retention: &Retention) -> Duration {
        retention.tombstones
    }

    fn ended_at(&self) -> Option<Timestamp> {
        Some(self.deleted_at)
    }

    /// A task that somebody deleted has still its runs, its account, and what said how it was given away: it waits as one
    /// that ended does.
    async fn stage_gone(core: &Core, draft: &mut Draft, row: &Versioned<Self>) -> Result<Gone, CommandError> {
        if is_followed(core, row.id).await? {
            return Ok(Gone::Not);
        }
        let runs = stage_runs(core, draft, row.id).await?;
        if runs == Gone::Wholly {
            stage_ties(core, draft, row.id).await?;
            let rows = Records::<Self>::new(&core.space);
            rows.stage_remove(draft.batch(), row).await?;
        }
        Ok(runs)
    }
}

/// Whether somebody has yet to be told that a task has ended, or to take its result.
async fn is_followed(core: &Core, task: TaskId) -> Result<bool, CommandError> {
    let settlement = Records::<Settlement>::new(&core.space).get(&task).await?;
    let delegation = Records::<Delegation>::new(&core.space).get(&task).await?;
    let tree = Records::<Tree>::new(&core.space).get(&task).await?;
    let is_awaited = delegation.is_some_and(|delegation| match delegation.state {
        DelegationState::Open | DelegationState::Settled | DelegationState::Delivered => true,
        DelegationState::Consumed | DelegationState::Abandoned => false,
    });
    Ok(settlement.is_some() || is_awaited || tree.is_some_and(|tree| tree.open > 0))
}

/// What said how it was given away, what it gave away itself, and its account, to which nothing is charged any more.
async fn stage_ties(core: &Core, draft: &mut Draft, task: TaskId) -> Result<(), CommandError> {
    let delegations = Records::<Delegation>::new(&core.space);
    if let Some(delegation) = delegations.get(&task).await? {
        delegations.stage_remove(draft.batch(), &delegation).await?;
    }
    let trees = Records::<Tree>::new(&core.space);
    if let Some(tree) = trees.get(&task).await? {
        trees.stage_remove(draft.batch(), &tree).await?;
    }
    stage_forgotten(core, draft, AccountPath::Task(task)).await
}

/// Stages that an account goes, if there is one. One that cannot be believed stays for a person, and keeps nothing from its
/// end.
async fn stage_forgotten(core: &Core, draft: &mut Draft, path: AccountPath) -> Result<(), CommandError> {
    let account = Records::<Account>::new(&core.space).get(&path).await;
    match account.map_err(CommandError::from) {
        Ok(None) | Err(CommandError::Corrupt(_) | CommandError::TooNew(_)) => {}
        Ok(Some(_)) => draft.move_accounts(Move::Forget(path)),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Stages that the runs of a task go, some at a time.
async fn stage_runs(core: &Core, draft: &mut Draft, task: TaskId) -> Result<Gone, CommandError> {
    let runs = Records::<Run>::new(&core.space);
    let query = Query::of(RunIndex::Task)
        .equals([IndexValue::name(&task.to_string())])
        .limit(RUNS);
    let page = runs.find(&query).await?;
    // What is at work still, or cannot be read, is not thrown away.
    if !page.issues.is_empty() || page.rows.iter().any(|run| run.state != RunState::Ended) {
        return Ok(Gone::Not);
    }
    for run in &page.rows {
        clear_transcript(core, run.id).await?;
        stage_run(core, draft, run).await?;
    }
    Ok(if page.next.is_some() {
        Gone::Partly
    } else {
        Gone::Wholly
    })
}

async fn stage_run(core: &Core, draft: &mut Draft, run: &Versioned<Run>) -> Result<(), CommandError> {
    let outcomes = Records::<OutcomeRow>::new(&core.space);
    if let Some(outcome) = outcomes.get(&run.id).await? {
        outcomes.stage_remove(draft.batch(), &outcome).await?;
    }
    Records::<Run>::new(&core.space)
        .stage_remove(draft.batch(), run)
        .await?;
    Ok(())
}

/// Before the run itself goes: what was printed cannot be left behind by a crash in between.
async fn clear_transcript(core: &Core, run: RunId) -> Result<(), CommandError> {
    let logs = TranscriptLogs::of(&core.space, &crate::id::segment(&run.to_string()));
    for log in logs.both() {
        let head = log.head().await?;
        if head != LogHead::NONE && head.first < head.next {
            log.truncate(head.next).await?;
        }
    }
    Ok(())
}
