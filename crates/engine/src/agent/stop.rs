//! Stopping the runs of an agent: of one that is paused, and of one that goes.

use dormouse_filesystem::{Cursor, IndexValue, Query, Records, Versioned};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use super::Agent;
use crate::core::Core;
use crate::draft::Verdict;
use crate::limits::{AGENT_PAGE_COMMITS, PAGE_MAX};
use crate::run::{Run, RunIndex, RunState, StopReason, Stopped, stage_stop};
use crate::{CommandError, Principal, RunId};

/// The runs of this life of an agent that have not ended.
pub(super) async fn live_runs(core: &Core, agent: &Agent) -> Result<Vec<Versioned<Run>>, CommandError> {
    let rows = Records::<Run>::new(&core.space);
    let (mut live, mut after): (Vec<_>, Option<Cursor>) = (Vec::new(), None);
    // Ends with the last page.
    loop {
        let query = Query::of(RunIndex::Live)
            .equals([IndexValue::segment(agent.name.segment())])
            .after(after)
            .limit(PAGE_MAX);
        let page = rows.find(&query).await?;
        for issue in &page.issues {
            tracing::warn!(agent = %agent.name, %issue, "a run cannot be believed, and is left");
        }
        live.extend(
            page.rows
                .into_iter()
                .filter(|run| run.agent_incarnation == agent.incarnation),
        );
        after = page.next;
        if after.is_none() {
            return Ok(live);
        }
    }
}

/// Tells those runs of an agent to stop that somebody holds. One that is parked goes on waiting. Says how many were told.
pub(super) async fn stop_held(
    core: &Core,
    by: &Principal,
    agent: &Agent,
    reason: &StopReason,
) -> Result<usize, CommandError> {
    let mut held = live_runs(core, agent).await?;
    held.retain(|run| matches!(run.state, RunState::Starting | RunState::Running));
    let stops = held
        .iter()
        .map(|run| stop_run(core, by, run.id, reason.clone()).boxed());
    let stops: Vec<_> = stops.collect();
    let told: Vec<bool> = stream::iter(stops)
        .buffer_unordered(AGENT_PAGE_COMMITS)
        .try_collect()
        .await?;
    Ok(told.into_iter().filter(|was_told| *was_told).count())
}

/// Tells a run to stop; one that is parked ends by it. Whether that changed anything.
pub(super) async fn stop_run(
    core: &Core,
    by: &Principal,
    run: RunId,
    reason: StopReason,
) -> Result<bool, CommandError> {
    let reason = &reason;
    let done = core.command(by, |mut draft| async move {
        let stopped = stage_stop(core, &mut draft, run, reason.clone()).await?;
        Ok(if draft.batch().writes() {
            Verdict::Commit(draft, stopped)
        } else {
            Verdict::Nothing(None)
        })
    });
    let done = done.await?;
    if let Some(Stopped { run, reason }) = done.answer {
        core.live.tell(run, reason);
    }
    Ok(done.version.is_some())
}
