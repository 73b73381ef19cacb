//! An ended task goes with its runs, their outcomes and what they printed.

use std::time::Duration;

use dormouse_filesystem::{IndexValue, LogHead, Query, Records, Versioned};
use jiff::Timestamp;

use super::tombstone::{Entombed, stage_tombstone};
use super::{Gone, Retention, Retires};
use crate::core::Core;
use crate::draft::Draft;
use crate::run::{OutcomeRow, Run, RunIndex, RunState};
use crate::task::{Task, TaskIndex};
use crate::transcript::TranscriptLogs;
use crate::{CommandError, RunId, Subject};

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
        let runs = Records::<Run>::new(&core.space);
        let query = Query::of(RunIndex::Task)
            .equals([IndexValue::name(&task.id.to_string())])
            .limit(RUNS);
        let page = runs.find(&query).await?;
        // A task may say retry still while a run of it is at work, and what cannot be read is not thrown away.
        if !page.issues.is_empty() || page.rows.iter().any(|run| run.state != RunState::Ended) {
            return Ok(Gone::Not);
        }
        for run in &page.rows {
            clear_transcript(core, run.id).await?;
            stage_run(core, draft, run).await?;
        }
        let tasks = Records::<Self>::new(&core.space);
        if page.next.is_some() {
            tasks.stage_check(draft.batch(), task);
            return Ok(Gone::Partly);
        }
        let entombed = Entombed {
            subject: Subject::Task(task.id),
            number: Some(task.number),
            state: task.state.word(),
        };
        stage_tombstone::<Self>(core, draft, entombed, task)?;
        tasks.stage_remove(draft.batch(), task).await?;
        Ok(Gone::Wholly)
    }
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
