//! Starting: the processes of a run are durable before any of them may go.

use dormouse_filesystem::Records;
use dormouse_secrets::{Scrubbed, SpawnWrites};

use super::calls::between_calls;
use super::service::{get, stage_run};
use super::{Checkpoint, Claimed, Process, Run, RunEvent, RunNext, RunState, StopReason, decide};
use crate::command::Effects;
use crate::core::Core;
use crate::credentials::unspawned;
use crate::draft::{Draft, Verdict};
use crate::lease::{LeaseEvent, check};
use crate::run::service::rejected;
use crate::{CommandError, Decision};

/// Whether the worker may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// Its processes are written down, and the run is running: it may go.
    Go,
    /// It was told to stop meanwhile, and is not to go. Nothing was written.
    Stop(StopReason),
}

/// What is seen of the calls of a run's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calls {
    /// It asks before each that has an effect, and none is answered before it is stored that it begins.
    Asked,
    /// Nothing.
    Unseen,
}

pub(super) async fn start(
    core: &Core,
    mut draft: Draft,
    claimed: &Claimed,
    process: Option<&Process>,
    calls: Calls,
    lent: Option<&SpawnWrites>,
) -> Result<Verdict<Started>, CommandError> {
    let read = get(core, claimed.run.id).await?;
    match decide(read.state, RunEvent::Start) {
        Decision::Apply(RunNext::Live(state)) => {
            let held = check(core, &claimed.guard, LeaseEvent::Write, draft.now()).await?;
            held.stage_check(core, &mut draft);
            let mut run = read.clone().into_inner();
            (run.state, run.checkpoint) = (state, checkpoint(claimed, &read, calls));
            (run.updated_at, run.op) = (draft.now(), draft.op());
            // Where it parked while processes of its lived, there are others.
            stage_other(core, &mut draft, process).await?;
            if let Some(lent) = lent {
                lent.stage(draft.batch()).await.map_err(unspawned)?;
            }
            stage_run(core, &mut draft, Some(&read), &run, None).await?;
            Ok(Verdict::Commit(draft, Started::Go))
        }
        Decision::Ignore(_) => match &read.stop_reason {
            Some(reason) if read.state == RunState::Stopping => {
                Ok(Verdict::Nothing(Started::Stop(reason.clone())))
            }
            // The answer to the same command was lost, or another process goes on with it: nobody else may hold it since.
            _ => {
                let held = check(core, &claimed.guard, LeaseEvent::Write, draft.now()).await?;
                if !stage_other(core, &mut draft, process).await? {
                    return Ok(Verdict::Nothing(Started::Go));
                }
                held.stage_check(core, &mut draft);
                Ok(Verdict::Commit(draft, Started::Go))
            }
        },
        Decision::Reject(reason) => Err(rejected(&read, RunEvent::Start, reason)),
        Decision::Same | Decision::Apply(RunNext::Reported | RunNext::Stopped | RunNext::Lost) => {
            unreachable!("no cell of start says so")
        }
    }
}

/// Stages the processes of a run that has others already; false when they are the same.
async fn stage_other(
    core: &Core,
    draft: &mut Draft,
    process: Option<&Process>,
) -> Result<bool, CommandError> {
    let Some(process) = process else { return Ok(false) };
    let rows = Records::<Process>::new(&core.space);
    match rows.get(&process.run).await? {
        Some(former) if *former == *process => Ok(false),
        Some(former) => {
            rows.stage_replace(draft.batch(), &former, process).await?;
            Ok(true)
        }
        None => {
            rows.stage_create(draft.batch(), process)?;
            Ok(true)
        }
    }
}

/// What is open while a process runs whose effects nobody sees.
pub(super) const PROCESS: &str = "the command's process";

/// Whether the effects of a run's process are open from its start to its end.
pub(super) fn is_opaque(checkpoint: &Checkpoint) -> bool {
    let what = Scrubbed::constant(PROCESS);
    matches!(checkpoint, Checkpoint::SideEffect { what: Some(open) } if *open == what)
}

/// A command whose effects cannot be seen has a side effect open from here to its end; one whose calls are seen begins where
/// nothing is open. Of any other run what is known stays known: it may have been parked.
fn checkpoint(claimed: &Claimed, read: &Run, calls: Calls) -> Checkpoint {
    let command = claimed.task.command.as_ref();
    // A claim has filled in what its agent or its kind says.
    match (command.map(|command| command.effects_by(None)), calls) {
        (None | Some(Effects::Repeatable), _) => read.checkpoint.clone(),
        (Some(Effects::Resumable), Calls::Asked) => match &read.checkpoint {
            Checkpoint::None => between_calls(),
            known @ (Checkpoint::Safe { .. } | Checkpoint::SideEffect { .. }) => known.clone(),
        },
        // Whoever runs it does not ask for its calls: nobody sees them.
        (Some(Effects::Opaque), _) | (Some(Effects::Resumable), Calls::Unseen) => Checkpoint::SideEffect {
            what: Some(Scrubbed::constant(PROCESS)),
        },
    }
}
