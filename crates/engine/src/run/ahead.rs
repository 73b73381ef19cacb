//! What commands on a run are going to read, read together: each trip to the store waits for a thread or a server.

use dormouse_filesystem::Ahead;
use dormouse_secrets::Secrets;

use super::{Claimed, OutcomeRow, Process, Run, RunIndex};
use crate::agent::Agent;
use crate::core::Core;
use crate::lease::{Heartbeat, Lease, LeaseIndex};
use crate::task::{Task, TaskIndex};
use crate::{CommandError, budget, capability, gate};

/// The indexes of a task whose entries its claim and its end change.
const MOVED: &[TaskIndex] = &[TaskIndex::AssigneeState, TaskIndex::Ready, TaskIndex::State];

/// For the claim of a task as it was read.
pub(super) async fn of_claim(core: &Core, task: &Task) -> Result<Core, CommandError> {
    let mut ahead = Ahead::of(&core.space)
        .record::<Agent>(&task.assignee)
        .entries::<Task>(task, MOVED);
    if let Some(last) = task.last_run {
        ahead = ahead.record::<Run>(&last);
    }
    Ok(core.reading(ahead.read().await?))
}

/// For the end of a run. Most often it holds nothing and asked nothing, which is what most of the pages say.
pub(super) async fn of_end(core: &Core, claimed: &Claimed) -> Result<Core, CommandError> {
    let run = &claimed.run;
    let subject = run.subject();
    let mut ahead = Ahead::of(&core.space)
        .record::<Run>(&run.id)
        .record::<OutcomeRow>(&run.id)
        .record::<Lease>(&subject)
        .record::<Heartbeat>(&subject)
        .record::<Process>(&run.id)
        .entries::<Run>(run, &[RunIndex::Live])
        .entries::<Lease>(claimed.guard.lease(), &[LeaseIndex::Deadline]);
    if let Some(task) = run.task {
        ahead = ahead.record::<Task>(&task).entries::<Task>(&claimed.task, MOVED);
    }
    ahead = Secrets::ahead_of_run_ended(ahead, &run.id.to_string());
    ahead = budget::ahead_of_end(ahead, run);
    ahead = capability::ahead_of_end(ahead, run);
    ahead = gate::ahead_of_end(ahead, run);
    Ok(core.reading(ahead.read().await?))
}
