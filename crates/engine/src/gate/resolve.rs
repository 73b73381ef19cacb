//! Leaving pending: the row, the capability, the session and the event in one draft, whatever the cause.

use dormouse_filesystem::{IndexValue, Namespace, Query, Records, Tenant, Versioned};
use dormouse_state::{Caller as StateCaller, Command, Effect, GateOutcome, Invalidation, OnTimeout};
use futures::future::try_join;
use tokio_util::sync::CancellationToken;

use super::adopt::key_of;
use super::link::{Heard, Word, tell_session};
use super::wake::wake_waiting;
use super::{Author, AuthorKind, End, Gate, GateStatus, GrantIndex, Scope, StandingGrant};
use crate::budget::follow_gate;
use crate::capability::Capability;
use crate::core::Core;
use crate::draft::Draft;
use crate::event::{Change, GateEnding};
use crate::limits::PAGE_MAX;
use crate::rest::Rest;
use crate::run::{Run, RunState, StopReason, Stopped, stage_stop};
use crate::task::{Cause, Task, TaskEvent, TaskState, Wait, move_task_in};
use crate::{CommandError, GateId, SessionId, Subject};

/// A gate that will have left pending with the commit of the draft.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) gate: Gate,
    /// The run that is told to stop by it.
    pub(super) stopped: Option<Stopped>,
    /// Said when those are woken too whom its commit did not wake; none where it wakes all.
    pub(super) woken: Option<CancellationToken>,
}

impl Left {
    /// One that had left before: nothing follows.
    pub(super) fn before(gate: Gate) -> Self {
        Self {
            gate,
            stopped: None,
            woken: None,
        }
    }
}

/// Whether somebody is there to use what is approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IsAwaited {
    /// A live run, or nobody ever: then no run says when its time goes on.
    Yes,
    /// Its run is parked, or between two attempts.
    No,
}

impl IsAwaited {
    fn by(gate: &Gate, run: Option<&Run>) -> Self {
        if gate.caller.is_none() || run.is_some_and(is_live) {
            Self::Yes
        } else {
            Self::No
        }
    }
}

/// Stages that a gate leaves pending, and all that follows: its session, its task, its run. A task that does not wait for
/// it is to be as it was read: parked in between, it would wait for what is decided.
pub(super) async fn leave(
    core: &Core,
    draft: &mut Draft,
    read: &Versioned<Gate>,
    end: End,
) -> Result<Left, CommandError> {
    let (run, task) = try_join(caller(core, read), task_of(&core.space, read)).await?;
    let gate = stage_end(&core.space, draft, read, end, IsAwaited::by(read, run.as_deref())).await?;
    tell(core, draft, &gate, run.as_deref()).await?;
    let mut woken = None;
    if gate.budget.is_some() {
        follow_gate(draft, &gate);
        if wake_waiting(&core.space, draft, gate.id).await? {
            let done = woken.insert(CancellationToken::new()).clone().drop_guard();
            draft.leave(Rest::Waiting { gate: gate.id, done });
        }
    }
    if let Some(task) = task
        && !wake_task(&core.space, draft, &gate, &task).await?
    {
        Records::<Task>::new(&core.space).stage_check(draft.batch(), &task);
    }
    let stopped = stop_run(core, draft, &gate, run.as_deref()).await?;
    Ok(Left { gate, stopped, woken })
}

/// The run that waits: the one that asked, or the one that took the gate over.
pub(super) async fn caller(core: &Core, gate: &Gate) -> Result<Option<Versioned<Run>>, CommandError> {
    let Some(caller) = gate.caller else {
        return Ok(None);
    };
    let runs = Records::<Run>::new(&core.space);
    let asked = runs.get(&caller.run).await?;
    if asked.as_ref().is_some_and(|run| is_live(run)) {
        return Ok(asked);
    }
    let key = key_of(&core.space, gate.id).await?;
    match key.and_then(|key| key.caller) {
        Some(later) if later.run != caller.run => Ok(runs.get(&later.run).await?),
        Some(_) | None => Ok(asked),
    }
}

/// Whether somebody is at work for it.
pub(super) fn is_live(run: &Run) -> bool {
    match run.state {
        RunState::Starting | RunState::Running | RunState::Stopping => true,
        RunState::Waiting | RunState::Ended => false,
    }
}

async fn tell(core: &Core, draft: &mut Draft, gate: &Gate, run: Option<&Run>) -> Result<(), CommandError> {
    let Some(turn) = gate.session else { return Ok(()) };
    let outcome = gate.outcome().expect("it has left pending");
    let caller = if run.is_some_and(is_live) {
        StateCaller::Waits
    } else {
        StateCaller::Gone
    };
    let command = Command::ResolveGate {
        gate: state_id(gate.id),
        outcome,
        caller,
    };
    // A session that knows nothing of the gate, or began another life, has nothing to change.
    match tell_session(&core.space, draft, turn, Word::Command(&command), Some(gate.id)).await? {
        Heard::Unknown | Heard::Stale { .. } | Heard::Answered { .. } => Ok(()),
    }
}

/// The task to which what is asked belongs.
async fn task_of(space: &Namespace<Tenant>, gate: &Gate) -> Result<Option<Versioned<Task>>, CommandError> {
    match gate.origin {
        Subject::Task(id) => Ok(Records::<Task>::new(space).get(&id).await?),
        Subject::Agent(_)
        | Subject::Run(_)
        | Subject::Session(_)
        | Subject::Gate(_)
        | Subject::Thread(_)
        | Subject::Message(_)
        | Subject::Account(_)
        | Subject::Hold(_)
        | Subject::Wake(_)
        | Subject::Relay(_)
        | Subject::Sweep(_)
        | Subject::Record(_) => Ok(None),
    }
}

/// A task that waits for the gate is ready again. Whether this one does.
async fn wake_task(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    gate: &Gate,
    task: &Versioned<Task>,
) -> Result<bool, CommandError> {
    if task.state
        != (TaskState::Waiting {
            on: Wait::Gate { gate: gate.id },
        })
    {
        return Ok(false);
    }
    // What is due waits for no spread delay.
    move_task_in(space, 0, draft, task, &TaskEvent::Due, Cause::default()).await?;
    Ok(true)
}

/// Under the policy of pause, a run whose question nobody answered in time is told to stop.
async fn stop_run(
    core: &Core,
    draft: &mut Draft,
    gate: &Gate,
    run: Option<&Run>,
) -> Result<Option<Stopped>, CommandError> {
    let is_over = gate.outcome() == Some(GateOutcome::Expired(OnTimeout::Pause));
    let Some(run) = run.filter(|run| is_over && is_live(run)) else {
        return Ok(None);
    };
    let reason = StopReason::Cancel {
        by: crate::Principal::engine(),
        reason: Some(dormouse_secrets::Scrubbed::constant("nobody decided in time")),
    };
    stage_stop(core, draft, run.id, reason).await
}

/// Stages the end of a gate alone: its row, its capability, its event.
pub(super) async fn stage_end(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    read: &Versioned<Gate>,
    end: End,
    is_awaited: IsAwaited,
) -> Result<Gate, CommandError> {
    let mut gate = Gate {
        end: Some(end),
        updated_at: draft.now(),
        op: draft.op(),
        ..Gate::clone(read)
    };
    if gate.word() == GateStatus::Discarded.word() {
        gate = gate.erased();
    }
    Records::new(space)
        .stage_replace(draft.batch(), read, &gate)
        .await?;
    stage_consequences(space, draft, &gate, is_awaited)?;
    Ok(gate)
}

/// What the commit of a gate's end has beside its row.
pub(super) fn stage_consequences(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    gate: &Gate,
    is_awaited: IsAwaited,
) -> Result<(), CommandError> {
    let end = gate.end.as_ref().expect("it has left pending");
    if end.status == GateStatus::Approved && gate.budget.is_none() {
        let capability = Capability::of(gate, is_awaited == IsAwaited::Yes, draft);
        Records::new(space).stage_create(draft.batch(), &capability)?;
        if capability.can_expire() {
            draft.note_due(capability.expires_at);
        }
    }
    draft.tell(&gate.about(), &resolved(gate, end))
}

fn resolved(gate: &Gate, end: &End) -> Change {
    let said = end.said.as_ref();
    let waited = end.at.duration_since(gate.opened_at).as_millis();
    Change::GateResolved(GateEnding {
        kind: gate.kind,
        status: end.status,
        cause: end.cause,
        by: end.by.kind,
        inferred: end.by.inferred,
        edited: said.is_some_and(|said| said.edited.is_some()),
        scope: (end.status == GateStatus::Approved).then(|| said.map_or(Scope::Once, |said| said.scope)),
        waited_ms: u64::try_from(waited).unwrap_or(0),
    })
}

/// Stages what a session's answer means for its gates: those it ended, and its grants when it is over. `own` is the
/// gate whose end the session was told of.
pub(crate) async fn follow_session(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    session: SessionId,
    effects: &[Effect],
    own: Option<GateId>,
) -> Result<(), CommandError> {
    for effect in effects {
        match effect {
            Effect::GateEnded { gate, outcome } => {
                let Ok(id) = gate.as_str().parse::<GateId>() else {
                    continue;
                };
                if Some(id) != own {
                    end_by_session(space, draft, id, *outcome).await?;
                }
            }
            Effect::Ended { .. } => end_grants(space, draft, session).await?,
            _ => {}
        }
    }
    Ok(())
}

async fn end_by_session(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    id: GateId,
    outcome: GateOutcome,
) -> Result<(), CommandError> {
    let GateOutcome::Invalidated(cause) = outcome else {
        return Ok(());
    };
    let Some(read) = Records::<Gate>::new(space).get(&id).await? else {
        return Ok(());
    };
    if !read.is_pending() {
        return Ok(());
    }
    match cause {
        Invalidation::Superseded
        | Invalidation::SettledElsewhere
        | Invalidation::TurnOver
        | Invalidation::Restart => stage_invalidated(space, draft, &read, cause).await,
        // Whoever ends the run or the session says what becomes of its task.
        Invalidation::RunEnded | Invalidation::SessionEnded | Invalidation::AgentDeleted => {
            let end = invalidated(draft, cause);
            stage_end(space, draft, &read, end, IsAwaited::No).await?;
            Ok(())
        }
    }
}

/// Stages that a gate lost its meaning, and that a task which waits for it goes on. A run at work that asked is to be as
/// it was read: parked in between, it would wait for what is over.
pub(crate) async fn stage_invalidated(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    read: &Versioned<Gate>,
    cause: Invalidation,
) -> Result<(), CommandError> {
    let end = invalidated(draft, cause);
    let gate = stage_end(space, draft, read, end, IsAwaited::No).await?;
    if let Some(task) = task_of(space, &gate).await?
        && !wake_task(space, draft, &gate, &task).await?
    {
        expect_callers(space, draft, &gate).await?;
    }
    Ok(())
}

/// Whoever waits at work goes on waiting at work until the commit. The task is left alone: a claim writes it.
async fn expect_callers(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    gate: &Gate,
) -> Result<(), CommandError> {
    let runs = Records::<Run>::new(space);
    let later = key_of(space, gate.id).await?.and_then(|key| key.caller);
    for caller in [gate.caller, later].into_iter().flatten() {
        if let Some(run) = runs.get(&caller.run).await?
            && is_live(&run)
            && draft.is_first_to_expect(run.id)
        {
            runs.stage_check(draft.batch(), &run);
        }
    }
    Ok(())
}

/// The end of a gate that lost its meaning.
pub(super) fn invalidated(draft: &Draft, cause: Invalidation) -> End {
    let author = match cause {
        Invalidation::SettledElsewhere => AuthorKind::Terminal,
        Invalidation::Restart => AuthorKind::Restart,
        Invalidation::Superseded
        | Invalidation::TurnOver
        | Invalidation::RunEnded
        | Invalidation::SessionEnded
        | Invalidation::AgentDeleted => AuthorKind::Engine,
    };
    End {
        status: GateStatus::Invalidated,
        by: Author::engine(author),
        at: draft.now(),
        cause: Some(cause),
        said: None,
    }
}

/// The grants of a session go with its life.
async fn end_grants(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    session: SessionId,
) -> Result<(), CommandError> {
    let grants = Records::<StandingGrant>::new(space);
    let mut after = None;
    // Ends with the last page.
    loop {
        let query = Query::of(GrantIndex::Session)
            .equals([IndexValue::name(&session.to_string())])
            .after(after)
            .limit(PAGE_MAX);
        let page = grants.find(&query).await?;
        for grant in page.rows {
            grants.stage_remove(draft.batch(), &grant).await?;
            let change = Change::GateGrantRevoked {
                grant: grant.gate,
                by: AuthorKind::Engine,
            };
            draft.tell(&grant.about(), &change)?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

pub(super) fn state_id(gate: GateId) -> dormouse_state::GateId {
    dormouse_state::GateId::new(gate.to_string())
}
