//! Finishing: outcome, run, lease, task and events in one commit. Whoever is told is told afterwards.

use dormouse_filesystem::{Records, Versioned, WriteOnce};

use super::ahead;
use super::process::stage_processes_gone;
use super::service::{get, rejected, stage_run};
use super::stop::in_time;
use super::{Claimed, OutcomeKind, OutcomeRow, Run, RunEvent, RunNext, RunState, calls, decide, reported};
use crate::agent::is_bad;
use crate::core::Core;
use crate::credentials::of_lease;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::lease::{LeaseEvent, check};
use crate::outcome::{Facts, Outcome};
use crate::rest::Rest;
use crate::task::{Cause, Moved, Task, TaskEvent, move_task};
use crate::worker::isolation::Level;
use crate::{CommandError, Decision, Reason};

/// A run that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// How: the terminal record as it is stored.
    pub outcome: OutcomeRow,
    /// The run as it is stored.
    pub run: Run,
    /// What its task became; none when it has none any more.
    pub task: Option<Task>,
}

pub(super) async fn finish(
    core: &Core,
    draft: Draft,
    claimed: &Claimed,
    outcome: &Outcome,
    facts: &Facts,
) -> Result<Verdict<Finished>, CommandError> {
    let core = &ahead::of_end(core, claimed).await?;
    let read = get(core, claimed.run.id).await?;
    let outcome = reported(read.stop_reason.as_ref(), outcome.clone());
    let stored = WriteOnce::<OutcomeRow>::new(&core.space).get(&read.id).await?;
    let is_replay = stored
        .as_ref()
        .is_some_and(|stored| stored.outcome == outcome && stored.facts.as_ref() == Some(facts));
    let event = RunEvent::Finish { is_replay };
    match decide(read.state, event) {
        Decision::Apply(RunNext::Reported) => {}
        Decision::Ignore(_) => return replayed(core, read, stored).await,
        Decision::Reject(Reason::Fenced) => {
            let subject = read.subject();
            return Err(CommandError::Fenced { subject });
        }
        Decision::Reject(reason) => return Err(rejected(&read, event, reason)),
        Decision::Same | Decision::Apply(RunNext::Live(_) | RunNext::Stopped | RunNext::Lost) => {
            unreachable!("no cell of finish says so")
        }
    }
    match staged(core, draft, claimed, &read, outcome, facts).await {
        Err(CommandError::Fenced { .. } | CommandError::Rejected { .. })
            if has_changed(core, &read).await? =>
        {
            Err(CommandError::LOST_RACE)
        }
        staged => staged,
    }
}

/// Whether a run was written since it was read. Its rows are read one after the other, so a refusal by a later one may
/// only mean that it has ended in between: then all is read again.
async fn has_changed(core: &Core, read: &Versioned<Run>) -> Result<bool, CommandError> {
    let now = get(core, read.id).await?;
    Ok(now.version() != read.version())
}

async fn staged(
    core: &Core,
    mut draft: Draft,
    claimed: &Claimed,
    read: &Versioned<Run>,
    outcome: Outcome,
    facts: &Facts,
) -> Result<Verdict<Finished>, CommandError> {
    let held = check(core, &claimed.guard, LeaseEvent::Write, draft.now()).await?;
    in_time(read, draft.now())?;
    held.stage_release(core, &mut draft).await?;
    let left = calls::left(claimed, read);
    let ended = stage_end_of(core, &mut draft, read, left.clone(), outcome, Some(facts.clone())).await?;
    let task = stage_task(core, &mut draft, &left, &ended.outcome.outcome).await?;
    Ok(Verdict::Commit(draft, Finished { task, ..ended }))
}

/// The same end was reported before: it is answered as then.
async fn replayed(
    core: &Core,
    run: Versioned<Run>,
    stored: Option<Versioned<OutcomeRow>>,
) -> Result<Verdict<Finished>, CommandError> {
    let task = task_of(core, &run).await?.map(Versioned::into_inner);
    let outcome = stored.expect("a replay is compared with what is stored");
    Ok(Verdict::Nothing(Finished {
        outcome: outcome.into_inner(),
        run: run.into_inner(),
        task,
    }))
}

/// Stages what every end of a run has: the outcome that was not there, the run, its processes gone, the event.
pub(super) async fn stage_end(
    core: &Core,
    draft: &mut Draft,
    read: &Versioned<Run>,
    outcome: Outcome,
    facts: Option<Facts>,
) -> Result<Finished, CommandError> {
    stage_end_of(core, draft, read, Run::clone(read), outcome, facts).await
}

/// The same of a run that changes with its end.
pub(super) async fn stage_end_of(
    core: &Core,
    draft: &mut Draft,
    read: &Versioned<Run>,
    run: Run,
    outcome: Outcome,
    facts: Option<Facts>,
) -> Result<Finished, CommandError> {
    let run = Run {
        state: RunState::Ended,
        wait: None,
        ended_at: Some(draft.now()),
        updated_at: draft.now(),
        op: draft.op(),
        ..run
    };
    let row = OutcomeRow {
        run: run.id,
        agent: run.agent.clone(),
        outcome,
        facts,
        ended_at: draft.now(),
        op: draft.op(),
    };
    WriteOnce::new(&core.space).stage_create(draft.batch(), &row)?;
    let alive = row.facts.as_ref().map_or(0, |facts| facts.alive);
    stage_processes_gone(core, draft, run.id, alive).await?;
    draft.tell(&run.about(), &ended(&run, &row))?;
    if is_bad(&row.outcome) {
        draft.hints().rest.push(Rest::BadEnd(run.agent.clone()));
    }
    let call = core.call_of_draft(draft);
    let id = run.id.to_string();
    let ended = core
        .secrets
        .stage_run_ended_in(&call, &core.space, draft.batch(), &id);
    ended.await.map_err(of_lease)?;
    stage_run(core, draft, Some(read), &run, Some(&row.outcome)).await?;
    Ok(Finished {
        outcome: row,
        run,
        task: None,
    })
}

fn ended(run: &Run, row: &OutcomeRow) -> Change {
    let since_claim = row.ended_at.duration_since(run.started_at);
    let clock_ms = u64::try_from(since_claim.as_millis()).unwrap_or(0);
    Change::RunEnded {
        task: run.task,
        attempt: run.attempt,
        outcome: OutcomeKind::of(&row.outcome),
        clock_ms,
        isolation: unwalled(row),
    }
}

/// What is told where a wall was wanted and there was none.
fn unwalled(row: &OutcomeRow) -> Option<String> {
    let level = &row.facts.as_ref()?.isolation;
    (*level == Level::Degraded.to_string()).then(|| level.clone())
}

/// Stages what the end makes of the run's task.
async fn stage_task(
    core: &Core,
    draft: &mut Draft,
    run: &Run,
    outcome: &Outcome,
) -> Result<Option<Task>, CommandError> {
    let Some(task) = task_of(core, run).await? else {
        return Ok(None);
    };
    let event = TaskEvent::Finish {
        outcome,
        checkpoint: &run.checkpoint,
    };
    let cause = Cause::of_end(run, outcome);
    match move_task(core, draft, &task, &event, cause).await? {
        Moved::To(task) => Ok(Some(*task)),
        Moved::Same | Moved::Ignored => Ok(Some(task.into_inner())),
    }
}

/// The task whose run this is; none when it has none, or the task is at another run.
pub(super) async fn task_of(core: &Core, run: &Run) -> Result<Option<Versioned<Task>>, CommandError> {
    let Some(id) = run.task else { return Ok(None) };
    let task = Records::<Task>::new(&core.space).get(&id).await?;
    Ok(task.filter(|task| task.last_run == Some(run.id)))
}
