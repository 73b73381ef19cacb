//! Stopping: the reason is durable before anything is killed, and the first reason stands.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::service::{get, rejected, stage_run};
use super::{Run, RunEvent, RunNext, RunState, StopReason, decide};
use crate::command::GRACE_MAX;
use crate::core::Core;
use crate::draft::Draft;
use crate::event::Change;
use crate::limits::STOP_MARGIN;
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
            let deadline = deadline(core, &read, draft.now());
            let run = stopping(&read, state, &reason, draft, deadline);
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

fn stopping(read: &Run, state: RunState, reason: &StopReason, draft: &Draft, deadline: Timestamp) -> Run {
    Run {
        state,
        stop_reason: Some(reason.clone()),
        stop_deadline: Some(deadline),
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
fn grace(run: &Run) -> Duration {
    // A row that says it not is of a former build: the longest there is leaves it its time.
    run.grace_ms.map_or(GRACE_MAX, Duration::from_millis)
}

/// Until when a run that is told to stop now has to have ended. Its holder may be of another process, which hears of it with
/// its next heartbeat, and whose clock may be ahead; only then its grace begins.
fn deadline(core: &Core, run: &Run, now: Timestamp) -> Timestamp {
    let lasts = [grace(run), core.lease.heartbeat, core.lease.skew, STOP_MARGIN];
    let lasts = lasts.into_iter().fold(Duration::ZERO, Duration::saturating_add);
    SignedDuration::try_from(lasts)
        .ok()
        .and_then(|lasts| now.checked_add(lasts).ok())
        .unwrap_or(Timestamp::MAX)
}
