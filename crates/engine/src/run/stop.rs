//! Stopping: the reason is durable before anything is killed, and the first reason stands.

use dormouse_filesystem::Records;
use jiff::{SignedDuration, Timestamp};

use super::service::{get, rejected, stage_run};
use super::{Run, RunEvent, RunNext, RunState, StopReason, decide};
use crate::agent::Agent;
use crate::command::ClockSettings;
use crate::core::Core;
use crate::draft::Draft;
use crate::event::Change;
use crate::limits::STOP_MARGIN;
use crate::task::Task;
use crate::{CommandError, Decision, RunId};

/// A run that was told to stop.
#[derive(Debug, Clone)]
pub(crate) struct Stopped {
    pub(crate) run: RunId,
    pub(crate) reason: StopReason,
}

/// Stages that a run is to stop; none when it is being stopped already, or has ended.
pub(crate) async fn stage_stop(
    core: &Core,
    draft: &mut Draft,
    id: RunId,
    reason: StopReason,
) -> Result<Option<Stopped>, CommandError> {
    let read = get(core, id).await?;
    match decide(read.state, RunEvent::Stop) {
        Decision::Apply(RunNext::Live(state)) => {
            let grace = grace(core, &read).await?;
            let run = stopping(&read, state, &reason, draft, grace);
            stage_run(core, draft, Some(&read), &run, None).await?;
            let cause = reason.word().to_owned();
            draft.tell(&run.about(), &Change::RunStopping { cause })?;
            Ok(Some(Stopped { run: id, reason }))
        }
        Decision::Ignore(_) => Ok(None),
        Decision::Reject(why) => Err(rejected(&read, RunEvent::Stop, why)),
        // A parked run has no holder to end it.
        Decision::Apply(RunNext::Stopped) => {
            let outcome = reason.outcome();
            let run = Run {
                stop_reason: Some(reason),
                ..Run::clone(&read)
            };
            super::finish::stage_end_of(core, draft, &read, run, outcome, None).await?;
            Ok(None)
        }
        Decision::Same | Decision::Apply(RunNext::Reported | RunNext::Lost) => {
            Err(rejected(&read, RunEvent::Stop, crate::Reason::State))
        }
    }
}

fn stopping(read: &Run, state: RunState, reason: &StopReason, draft: &Draft, grace: SignedDuration) -> Run {
    let margin = SignedDuration::try_from(STOP_MARGIN).expect("seconds fit");
    let deadline = draft.now().checked_add(grace.saturating_add(margin));
    Run {
        state,
        stop_reason: Some(reason.clone()),
        stop_deadline: Some(deadline.unwrap_or(Timestamp::MAX)),
        updated_at: draft.now(),
        op: draft.op(),
        ..read.clone()
    }
}

/// Refuses what comes when a run that is being stopped should have ended: its lapse says how it ended.
pub(super) fn in_time(run: &Run, now: Timestamp) -> Result<(), CommandError> {
    match run.stop_deadline {
        Some(at) if at <= now => Err(CommandError::LeaseExpired {
            subject: run.subject(),
            at,
        }),
        Some(_) | None => Ok(()),
    }
}

/// How long the worker has between the cooperative stop and the kill.
async fn grace(core: &Core, run: &Run) -> Result<SignedDuration, CommandError> {
    let task = match run.task {
        Some(task) => Records::<Task>::new(&core.space).get(&task).await?,
        None => None,
    };
    let command = task.as_ref().and_then(|task| task.command.as_ref());
    let clocks = match command {
        // Of a future nobody sets any.
        None => ClockSettings::default(),
        Some(command) if command.grace_ms.is_some() => command.clocks(),
        Some(_) => of_agent(core, run).await?,
    };
    let grace = clocks.grace();
    Ok(SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX))
}

/// The clocks of a run whose command sets none.
async fn of_agent(core: &Core, run: &Run) -> Result<ClockSettings, CommandError> {
    // Also while it is being deleted: its worker was begun with these.
    let agent = Records::<Agent>::new(&core.space).get(&run.agent).await?;
    // Of the engine it is not known which one it had: the longest leaves it its time.
    let grace_max = u64::try_from(core.adjusted.grace_max().as_millis()).unwrap_or(u64::MAX);
    let next = ClockSettings {
        grace_ms: Some(grace_max),
        ..core.adjusted.now().clocks
    };
    Ok(agent.map_or(next, |agent| agent.config.clocks.or(&next)))
}
