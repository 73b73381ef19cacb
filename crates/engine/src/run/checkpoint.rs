//! Checkpoints: what is known of a run's effects, as its steps write it.

use dormouse_filesystem::Versioned;

use super::service::{get, rejected, stage_run};
use super::start::is_opaque;
use super::{Checkpoint, Claimed, Run, RunEvent, calls, decide};
use crate::core::Core;
use crate::draft::Draft;
use crate::lease::{LeaseEvent, check};
use crate::{CommandError, Decision, Reason, RunId};

/// A run of which its holder may write what is known of its effects, and so of its work: read, and held by the batch.
///
/// # Errors
/// `Fenced` and `LeaseExpired`: stop at once. `Rejected` when it has ended.
pub(super) async fn held(
    core: &Core,
    draft: &mut Draft,
    claimed: &Claimed,
) -> Result<Versioned<Run>, CommandError> {
    let held = check(core, &claimed.guard, LeaseEvent::Write, draft.now()).await?;
    held.stage_check(core, draft);
    let read = get(core, claimed.run.id).await?;
    match decide(read.state, RunEvent::Checkpoint) {
        Decision::Same => Ok(read),
        Decision::Reject(reason) => Err(rejected(&read, RunEvent::Checkpoint, reason)),
        cell @ (Decision::Apply(_) | Decision::Ignore(_)) => {
            unreachable!("no cell of checkpoint is {cell:?}")
        }
    }
}

/// Stages what is known of a run's effects. While it has a process whose effects nobody sees, that stays open.
pub(crate) async fn stage_checkpoint(
    core: &Core,
    draft: &mut Draft,
    id: RunId,
    next: Checkpoint,
) -> Result<(), CommandError> {
    let read = get(core, id).await?;
    match decide(read.state, RunEvent::Checkpoint) {
        Decision::Same => {}
        Decision::Reject(Reason::Fenced) => {
            let subject = read.subject();
            return Err(CommandError::Fenced { subject });
        }
        Decision::Reject(reason) => return Err(rejected(&read, RunEvent::Checkpoint, reason)),
        cell @ (Decision::Apply(_) | Decision::Ignore(_)) => {
            unreachable!("no cell of checkpoint is {cell:?}")
        }
    }
    if is_opaque(&read.checkpoint) {
        return Ok(());
    }
    // What is safe for a step is not while a call of the run's provider is open.
    let next = match next {
        Checkpoint::Safe { .. } => calls::open(&read.calls).unwrap_or(next),
        Checkpoint::None | Checkpoint::SideEffect { .. } => next,
    };
    let run = Run {
        checkpoint: next,
        updated_at: draft.now(),
        op: draft.op(),
        ..Run::clone(&read)
    };
    stage_run(core, draft, Some(&read), &run, None).await
}
