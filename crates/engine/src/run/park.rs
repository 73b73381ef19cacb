//! Parking: a run that waits for a person or a time holds nothing; and going on with it, when its task is claimed again.

use dormouse_filesystem::{Records, Versioned};

use super::process::stage_processes_gone;
use super::service::{get, rejected, stage_run};
use super::{Claimed, Leaving, Run, RunEvent, RunNext, RunState, RunWait, calls, decide};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::gate::Gate;
use crate::lease::{LeaseEvent, check};
use crate::task::{Task, Wait, park_task};
use crate::{CommandError, Decision, RunId};

/// A run that is parked.
#[derive(Debug, Clone, PartialEq)]
pub struct Parked {
    /// The run as it is stored.
    pub run: Run,
    /// Its task, which waits for the same; or is ready, when that was there meanwhile.
    pub task: Option<Task>,
    /// What it waits for.
    pub wait: RunWait,
}

/// Stages that a run waits: its lease and processes go, its task waits. A gate that was decided meanwhile, and a time that is
/// over, make the task ready instead.
pub(super) async fn park(
    core: &Core,
    mut draft: Draft,
    claimed: &Claimed,
    wait: RunWait,
    leaving: &Leaving,
) -> Result<Verdict<Parked>, CommandError> {
    let read = get(core, claimed.run.id).await?;
    match decide(read.state, RunEvent::Park) {
        Decision::Apply(RunNext::Live(RunState::Waiting)) => {}
        // The answer to the same command was lost.
        Decision::Ignore(_) => return replayed(core, read, wait).await,
        Decision::Reject(reason) => return Err(rejected(&read, RunEvent::Park, reason)),
        cell @ (Decision::Same | Decision::Apply(_)) => unreachable!("no cell of park is {cell:?}"),
    }
    let held = check(core, &claimed.guard, LeaseEvent::Write, draft.now()).await?;
    held.stage_release(core, &mut draft).await?;
    let is_there = stage_wait(core, &mut draft, wait).await?;
    stage_processes_gone(core, &mut draft, read.id, leaving.alive).await?;
    crate::capability::follow_park(&core.space, &mut draft, &read).await?;
    let run = Run {
        state: RunState::Waiting,
        wait: Some(wait),
        clock_ms: u64::try_from(leaving.clock.as_millis()).unwrap_or(u64::MAX),
        used_before: leaving.used.clone(),
        updated_at: draft.now(),
        op: draft.op(),
        ..calls::left(claimed, &read)
    };
    let task = match super::finish::task_of(core, &run).await? {
        Some(task) => Some(park_task(core, &mut draft, &task, of_task(wait), is_there).await?),
        None => None,
    };
    stage_run(core, &mut draft, Some(&read), &run, None).await?;
    Ok(Verdict::Commit(draft, Parked { run, task, wait }))
}

/// Stages that what is waited for is as it was read: whether it is there already.
async fn stage_wait(core: &Core, draft: &mut Draft, wait: RunWait) -> Result<bool, CommandError> {
    match wait {
        RunWait::Gate { gate } => {
            let gates = Records::<Gate>::new(&core.space);
            let asked = gates.get(&gate).await?;
            let asked = asked.ok_or_else(|| CommandError::not_found("gate", &gate))?;
            gates.stage_check(draft.batch(), &asked);
            Ok(!asked.is_pending())
        }
        RunWait::Until { until } => Ok(until <= draft.now()),
    }
}

fn of_task(wait: RunWait) -> Wait {
    match wait {
        RunWait::Gate { gate } => Wait::Gate { gate },
        RunWait::Until { until } => Wait::Until { until },
    }
}

async fn replayed(core: &Core, run: Versioned<Run>, wait: RunWait) -> Result<Verdict<Parked>, CommandError> {
    let task = super::finish::task_of(core, &run)
        .await?
        .map(Versioned::into_inner);
    let run = run.into_inner();
    Ok(Verdict::Nothing(Parked { run, task, wait }))
}

/// The parked run of a task, if it has one.
pub(crate) async fn parked(
    core: &Core,
    last_run: Option<RunId>,
) -> Result<Option<Versioned<Run>>, CommandError> {
    let Some(last) = last_run else { return Ok(None) };
    let run = Records::<Run>::new(&core.space).get(&last).await?;
    Ok(run.filter(|run| run.state == RunState::Waiting))
}

/// The run as it goes on: its next process is another spawn of it.
pub(super) fn resumed(draft: &Draft, read: &Run) -> Result<Run, CommandError> {
    match decide(read.state, RunEvent::Resume) {
        Decision::Apply(RunNext::Live(state)) => Ok(Run {
            state,
            wait: None,
            spawn: read.spawn.saturating_add(1),
            updated_at: draft.now(),
            op: draft.op(),
            ..read.clone()
        }),
        cell => unreachable!("only a parked run is resumed, and its cell is not {cell:?}"),
    }
}
