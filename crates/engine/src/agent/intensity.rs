//! An agent whose runs end badly too often is paused, so that it does nothing again and again.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::Versioned;
use dormouse_secrets::Scrubbed;
use jiff::SignedDuration;

use super::{Agent, AgentState, Agents};
use crate::core::Core;
use crate::limits::{INTENSITY_RUNS, INTENSITY_WITHIN, PAGE_MAX};
use crate::outcome::Outcome;
use crate::run::{RunFilter, Runs};
use crate::{AgentName, CommandError, Principal};

/// Runs that are looked at for each that is wanted, beside as many as may be at work: good ends lie between the bad ones.
const LOOKED_AT: usize = 4;

/// `worker.agent_intensity`: as many bad ends within so long pause an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    /// So many, at least 1 and at most [`INTENSITY_RUNS_MAX`](crate::limits::INTENSITY_RUNS_MAX).
    pub runs: usize,
    /// Within so long.
    pub within: Duration,
}

impl Default for Intensity {
    fn default() -> Self {
        Self {
            runs: INTENSITY_RUNS,
            within: INTENSITY_WITHIN,
        }
    }
}

/// Whether an end is one that too many of pause an agent. A holder that vanished is none: that is not its work's fault, and
/// has a count of its own.
pub(crate) fn is_bad(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed { .. } | Outcome::Timeout { .. } => true,
        Outcome::Success { .. }
        | Outcome::Partial { .. }
        | Outcome::Blocked { .. }
        | Outcome::Lost { .. }
        | Outcome::Cancelled { .. } => false,
    }
}

/// Pauses an agent, one run of which has just ended badly, where it is one of too many. What ended before the agent was
/// changed last counts no more: whoever resumed it, or set it otherwise, knew of it; also whoever did while it was judged.
pub(crate) async fn heed_bad_end(core: &Arc<Core>, name: &AgentName) -> Result<(), CommandError> {
    let Some(intensity) = core.adjusted.now().agent_intensity else {
        return Ok(());
    };
    let Some(agent) = core.agent_if_there(name).await? else {
        return Ok(());
    };
    if agent.state != AgentState::Active {
        return Ok(());
    }
    let within = SignedDuration::try_from(intensity.within).unwrap_or(SignedDuration::MAX);
    let begin = core.environment.clock.now().checked_sub(within);
    let since = begin.map_or(agent.updated_at, |begin| begin.max(agent.updated_at));
    let at_work = usize::try_from(agent.config.concurrency).unwrap_or(PAGE_MAX);
    let limit = (intensity.runs * LOOKED_AT)
        .saturating_add(at_work)
        .clamp(1, PAGE_MAX);
    let latest = Runs::new(core)
        .list(&RunFilter::Agent(name.clone()), None, limit)
        .await?;
    let outcomes = latest.rows.iter().filter_map(|row| row.outcome.as_deref());
    let bad = outcomes.filter(|row| row.ended_at >= since && is_bad(&row.outcome));
    if bad.count() < intensity.runs {
        return Ok(());
    }
    let minutes = intensity.within.as_secs().div_ceil(60);
    let reason = format!("{} runs ended badly within {minutes} min", intensity.runs);
    let reason = core.scrubber.scrub(&reason);
    paused(core, &agent, reason).await
}

async fn paused(core: &Arc<Core>, read: &Versioned<Agent>, reason: Scrubbed) -> Result<(), CommandError> {
    let (agents, by) = (Agents::new(core), Principal::engine());
    let expected = Some(read.version());
    let paused = agents.paused(&by, &read.name, expected, Some(reason.clone()));
    match paused.await {
        Ok(_) => {
            tracing::warn!(tenant = %core.tenant, agent = %read.name, reason = reason.as_str(), "the agent is paused");
            Ok(())
        }
        // It goes, or is gone; or whoever changed it meanwhile knew of these ends.
        Err(
            CommandError::NotFound { .. } | CommandError::AgentDeleting { .. } | CommandError::Stale { .. },
        ) => Ok(()),
        Err(error) => Err(error),
    }
}
