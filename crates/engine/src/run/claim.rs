//! Claiming: a ready task, its new run, lease and heartbeat in one commit. Nothing is spawned before.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use dormouse_filesystem::{Records, Version};
use tokio::time::Instant;

use super::ahead;
use super::continued::{Continued, continued};
use super::live::StopSignal;
use super::park::{parked, resumed};
use super::service::stage_run;
use super::{Checkpoint, OpenCall, Run, RunState};
use crate::agent::{Agent, AgentState, Agents};
use crate::budget::{Budgets, Chain, ROUNDS_MAX};
use crate::command::{CommandSpec, GRACE_DEFAULT};
use crate::core::{Core, Done};
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::lease::{Lease, LeaseGuard, take};
use crate::task::{Cause, Moved, Task, TaskEvent, Tasks, move_task};
use crate::{CommandError, PrefixedId, Principal, RunId, SessionId, Subject, TaskId};

/// How a task is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClaimOptions {
    /// The run's id, where it is needed beforehand; else a new one.
    pub run: Option<RunId>,
    /// The session that shows the run.
    pub session: Option<SessionId>,
    /// Whether a free slot of the agent is needed.
    pub slot: Slot,
}

/// Whether a claim needs a free slot of its agent, of which its configuration says how many there are
/// ([`concurrency`](crate::agent::AgentConfig::concurrency)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Slot {
    /// Somebody asked for this very task: it counts as a run of the agent, and is not refused by it. A limit of
    /// runs at once that is set as a budget refuses it all the same.
    #[default]
    Counted,
    /// A lane gives the agent its next task: only where a slot is free.
    Free,
}

/// A run that is held: the task and the run as they were claimed, and the proof of holding it.
///
/// Dropping it does not end the run: its lease lapses. Whoever holds it finishes it.
#[derive(Debug)]
pub struct Claimed {
    /// The task, as it was claimed; its command has the clocks of its agent and of the engine where it sets none itself.
    pub task: Task,
    /// The run, as it was made.
    pub run: Run,
    /// The lease on it.
    pub guard: LeaseGuard,
    /// Where a stop is heard of.
    pub stop: StopSignal,
    /// The calls of its provider, where those could not be noted to the end: they are written as it ends or parks.
    pub(crate) unnoted: OnceLock<Vec<OpenCall>>,
}

/// What a claim stages.
struct Claim {
    task: Task,
    run: Run,
    lease: Lease,
}

pub(super) async fn claim(
    core: &Arc<Core>,
    agents: &Agents,
    by: &Principal,
    task: TaskId,
    options: ClaimOptions,
) -> Result<Claimed, CommandError> {
    let claiming = core.live.claiming();
    let committed = committed(core, agents, by, task, options).await;
    if !matches!(committed, Err(CommandError::Indeterminate { .. })) {
        claiming.answered();
    }
    let (done, sent) = committed?;
    let Claim { task, run, lease } = done.answer;
    let token: Version = done.version.expect("a claim writes rows");
    Ok(Claimed {
        guard: LeaseGuard::new(core.lease, &lease, token, sent),
        stop: core.live.enter(run.id),
        unnoted: OnceLock::new(),
        task,
        run,
    })
}

/// Commits the claim. At a pause line of one of its accounts a person is asked.
async fn committed(
    core: &Arc<Core>,
    agents: &Agents,
    by: &Principal,
    task: TaskId,
    options: ClaimOptions,
) -> Result<(Done<Claim>, Instant), CommandError> {
    // Again only where a person decided between the claim and the asking.
    for _ in 0..ROUNDS_MAX {
        let sent = Instant::now();
        let done = core
            .command(by, |draft| staged(core, agents, draft, task, options))
            .await;
        let refusal = match done {
            Err(CommandError::NeedsApproval(refusal)) => *refusal,
            done => return Ok((done?, sent)),
        };
        let agent = agents.get(&Tasks::new(core).get(task).await?.assignee).await?;
        let chain = Chain::of_agent(&agent.name, agent.incarnation);
        if let Some(refusal) = Budgets::new(core).asked(by, &chain, refusal).await? {
            return Err(CommandError::NeedsApproval(Box::new(refusal)));
        }
    }
    Err(CommandError::Contended { attempts: ROUNDS_MAX })
}

async fn staged(
    core: &Core,
    agents: &Agents,
    mut draft: Draft,
    id: TaskId,
    options: ClaimOptions,
) -> Result<Verdict<Claim>, CommandError> {
    let missing = || CommandError::not_found("task", &id);
    let read = Records::<Task>::new(&core.space)
        .get(&id)
        .await?
        .ok_or_else(missing)?;
    let core = &ahead::of_claim(core, &read).await?;
    let agent = agents.reading(core).require(&mut draft, &read.assignee).await?;
    if agent.incarnation != read.agent_incarnation {
        return Err(missing());
    }
    if agent.state == AgentState::Paused {
        let agent = agent.name.clone();
        return Err(CommandError::AgentPaused { agent });
    }
    let parked = parked(core, read.last_run).await?;
    let run = match &parked {
        Some(run) => run.id,
        None => options
            .run
            .or_else(|| first_run(&read))
            .unwrap_or_else(|| RunId::make(draft.now(), &core.environment.random)),
    };
    let cause = Cause {
        // A run that goes on is no further attempt.
        claim: parked.is_none().then_some(run),
        ..Cause::default()
    };
    let Moved::To(mut task) = move_task(core, &mut draft, &read, &TaskEvent::Claim, cause).await? else {
        unreachable!("a claim applies or is rejected")
    };
    // Its row stays as it is: what its agent and the engine say is as they say it at each claim.
    if let Some(command) = &mut task.command {
        command.fill(&agent.config.clocks.or(&core.adjusted.now().clocks));
        command.effects = Some(command.effects_by(agent.config.effects));
    }
    let run = match &parked {
        Some(read) => resumed(&draft, read)?,
        None => {
            let continued = continued(core, &task, read.last_run).await?;
            made(&draft, &task, &agent, run, options.session, continued)
        }
    };
    let grace = task.command.as_ref().map_or(GRACE_DEFAULT, CommandSpec::grace);
    let run = Run {
        grace_ms: Some(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)),
        ..run
    };
    let lease = take(core, &mut draft, &Subject::Run(run.id))?;
    stage_run(core, &mut draft, parked.as_ref(), &run, None).await?;
    if parked.is_some() || run.attempt > 1 {
        crate::capability::follow_claim(&core.space, &mut draft, &run).await?;
    }
    crate::budget::stage_claim(
        core,
        &mut draft,
        &task,
        &run,
        agent.config.concurrency,
        options.slot,
    );
    let started = Change::RunStarted {
        task: run.task,
        attempt: run.attempt,
        lease: lease.id,
    };
    draft.tell(&run.about(), &started)?;
    let task = *task;
    Ok(Verdict::Commit(draft, Claim { task, run, lease }))
}

/// The run that who submitted a message was told of: the first of its turn's task.
fn first_run(task: &Task) -> Option<RunId> {
    task.turn.filter(|_| task.attempts == 0).map(|turn| turn.run)
}

fn made(
    draft: &Draft,
    task: &Task,
    agent: &Agent,
    id: RunId,
    session: Option<SessionId>,
    continued: Option<Continued>,
) -> Run {
    let used_before = continued.as_ref().and_then(Continued::used_before);
    let continues = continued.as_ref().map(|continued| continued.run);
    let (provider_session, calls) = match continued {
        Some(continued) => (Some(continued.session), continued.calls),
        None => (None, Vec::new()),
    };
    Run {
        id,
        task: Some(task.id),
        agent: agent.name.clone(),
        agent_incarnation: agent.incarnation,
        attempt: task.attempts,
        session,
        thread: task.turn.map(|turn| turn.thread),
        state: RunState::Starting,
        checkpoint: Checkpoint::None,
        stop_reason: None,
        stop_deadline: None,
        grace_ms: None,
        wait: None,
        spawn: 1,
        clock_ms: 0,
        provider_session,
        continues,
        calls,
        shown: BTreeMap::new(),
        step_epoch: task.step_epoch,
        used_before,
        saved: None,
        started_at: draft.now(),
        ended_at: None,
        created_at: draft.now(),
        updated_at: draft.now(),
        op: draft.op(),
    }
}
