//! What a lane's row and its tasks say: read, picked and settled, a command each.

use std::collections::HashSet;

use dormouse_filesystem::{Ahead, IndexValue, Query, Records, Version};
use jiff::{SignedDuration, Timestamp};

use super::{Wake, WakeEvent, WakeFacts, WakeState, decide};
use crate::agent::{Agent, AgentState};
use crate::bad::pass_over;
use crate::budget::{Account, AccountPath, slots_taken};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::limits::{CANDIDATES_MAX, PICK_TTL};
use crate::task::{Task, TaskIndex};
use crate::{AgentName, CommandError, Decision, Principal, TaskId};

/// What there is to do in a lane.
#[derive(Debug)]
pub(crate) enum Found {
    /// These may be claimed, the first first; as many as there are places, or fewer.
    Ready {
        /// Never empty, and no more than were wanted.
        tasks: Vec<TaskId>,
        /// How many may run beside those that do.
        places: usize,
    },
    /// As many run as may.
    NoPlace,
    /// Nothing that was not passed over.
    Nothing {
        /// The wake row before that was looked for; none when there was none.
        seen: Option<Version>,
        /// Whether some are ready that were passed over.
        has_others: bool,
    },
    /// The agent is paused.
    Paused,
    /// There is no such agent, or it goes.
    Gone,
}

/// Reads what may be claimed in a lane, no more tasks than are wanted. Where no place is free, none of its tasks is read.
pub(crate) async fn look(
    core: &Core,
    agent: &AgentName,
    passed_over: &HashSet<TaskId>,
    wanted: usize,
) -> Result<Found, CommandError> {
    // Before the tasks: a ring after this raises the row's version.
    let first = Ahead::of(&core.space)
        .record::<Agent>(agent)
        .record::<Wake>(agent)
        .record::<Account>(&AccountPath::Agent(agent.clone()));
    let core = &core.reading(first.read().await?);
    let Some(row) = core.agent_if_there(agent).await? else {
        return Ok(Found::Gone);
    };
    if row.state == AgentState::Paused {
        return Ok(Found::Paused);
    }
    let seen = Records::<Wake>::new(&core.space).get(agent).await?;
    let most = usize::try_from(row.config.concurrency).unwrap_or(usize::MAX);
    let places = most.saturating_sub(slots_taken(core, &row).await?);
    if places == 0 {
        return Ok(Found::NoPlace);
    }
    let (tasks, has_others) = ready(core, agent, passed_over, places.min(wanted)).await?;
    if tasks.is_empty() {
        let seen = seen.map(|wake| wake.version());
        return Ok(Found::Nothing { seen, has_others });
    }
    Ok(Found::Ready { tasks, places })
}

/// The first of what is ready in a lane.
fn ready_query(agent: &AgentName, most: usize) -> Query<TaskIndex> {
    Query::of(TaskIndex::Ready)
        .equals([IndexValue::segment(agent.segment())])
        .limit(most.clamp(1, CANDIDATES_MAX))
}

/// The first ready tasks that were not passed over, at most so many, and whether any was.
async fn ready(
    core: &Core,
    agent: &AgentName,
    passed_over: &HashSet<TaskId>,
    free: usize,
) -> Result<(Vec<TaskId>, bool), CommandError> {
    let free = free.min(CANDIDATES_MAX);
    let page = free.saturating_add(passed_over.len());
    let rows = Records::<Task>::new(&core.space);
    let (mut found, mut has_others, mut after) = (Vec::new(), false, None);
    // Ends with the last page, or with as many as are wanted.
    loop {
        let query = ready_query(agent, page).after(after);
        let page = rows.find(&query).await?;
        for issue in &page.issues {
            tracing::warn!(%agent, %issue, "a ready task cannot be believed; those behind it are claimed");
        }
        if !page.issues.is_empty() {
            pass_over::<Task>(core, &query).await;
        }
        for task in page.rows {
            if passed_over.contains(&task.id) {
                has_others = true;
            } else if found.len() < free {
                found.push(task.id);
            }
        }
        after = page.next;
        if after.is_none() || found.len() >= free {
            return Ok((found, has_others));
        }
    }
}

/// Takes a lane for this process, where several share the store. None when another has it, or there is nothing any more.
pub(super) async fn pick(core: &Core, agent: &AgentName) -> Result<Option<Timestamp>, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let rows = Records::<Wake>::new(&core.space);
        let Some(read) = rows.get(agent).await? else {
            return Ok(Verdict::Nothing(None));
        };
        let mut wake = freed_pick(&read, draft.now());
        let facts = WakeFacts {
            is_early: draft.now() < wake.due_at,
            again: wake.again,
            is_paused: false,
        };
        let is_ours = wake.state == WakeState::Picked && wake.picked_by == Some(core.environment.host.epoch);
        if !is_ours {
            match decide(Some(wake.state), WakeEvent::Pick, facts) {
                Decision::Apply(Some(state)) => wake.state = state,
                _ => return Ok(Verdict::Nothing(None)),
            }
            wake.again = false;
        }
        let until = until(draft.now());
        wake.picked_by = Some(core.environment.host.epoch);
        wake.picked_until = Some(until);
        wake.op = draft.op();
        rows.stage_replace(draft.batch(), &read, &wake).await?;
        Ok(Verdict::Commit(draft, Some(until)))
    });
    Ok(done.await?.answer)
}

/// The row without a pick that has expired, and without being full when its time has come.
fn freed_pick(read: &Wake, now: Timestamp) -> Wake {
    let mut wake = read.clone();
    let event = match wake.state {
        WakeState::Picked if wake.picked_until.is_none_or(|until| until <= now) => WakeEvent::PickExpired,
        WakeState::Full if wake.due_at <= now => WakeEvent::Freed,
        _ => return wake,
    };
    if let Decision::Apply(Some(state)) = decide(Some(wake.state), event, WakeFacts::default()) {
        wake.state = state;
        (wake.picked_by, wake.picked_until) = (None, None);
        wake.due_at = wake.due_at.min(now);
    }
    wake
}

fn until(now: Timestamp) -> Timestamp {
    let ttl = SignedDuration::try_from(PICK_TTL).expect("seconds fit");
    now.checked_add(ttl).unwrap_or(Timestamp::MAX)
}

/// How a process leaves a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Nothing was ready, under this version of the row.
    Drained(Version),
    /// There is something to do at this time, unless the row has another version than was seen.
    Next(Timestamp, Option<Version>),
    /// Its agent is paused, and still is when that is written.
    Pause,
    /// Its agent is gone, and still is when that is written.
    Delete,
}

/// Removes the lane of an agent that goes, unless another process is at it: that finds the agent gone.
pub(crate) async fn forget(core: &Core, agent: &AgentName) -> Result<(), CommandError> {
    leave(core, agent, Leave::Delete).await.map(drop)
}

/// Writes how a lane was left. `false` when it was rung meanwhile, or its agent is not as it was seen, so that it is to be
/// looked at again.
pub(super) async fn leave(core: &Core, agent: &AgentName, how: Leave) -> Result<bool, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |draft| left(core, draft, agent, how));
    Ok(done.await?.answer)
}

/// Whether an agent is paused, or gone, as its lane is left for it; its row becomes a precondition. Whoever resumes it, or
/// makes it anew, rings once: what was seen before that must not put the row to rest behind it.
async fn stands(core: &Core, draft: &mut Draft, agent: &AgentName, how: Leave) -> Result<bool, CommandError> {
    let rows = Records::<Agent>::new(&core.space);
    let is_so: fn(Option<AgentState>) -> bool = match how {
        Leave::Drained(_) | Leave::Next(..) => return Ok(true),
        Leave::Pause => |state| state == Some(AgentState::Paused),
        Leave::Delete => |state| match state {
            Some(AgentState::Active | AgentState::Paused) => false,
            Some(AgentState::Deleting | AgentState::Deleted) | None => true,
        },
    };
    let read = rows.get(agent).await?;
    match &read {
        Some(read) => rows.stage_check(draft.batch(), read),
        None => rows.stage_absent(draft.batch(), agent)?,
    }
    Ok(is_so(read.map(|agent| agent.state)))
}

async fn left(
    core: &Core,
    mut draft: Draft,
    agent: &AgentName,
    how: Leave,
) -> Result<Verdict<bool>, CommandError> {
    let rows = Records::<Wake>::new(&core.space);
    let Some(read) = rows.get(agent).await? else {
        return Ok(Verdict::Nothing(true));
    };
    let is_other_s = read.picked_by.is_some_and(|by| by != core.environment.host.epoch);
    if is_other_s {
        return Ok(Verdict::Nothing(true));
    }
    let seen = match how {
        Leave::Drained(seen) => Some(seen),
        Leave::Next(_, seen) => seen,
        Leave::Pause | Leave::Delete => None,
    };
    if seen.is_some_and(|seen| seen != read.version()) || !stands(core, &mut draft, agent, how).await? {
        return Ok(Verdict::Nothing(false));
    }
    // Where nobody else writes the store, being at a lane is not written down.
    let state = match read.state {
        WakeState::Due if core.is_exclusive => WakeState::Picked,
        state => state,
    };
    let event = match how {
        Leave::Drained(_) => WakeEvent::Drained,
        Leave::Next(..) => WakeEvent::Next,
        Leave::Pause => WakeEvent::Pause,
        Leave::Delete => WakeEvent::Delete,
    };
    // What came since the version that was seen is not there, so it was not rung again.
    match decide(Some(state), event, WakeFacts::default()) {
        Decision::Apply(None) => rows.stage_remove(draft.batch(), &read).await?,
        Decision::Apply(Some(state)) => {
            let mut wake = Wake::clone(&read);
            if let (Leave::Next(at, _), false) = (how, wake.again) {
                wake.due_at = at;
            }
            wake.state = state;
            wake.again = false;
            (wake.picked_by, wake.picked_until) = (None, None);
            wake.op = draft.op();
            if wake == *read {
                return Ok(Verdict::Nothing(true));
            }
            rows.stage_replace(draft.batch(), &read, &wake).await?;
            // Where nothing else was due, nobody looks again by itself.
            draft.hints().is_rung = true;
        }
        Decision::Same | Decision::Ignore(_) | Decision::Reject(_) => return Ok(Verdict::Nothing(true)),
    }
    Ok(Verdict::Commit(draft, true))
}
