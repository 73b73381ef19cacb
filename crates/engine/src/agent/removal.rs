//! What goes with an agent, in pages: each may be cut anywhere and done again, and finds what is left by an index.
//!
//! A part is one function of [`PARTS`]. Nothing new can come meanwhile: whatever makes something of an agent's has its row
//! as a precondition, and finds it being deleted.

use std::sync::Arc;

use dormouse_filesystem::{Cursor, IndexValue, Query, Record, Records, Tenant, Versioned};
use dormouse_secrets::Scrubbed;
use dormouse_state::{EndReason, Invalidation};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};

use super::Agent;
use super::delete::{deleting, torn_down};
use super::stop::{live_runs, stop_run};
use crate::bad::heed_issue;
use crate::budget::{Budgets, Hold, HoldIndex};
use crate::core::Core;
use crate::credentials::of_secret;
use crate::due::is_of_store;
use crate::gate::{Gate, GateIndex, Gates};
use crate::limits::{AGENT_PAGE, AGENT_PAGE_COMMITS};
use crate::run::{Run, RunState, StopReason};
use crate::session::{SessionIndex, SessionRow, SessionService};
use crate::task::{Task, TaskIndex, TaskState, Tasks};
use crate::thread::{Thread, ThreadIndex, delete_thread};
use crate::wake::{TimedWake, TimedWakeIndex, cancel, forget};
use crate::{AgentName, CommandError, Incarnation, Principal};

/// How far a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing of it is left.
    Done,
    /// A page of it went; more may be left.
    More,
    /// What is left goes by itself: a run is being stopped.
    Waits,
}

/// One kind of what goes with an agent.
type Part = for<'a> fn(&'a Arc<Core>, &'a Agent) -> BoxFuture<'a, Result<Progress, CommandError>>;

/// A row on its way.
type Going<'a> = BoxFuture<'a, Result<bool, CommandError>>;

/// What goes with an agent, in this order: each when nothing of those before is left.
const PARTS: &[Part] = &[
    |core, agent| runs(core, agent).boxed(),
    |core, agent| timed_wakes(core, agent).boxed(),
    |core, agent| tasks(core, agent).boxed(),
    |core, agent| threads(core, agent).boxed(),
    |core, agent| holds(core, agent).boxed(),
    |core, agent| wake(core, agent).boxed(),
    |core, agent| gates(core, agent).boxed(),
    |core, agent| sessions(core, agent).boxed(),
    |core, agent| secrets(core, agent).boxed(),
];

/// Removes a page of what is an agent's that is being deleted, and makes its tombstone when nothing is left. One that is
/// not being deleted (any more) is done.
pub(crate) async fn remove_page(core: &Arc<Core>, name: &AgentName) -> Result<Progress, CommandError> {
    let Some(agent) = deleting(core, name).await? else {
        return Ok(Progress::Done);
    };
    for part in PARTS {
        match part(core, &agent).await? {
            Progress::Done => {}
            unfinished => return Ok(unfinished),
        }
    }
    torn_down(core, name, agent.incarnation).await?;
    Ok(Progress::Done)
}

fn said() -> Scrubbed {
    Scrubbed::constant("its agent is deleted")
}

/// Runs are told to stop, and end with their holders; one that is parked ends with its task.
async fn runs(core: &Arc<Core>, agent: &Agent) -> Result<Progress, CommandError> {
    let live = live_runs(core, agent).await?;
    if live.is_empty() {
        return Ok(Progress::Done);
    }
    // Whoever was told, and did not hear it, hears it here: the answer to the stop may have been lost.
    for run in live.iter().filter(|run| run.state == RunState::Stopping) {
        if let Some(reason) = &run.stop_reason {
            core.live.tell(run.id, reason.clone());
        }
    }
    let is_going = |run: &&Versioned<Run>| run.state != RunState::Stopping;
    let is_any_stopping = live.iter().any(|run| !is_going(&run));
    let going = live.iter().filter(is_going).take(AGENT_PAGE);
    // Those that are stopping go by themselves.
    Ok(
        match each(going.map(|run| end_run(core, run).boxed()).collect()).await? {
            Progress::Done if is_any_stopping => Progress::Waits,
            answered => answered,
        },
    )
}

async fn end_run(core: &Arc<Core>, run: &Versioned<Run>) -> Result<bool, CommandError> {
    let by = Principal::engine();
    if run.state == RunState::Waiting
        && let Some(task) = run.task
    {
        let task = Records::<Task>::new(&core.space).get(&task).await?;
        let is_its = |task: &Versioned<Task>| task.last_run == Some(run.id) && !task.state.has_ended();
        if let Some(task) = task.filter(is_its) {
            let cancelled = Tasks::new(core).cancel(&by, task.id, Some(said())).await?;
            return Ok(cancelled.state.has_ended());
        }
    }
    let reason = StopReason::Cancel {
        by: by.clone(),
        reason: Some(said()),
    };
    stop_run(core, &by, run.id, reason).await
}

/// Nothing becomes of its timed wakes.
async fn timed_wakes(core: &Arc<Core>, agent: &Agent) -> Result<Progress, CommandError> {
    let query = || Query::of(TimedWakeIndex::Agent).equals([IndexValue::segment(agent.name.segment())]);
    let waiting = own(core, agent, query, |wake: &TimedWake| wake.agent_incarnation).await?;
    let end = |wake: &Versioned<TimedWake>| {
        let id = wake.id;
        async move {
            match cancel(core, &Principal::engine(), id).await {
                Ok(()) | Err(CommandError::NotFound { .. }) => Ok(true),
                Err(error) => Err(error),
            }
        }
        .boxed()
    };
    each(waiting.iter().map(end).collect()).await
}

/// Its tasks are called off.
async fn tasks(core: &Arc<Core>, agent: &Agent) -> Result<Progress, CommandError> {
    let states = [
        TaskState::PendingApproval.word(),
        TaskState::Backlog.word(),
        TaskState::Ready.word(),
        TaskState::Running.word(),
        "waiting",
    ];
    for state in states {
        let query = || {
            Query::of(TaskIndex::AssigneeState)
                .equals([IndexValue::segment(agent.name.segment()), IndexValue::name(state)])
        };
        let open = own(core, agent, query, |task: &Task| task.agent_incarnation).await?;
        if open.is_empty() {
            continue;
        }
        let cancel = |task: &Versioned<Task>| {
            let (tasks, id) = (Tasks::new(core), task.id);
            async move {
                let task = tasks.cancel(&Principal::engine(), id, Some(said())).await?;
                Ok(task.state.has_ended())
            }
            .boxed()
        };
        match each(open.iter().map(cancel).collect()).await? {
            Progress::Done => {}
            unfinished => return Ok(unfinished),
        }
    }
    Ok(Progress::Done)
}

/// Its threads are deleted, whatever they were at; what was said in them goes with the next looks of a janitor.
async fn threads(core: &Arc<Core>, agent: &Agent) -> Result<Progress, CommandError> {
    let query = || Query::of(ThreadIndex::Agent).equals([IndexValue::segment(agent.name.segment())]);
    let there = own(core, agent, query, |thread: &Thread| thread.agent_incarnation).await?;
    let end = |thread: &Versioned<Thread>| {
        let id = thread.id;
        async move { delete_thread(core, id).await }.boxed()
    };
    each(there.iter().map(end).collect()).await
}

/// What was held for it and no run gave back is closed, as after a long silence: the accounts above it have it again.
async fn holds(core: &Arc<Core>, agent: &Agent) -> Result<Progress, CommandError> {
    let query = || Query::of(HoldIndex::Agent).equals([IndexValue::segment(agent.name.segment())]);
    let open = own(core, agent, query, |hold: &Hold| hold.chain.agent_incarnation).await?;
    let end = |hold: &Versioned<Hold>| {
        let (budgets, id) = (Budgets::new(core), hold.id);
        async move { budgets.sweep(id).await }.boxed()
    };
    each(open.iter().map(end).collect()).await
}

/// Nobody is woken for it any more.
async fn wake(core: &Arc<Core>, agent: &Agent) -> Result<Progress, CommandError> {
    forget(core, &agent.name).await?;
    Ok(Progress::Done)
}

/// What is still asked in its name has lost its meaning.
async fn gates(core: &Arc<Core>, agent: &Agent) -> Result<Progress, CommandError> {
    let query = || Query::of(GateIndex::Pending).equals([IndexValue::segment(agent.name.segment())]);
    let pending = own(core, agent, query, |gate: &Gate| gate.agent_incarnation).await?;
    let end = |gate: &Versioned<Gate>| {
        let (gates, id) = (Gates::new(core), gate.id);
        async move { gates.invalidate(id, Invalidation::AgentDeleted).await }.boxed()
    };
    each(pending.iter().map(end).collect()).await
}

/// Its sessions end.
async fn sessions(core: &Arc<Core>, agent: &Agent) -> Result<Progress, CommandError> {
    let query = || Query::of(SessionIndex::Open).equals([IndexValue::segment(agent.name.segment())]);
    let open = own(core, agent, query, |session: &SessionRow| {
        session.agent_incarnation
    })
    .await?;
    let end = |session: &Versioned<SessionRow>| {
        let (sessions, id) = (SessionService::new(core), session.id);
        async move {
            let by = Principal::engine();
            let answer = sessions.end(&by, id, EndReason::AgentDeleted).await?;
            Ok(answer.applied().is_some())
        }
        .boxed()
    };
    each(open.iter().map(end).collect()).await
}

/// Its secrets are set aside or destroyed, in any state of the vault. What its runs were lent went with these.
async fn secrets(core: &Arc<Core>, agent: &Agent) -> Result<Progress, CommandError> {
    let (call, at) = (core.call_of_secrets(&Principal::engine()), agent.of_secrets());
    let ended = core.secrets.agent_ended(&call, &at, core.on_agent_delete);
    ended.await.map_err(of_secret)?;
    Ok(Progress::Done)
}

/// The first rows that a query finds of this life of an agent, at most [`AGENT_PAGE`]. One that cannot be believed is
/// left, and keeps no other.
async fn own<R: Record<Scope = Tenant>>(
    core: &Core,
    agent: &Agent,
    query: impl Fn() -> Query<R::Index>,
    incarnation: impl Fn(&R) -> Incarnation,
) -> Result<Vec<Versioned<R>>, CommandError> {
    let rows = Records::<R>::new(&core.space);
    let (mut own, mut after): (Vec<_>, Option<Cursor>) = (Vec::new(), None);
    // Ends with the last page, or when there are enough.
    loop {
        let page = rows.find(&query().after(after).limit(AGENT_PAGE)).await?;
        for issue in &page.issues {
            tracing::warn!(agent = %agent.name, %issue, "a row cannot be believed, and does not go with its agent");
            heed_issue(core, issue).await;
        }
        own.extend(
            page.rows
                .into_iter()
                .filter(|row| incarnation(row) == agent.incarnation),
        );
        after = page.next;
        if after.is_none() || own.len() >= AGENT_PAGE {
            own.truncate(AGENT_PAGE);
            return Ok(own);
        }
    }
}

/// Lets each of a page go, some at a time; it answers whether it is out of the way. What goes wrong with one keeps no
/// other: the store's first error is the answer when all were tried, and what cannot be believed is left.
async fn each(page: Vec<Going<'_>>) -> Result<Progress, CommandError> {
    let mut answers = stream::iter(page).buffer_unordered(AGENT_PAGE_COMMITS);
    let (mut went, mut waits, mut failed) = (0, 0, None);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(true) => went += 1,
            Ok(false) => waits += 1,
            Err(error) if is_of_store(&error) => drop(failed.get_or_insert(error)),
            Err(error) => tracing::warn!(%error, "something does not go with its agent, and is left"),
        }
    }
    match failed {
        Some(error) => Err(error),
        None if went > 0 => Ok(Progress::More),
        None if waits > 0 => Ok(Progress::Waits),
        None => Ok(Progress::Done),
    }
}
