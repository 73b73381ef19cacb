//! Making a task: number, row and event in one commit.

use dormouse_filesystem::Records;
use dormouse_secrets::{Scrubbed, Scrubber};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::change::ring_if_ready;
use super::metadata::{check_bounds, check_keys, scrubbed};
use super::settlement::not_attempted;
use super::standing::{Giver, Grounds};
use super::{
    ChildEnd, Counters, Delegation, DelegationState, OnFailed, Priority, Task, TaskFacts, TaskState,
    ready_or_wait,
};
use crate::command::CommandSpec;
use crate::core::Core;
use crate::draft::Draft;
use crate::event::Change;
use crate::limits::{BODY_MAX, DEPENDENCIES_MAX, TITLE_MAX};
use crate::thread::Turn;
use crate::{AgentName, CommandError, PrefixedId, TaskId};

/// Where a new task begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// Ready, or waiting while its time has not come.
    #[default]
    Ready,
    /// Put aside.
    Backlog,
    /// To be approved first.
    PendingApproval,
}

/// What is to be said of a new task.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// What it is called: 1 to 200 characters.
    pub title: String,
    /// What is to be done, at most 256 KiB; may be empty.
    pub body: String,
    /// The agent that is to do it.
    pub assignee: AgentName,
    /// How much it presses.
    pub priority: Priority,
    /// Where it begins.
    pub start: Start,
    /// Not to be tried before.
    pub not_before: Option<Timestamp>,
    /// What its maker keeps with it, at most 16 KiB; keys under `dormouse.` are the engine's.
    pub metadata: Map<String, Value>,
    /// The command line that does it, when a process is to.
    pub command: Option<CommandSpec>,
    /// The message whose turn it is, as [`Threads`](crate::thread::Threads) says it of the tasks that they make.
    pub turn: Option<Turn>,
    /// The tasks that are to be done first, at most 64.
    pub after: Vec<TaskId>,
    /// What becomes of it when one of them is not done.
    pub on_failed: OnFailed,
}

impl NewTask {
    /// A task of this title for this agent, and every default.
    #[must_use]
    pub fn new(assignee: AgentName, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            body: String::new(),
            assignee,
            priority: Priority::default(),
            start: Start::default(),
            not_before: None,
            metadata: Map::new(),
            command: None,
            turn: None,
            after: Vec::new(),
            on_failed: OnFailed::default(),
        }
    }

    /// About how many bytes its row takes.
    pub(super) fn bytes(&self) -> usize {
        let json = serde_json::to_vec(&(&self.title, &self.body, &self.metadata, &self.command));
        json.map_or(usize::MAX, |json| json.len())
    }

    /// At most how many operations of a batch it takes: row, indexes, events; and of what it waits for an entry each, and
    /// the row, which may be written.
    pub(super) fn operations(&self) -> usize {
        12 + 4 * self.after.len()
    }

    /// Checks every field's bounds.
    ///
    /// # Errors
    /// The first field that is out of them.
    pub fn validate(&self) -> Result<(), CommandError> {
        check_title(&self.title)?;
        check_body(&self.body)?;
        check_keys(&self.metadata)?;
        check_bounds(&self.metadata)?;
        if self.after.len() > DEPENDENCIES_MAX {
            let found = self.after.len();
            let reason = format!("names {found} tasks, at most {DEPENDENCIES_MAX} are taken");
            return Err(CommandError::invalid("after", reason));
        }
        self.command
            .as_ref()
            .map_or(Ok(()), |command| Ok(command.validate()?))
    }
}

/// What of a new task everybody may read, without the values that its agent knows.
#[derive(Debug)]
pub(crate) struct Clean {
    title: Scrubbed,
    metadata: Map<String, Value>,
}

impl Clean {
    pub(crate) fn of(new: &NewTask, scrubber: &Scrubber) -> Self {
        Self {
            title: scrubber.scrub(&new.title),
            metadata: scrubbed(scrubber, &new.metadata),
        }
    }
}

/// Checks a title.
pub(super) fn check_title(title: &str) -> Result<(), CommandError> {
    let count = title.chars().count();
    if count == 0 || count > TITLE_MAX {
        return Err(CommandError::invalid(
            "title",
            format!("has {count} characters, 1 to {TITLE_MAX} are taken"),
        ));
    }
    if title.chars().any(char::is_control) {
        return Err(CommandError::invalid("title", "holds a control character"));
    }
    Ok(())
}

/// Checks a body.
pub(super) fn check_body(body: &str) -> Result<(), CommandError> {
    if body.len() > BODY_MAX {
        let limit = "tasks.body_max";
        return Err(CommandError::TooLarge { limit });
    }
    Ok(())
}

/// Stages a new task of this number, and tells of it.
pub(crate) fn numbered(
    core: &Core,
    draft: &mut Draft,
    grounds: &Grounds,
    new: (&NewTask, &Clean),
    number: u64,
) -> Result<Task, CommandError> {
    let task = made(core, draft, grounds, new, number);
    Records::<Task>::new(&core.space).stage_create(draft.batch(), &task)?;
    ring_if_ready(draft, &task);
    let change = Change::TaskCreated {
        number,
        priority: task.priority,
        state: task.state.word().to_owned(),
        parent: task.parent,
    };
    draft.tell(&task.about(), &change)?;
    if let Some(giver) = &grounds.giver {
        let row = delegation(draft, &task, giver);
        Records::<Delegation>::new(&core.space).stage_create(draft.batch(), &row)?;
    }
    if let Some(change) = stillborn(&task) {
        draft.tell(&task.about(), &change)?;
    }
    Ok(task)
}

/// What else is told of one that ended by what it was to wait for.
fn stillborn(task: &Task) -> Option<Change> {
    let dependency = task.undone_by;
    match &task.state {
        TaskState::Failed { .. } => Some(Change::TaskFailed { by: None, dependency }),
        TaskState::Cancelled => Some(Change::TaskCancelled {
            run: None,
            dependency,
            reason: None,
        }),
        _ => None,
    }
}

fn delegation(draft: &Draft, task: &Task, giver: &Giver) -> Delegation {
    let end = ChildEnd::of(&task.state);
    Delegation {
        child: task.id,
        parent: giver.parent,
        root: giver.root,
        depth: giver.depth,
        agent: giver.agent.clone(),
        agent_incarnation: giver.agent_incarnation,
        to: task.assignee.clone(),
        state: match end {
            None => DelegationState::Open,
            Some(_) => DelegationState::Settled,
        },
        end,
        created_at: draft.now(),
        updated_at: draft.now(),
        op: draft.op(),
    }
}

fn made(
    core: &Core,
    draft: &Draft,
    grounds: &Grounds,
    (new, clean): (&NewTask, &Clean),
    number: u64,
) -> Task {
    let owner = grounds.owner.as_ref();
    let state = first_state(draft, grounds, new);
    let has_ended = state.has_ended();
    Task {
        id: TaskId::make(draft.now(), &core.environment.random),
        number,
        title: clean.title.clone(),
        body: new.body.clone(),
        owner: owner.map(|(name, _)| name.clone()),
        owner_incarnation: owner.map(|(_, incarnation)| *incarnation),
        assignee: new.assignee.clone(),
        agent_incarnation: grounds.agent.incarnation,
        source: draft.actor().channel,
        priority: new.priority,
        state,
        failures: 0,
        reclaims: 0,
        step_epoch: 0,
        attempts: 0,
        last_run: None,
        is_parked: false,
        not_before: new.not_before,
        parent: grounds.giver.as_ref().map(|giver| giver.parent),
        open_dependencies: grounds.open.clone(),
        on_failed: new.on_failed,
        undone_by: grounds.undone.filter(|_| has_ended),
        has_followers: false,
        metadata: clean.metadata.clone(),
        command: new.command.clone(),
        turn: new.turn,
        approval_required: new.start == Start::PendingApproval,
        approved_at: None,
        approved_by: None,
        ended_at: has_ended.then(|| draft.now()),
        created_at: draft.now(),
        updated_at: draft.now(),
        op: draft.op(),
    }
}

fn first_state(draft: &Draft, grounds: &Grounds, new: &NewTask) -> TaskState {
    match (grounds.undone, new.on_failed) {
        (Some(_), OnFailed::Fail) => return not_attempted(),
        (Some(_), OnFailed::Cancel) => return TaskState::Cancelled,
        (Some(_), OnFailed::Run) | (None, _) => {}
    }
    match new.start {
        Start::PendingApproval => TaskState::PendingApproval,
        Start::Backlog => TaskState::Backlog,
        Start::Ready => ready_or_wait(&TaskFacts {
            now: draft.now(),
            not_before: new.not_before,
            has_open_dependencies: !grounds.open.is_empty(),
            needs_approval: false,
            has_parked_run: false,
            counters: Counters::default(),
            roll: 0,
        }),
    }
}
