//! Moving a task by its table: the row and its events, staged in a command's draft.

use dormouse_filesystem::{Namespace, Records, Tenant, Versioned};
use dormouse_secrets::Scrubbed;

use super::settlement::stage_end;
use super::{ChildEnd, Settled, Task, TaskEvent, TaskState, Wait, decide};
use crate::core::Core;
use crate::draft::Draft;
use crate::event::{Change, Ending};
use crate::outcome::Outcome;
use crate::run::{OutcomeKind, Run};
use crate::wake::WakeCause;
use crate::{CommandError, Decision, RunId, Subject, TaskId};

/// What is told of a move beside the state it leads to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cause {
    /// The run whose end moved it.
    pub(crate) ending: Option<Ending>,
    /// Why, as somebody said it.
    pub(crate) reason: Option<Scrubbed>,
    /// Whether its steps are to be done afresh.
    pub(crate) is_fresh: bool,
    /// The run that claims it.
    pub(crate) claim: Option<RunId>,
    /// The task that it waited for and that was not done.
    pub(crate) dependency: Option<TaskId>,
}

impl Cause {
    /// The end of a run.
    pub(crate) fn of_end(run: &Run, outcome: &Outcome) -> Self {
        let mut said_why = None;
        let mut ending = Ending {
            run: run.id,
            outcome: OutcomeKind::of(outcome),
            reason: None,
            block: None,
            url: None,
            evidence: None,
        };
        match outcome {
            Outcome::Failed { reason, .. } => {
                ending.reason = Some(*reason);
                ending.evidence = Some(run.subject());
            }
            Outcome::Timeout { .. } => ending.evidence = Some(run.subject()),
            Outcome::Blocked { reason, evidence } => {
                ending.block = Some(reason.clone());
                ending.evidence = evidence.as_ref().map(|_| run.subject());
                let url = evidence.as_ref().and_then(|evidence| evidence.url.clone());
                ending.url = url.map(|url| url.truncate_to(URL_MAX));
            }
            Outcome::Cancelled { reason: said, .. } => said_why.clone_from(said),
            Outcome::Success { .. } | Outcome::Partial { .. } | Outcome::Lost { .. } => {}
        }
        Self {
            ending: Some(ending),
            reason: said_why,
            ..Self::default()
        }
    }
}

/// Longest address in an event, in bytes.
const URL_MAX: usize = 2048;

/// What came of an event.
#[derive(Debug)]
pub(crate) enum Moved {
    /// The row is staged with a new state; it will be this.
    To(Box<Task>),
    /// The event applies and leaves the state; nothing is staged.
    Same,
    /// There is nothing to do.
    Ignored,
}

/// Decides, and stages what was decided.
pub(crate) async fn move_task(
    core: &Core,
    draft: &mut Draft,
    read: &Versioned<Task>,
    event: &TaskEvent<'_>,
    cause: Cause,
) -> Result<Moved, CommandError> {
    let random = core.environment.random.number();
    move_task_in(&core.space, random, draft, read, event, cause).await
}

/// As [`move_task`], with the number that spreads its delays.
pub(crate) async fn move_task_in(
    space: &Namespace<Tenant>,
    random: u64,
    draft: &mut Draft,
    read: &Versioned<Task>,
    event: &TaskEvent<'_>,
    cause: Cause,
) -> Result<Moved, CommandError> {
    let facts = read.facts(draft.now(), random);
    let settled = match decide(&read.state, event, &facts) {
        Decision::Apply(settled) => settled,
        Decision::Same => return Ok(Moved::Same),
        Decision::Ignore(_) => return Ok(Moved::Ignored),
        Decision::Reject(reason) => {
            return Err(CommandError::Rejected {
                subject: Subject::Task(read.id),
                state: read.state.word(),
                event: event.word(),
                reason,
            });
        }
    };
    let task = moved(read, event, settled, &cause, draft);
    let change = told(&task, event, cause);
    stage_row(space, draft, read, &task, change).await?;
    Ok(Moved::To(Box::new(task)))
}

/// Stages a task as it will be, what is told of it, and what an end leaves for those that follow it: every change of a
/// task's state comes through here.
pub(super) async fn stage_row(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    read: &Versioned<Task>,
    task: &Task,
    change: Option<Change>,
) -> Result<(), CommandError> {
    Records::<Task>::new(space)
        .stage_replace(draft.batch(), read, task)
        .await?;
    ring_if_ready(draft, task);
    crate::thread::note_task(draft, task);
    if let Some(change) = change {
        draft.tell(&task.about(), &change)?;
    }
    if !read.state.has_ended()
        && let Some(end) = ChildEnd::of(&task.state)
    {
        stage_end(space, draft, task, end).await?;
    }
    Ok(())
}

/// Stages that a task's run waits; or, when what it waits for is there already, that the task is ready.
pub(crate) async fn park_task(
    core: &Core,
    draft: &mut Draft,
    read: &Versioned<Task>,
    wait: Wait,
    is_there: bool,
) -> Result<Task, CommandError> {
    let event = TaskEvent::Park(wait);
    let facts = read.facts(draft.now(), core.environment.random.number());
    let mut settled = match decide(&read.state, &event, &facts) {
        Decision::Apply(settled) => settled,
        Decision::Same | Decision::Ignore(_) => return Ok(Task::clone(read)),
        Decision::Reject(reason) => {
            return Err(CommandError::Rejected {
                subject: Subject::Task(read.id),
                state: read.state.word(),
                event: event.word(),
                reason,
            });
        }
    };
    if is_there {
        settled.state = TaskState::Ready;
    }
    let task = moved(read, &event, settled, &Cause::default(), draft);
    let change = told(&task, &event, Cause::default());
    stage_row(&core.space, draft, read, &task, change).await?;
    Ok(task)
}

/// The wake row of its agent is written in the commit that makes a task ready.
pub(super) fn ring_if_ready(draft: &mut Draft, task: &Task) {
    if task.state == TaskState::Ready {
        draft.ring(&task.assignee, WakeCause::TaskReady);
    }
    if let Some(until) = task.due_at() {
        draft.note_due(until);
    }
}

fn moved(read: &Task, event: &TaskEvent<'_>, settled: Settled, cause: &Cause, draft: &Draft) -> Task {
    let mut task = read.clone();
    (task.failures, task.reclaims) = (settled.counters.failures, settled.counters.reclaims);
    task.state = settled.state;
    task.is_parked = keeps_parked(read, event, &task.state);
    task.ended_at = task.state.has_ended().then(|| draft.now());
    (task.updated_at, task.op) = (draft.now(), draft.op());
    if *event == TaskEvent::Approve {
        task.approved_at = Some(draft.now());
        task.approved_by = Some(draft.actor().clone());
    }
    if *event == TaskEvent::Retry {
        task.undone_by = None;
        // Who followed its last end knows of that one.
        task.has_followers &= !read.state.has_ended();
    }
    if cause.is_fresh {
        task.step_epoch += 1;
    }
    if let Some(run) = cause.claim {
        task.attempts += 1;
        task.last_run = Some(run);
    }
    task
}

/// Whether the last run is parked after a move: from the moment it parks until it is claimed, or ends with its task.
fn keeps_parked(read: &Task, event: &TaskEvent<'_>, state: &TaskState) -> bool {
    let is_parked = read.is_parked || matches!(event, TaskEvent::Park(_));
    is_parked && *state != TaskState::Running && !state.has_ended()
}

/// The event of a move; a claim is told by its run alone.
pub(super) fn told(task: &Task, event: &TaskEvent<'_>, cause: Cause) -> Option<Change> {
    let word = event.word().to_owned();
    let state = task.state.word().to_owned();
    Some(match (event, &task.state) {
        (TaskEvent::Approve, _) => Change::TaskApproved { state },
        (TaskEvent::Refuse, _) => Change::TaskRefused {},
        (_, TaskState::Running) => return None,
        (_, TaskState::Backlog) => Change::TaskShelved {},
        (_, TaskState::Ready) => Change::TaskReady { cause: word },
        (_, TaskState::PendingApproval) => Change::TaskWaiting {
            cause: word,
            on: None,
            after: cause.ending,
        },
        (_, TaskState::Waiting { on }) => Change::TaskWaiting {
            cause: word,
            on: Some(*on),
            after: cause.ending,
        },
        (_, TaskState::Done { .. }) => Change::TaskDone { by: ending(cause) },
        (_, TaskState::Failed { .. }) => Change::TaskFailed {
            dependency: cause.dependency,
            by: cause.ending,
        },
        (_, TaskState::Quarantined) => Change::TaskQuarantined {
            by: ending(cause),
            failures: task.failures,
        },
        (_, TaskState::Cancelled) => Change::TaskCancelled {
            run: cause.ending.map(|ending| ending.run),
            dependency: cause.dependency,
            reason: cause.reason,
        },
    })
}

fn ending(cause: Cause) -> Ending {
    cause.ending.expect("only the end of a run leads there")
}
