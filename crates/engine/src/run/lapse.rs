//! Lapsing: recovery ends a run whose holder vanished, in one commit.

use dormouse_filesystem::{Namespace, Records, Tenant, Version, Versioned};

use super::finish::{stage_end, task_of};
use super::{Checkpoint, Claimed, Finished, Run, RunEvent, RunNext, decide};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::lease::{Held, held};
use crate::limits::RECLAIMS_MAX;
use crate::outcome::Outcome;
use crate::task::{Cause, Lapse, Moved, Task, TaskEvent, move_task};
use crate::{CommandError, Decision, LeaseId, Principal, Reason, RunId, Subject};

/// Why a run is taken for abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lapsed {
    /// The holding that is over; another one since is left alone.
    pub(crate) lease: LeaseId,
    /// What is to be as it was when that was judged.
    pub(crate) seen: Seen,
    /// Why it is.
    pub(crate) reason: Reason,
    /// Whether its holder can do nothing more.
    pub(crate) holder_is_dead: bool,
}

/// What tells that nothing was done by a holder since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Its last sign of life: one that comes after all spares the run, where its lease had expired.
    Heartbeat(Version),
    /// The holder's own token: it gives up what it holds, and nothing of another's.
    Token(Version),
}

/// Whether the task of a run that ended so will be tried again by itself: then what it asked waits for the next attempt.
pub(crate) async fn is_tried_again(
    space: &Namespace<Tenant>,
    run: &Run,
    outcome: &Outcome,
) -> Result<bool, CommandError> {
    let is_lost = matches!(outcome, Outcome::Lost { .. }) && run.stop_reason.is_none();
    let (Some(task), true) = (run.task, is_lost) else {
        return Ok(false);
    };
    let Some(task) = Records::<Task>::new(space).get(&task).await? else {
        return Ok(false);
    };
    let has_side_effect = matches!(run.checkpoint, Checkpoint::SideEffect { .. });
    Ok(task.last_run == Some(run.id) && !has_side_effect && task.reclaims < RECLAIMS_MAX)
}

/// Ends a run as if its holder had vanished, by the word of its holder: whether what it did happened is not known.
///
/// # Errors
/// As any command. A run that is another's by now is left alone: none.
pub(crate) async fn give_up(core: &Core, claimed: &Claimed) -> Result<Option<Finished>, CommandError> {
    let lapsed = Lapsed {
        lease: claimed.guard.id(),
        seen: Seen::Token(claimed.guard.token()),
        reason: Reason::Lost,
        holder_is_dead: true,
    };
    lapse(core, claimed.run.id, lapsed).await
}

/// Ends a run whose holder vanished; none when there was nothing to end any more.
pub(crate) async fn lapse(core: &Core, run: RunId, lapsed: Lapsed) -> Result<Option<Finished>, CommandError> {
    let by = Principal::engine();
    let done = core
        .command(&by, |draft| staged(core, draft, run, lapsed))
        .await?;
    Ok(done.answer)
}

async fn staged(
    core: &Core,
    mut draft: Draft,
    id: RunId,
    lapsed: Lapsed,
) -> Result<Verdict<Option<Finished>>, CommandError> {
    let Some(held) = held(core, &Subject::Run(id)).await? else {
        return Ok(Verdict::Nothing(None));
    };
    let is_as_seen = match lapsed.seen {
        // A renewal that came after all keeps the lease's id: its holder lives.
        Seen::Heartbeat(seen) => lapsed.reason != Reason::Expired || held.heartbeat.version() == seen,
        Seen::Token(token) => held.lease.version() == token,
    };
    if held.lease.id != lapsed.lease || !is_as_seen {
        return Ok(Verdict::Nothing(None));
    }
    held.stage_release(core, &mut draft).await?;
    let Some(read) = Records::<Run>::new(&core.space).get(&id).await? else {
        return Ok(Verdict::Commit(draft, None));
    };
    let outcome = match decide(read.state, RunEvent::Lapse) {
        Decision::Apply(RunNext::Lost) => lost(&held),
        Decision::Apply(RunNext::Stopped) => stopped(&read, &held),
        // It has ended or is parked, and yet a lease stands: only the lease goes.
        Decision::Ignore(_) => return Ok(Verdict::Commit(draft, None)),
        Decision::Same | Decision::Reject(_) | Decision::Apply(RunNext::Live(_) | RunNext::Reported) => {
            unreachable!("no cell of lapse says so")
        }
    };
    let expired = Change::LeaseExpired {
        lease: lapsed.lease,
        reason: lapsed.reason,
    };
    draft.tell(&read.about(), &expired)?;
    let mut finished = stage_end(core, &mut draft, &read, outcome, None).await?;
    stage_task(core, &mut draft, &read, &mut finished, lapsed).await?;
    Ok(Verdict::Commit(draft, Some(finished)))
}

fn lost(held: &Held) -> Outcome {
    Outcome::Lost {
        last_heartbeat_at: Some(held.heartbeat.beat_at),
    }
}

fn stopped(run: &Run, held: &Held) -> Outcome {
    run.stop_reason
        .as_ref()
        .map_or_else(|| lost(held), super::StopReason::outcome)
}

async fn stage_task(
    core: &Core,
    draft: &mut Draft,
    run: &Versioned<Run>,
    finished: &mut Finished,
    lapsed: Lapsed,
) -> Result<(), CommandError> {
    let Some(task) = task_of(core, run).await? else {
        return Ok(());
    };
    let event = TaskEvent::Lapse(Lapse {
        checkpoint: &run.checkpoint,
        stop: run.stop_reason.as_ref(),
        holder_is_dead: lapsed.holder_is_dead,
        lease_ttl: core.lease.ttl,
    });
    let cause = Cause::of_end(run, &finished.outcome.outcome);
    finished.task = Some(match move_task(core, draft, &task, &event, cause).await? {
        Moved::To(task) => *task,
        Moved::Same | Moved::Ignored => task.into_inner(),
    });
    Ok(())
}
