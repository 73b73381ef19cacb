//! Making a task: number, row and event in one commit.

use dormouse_filesystem::Records;
use dormouse_secrets::{Scrubbed, Scrubber};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Counters, Priority, Task, TaskFacts, TaskState, ready_or_wait};
use crate::agent::Agent;
use crate::command::CommandSpec;
use crate::core::Core;
use crate::draft::Draft;
use crate::event::Change;
use crate::limits::{BODY_MAX, METADATA_DEPTH_MAX, METADATA_MAX, TITLE_MAX};
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
        }
    }

    /// About how many bytes its row takes.
    pub(super) fn bytes(&self) -> usize {
        let json = serde_json::to_vec(&(&self.title, &self.body, &self.metadata, &self.command));
        json.map_or(usize::MAX, |json| json.len())
    }

    /// Checks every field's bounds.
    ///
    /// # Errors
    /// The first field that is out of them.
    pub fn validate(&self) -> Result<(), CommandError> {
        let title = self.title.chars().count();
        if title == 0 || title > TITLE_MAX {
            return Err(CommandError::invalid(
                "title",
                format!("has {title} characters, 1 to {TITLE_MAX} are taken"),
            ));
        }
        if self.title.chars().any(char::is_control) {
            return Err(CommandError::invalid("title", "holds a control character"));
        }
        if self.body.len() > BODY_MAX {
            return Err(CommandError::TooLarge {
                limit: "tasks.body_max",
            });
        }
        check_metadata(&self.metadata)?;
        self.command
            .as_ref()
            .map_or(Ok(()), |command| Ok(command.validate()?))
    }
}

fn check_metadata(metadata: &Map<String, Value>) -> Result<(), CommandError> {
    if metadata.keys().any(|key| key.starts_with("dormouse.")) {
        return Err(CommandError::invalid(
            "metadata",
            "keys under dormouse. are the engine's",
        ));
    }
    let metadata = Value::Object(metadata.clone());
    if depth(&metadata) > METADATA_DEPTH_MAX {
        return Err(CommandError::TooLarge {
            limit: "tasks.metadata_depth_max",
        });
    }
    if metadata.to_string().len() > METADATA_MAX {
        return Err(CommandError::TooLarge {
            limit: "tasks.metadata_max",
        });
    }
    Ok(())
}

/// Objects and arrays inside one another, the outermost included.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
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

pub(crate) fn scrubbed(scrubber: &Scrubber, fields: &Map<String, Value>) -> Map<String, Value> {
    let field = |(key, value): (&String, &Value)| {
        let key = scrubber.scrub(key).into_string();
        (key, scrubbed_value(scrubber, value))
    };
    fields.iter().map(field).collect()
}

fn scrubbed_value(scrubber: &Scrubber, value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(scrubber.scrub(text).into_string()),
        Value::Array(values) => values
            .iter()
            .map(|value| scrubbed_value(scrubber, value))
            .collect(),
        Value::Object(fields) => Value::Object(scrubbed(scrubber, fields)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Stages a new task of this number, and tells of it.
pub(crate) fn numbered(
    core: &Core,
    draft: &mut Draft,
    agent: &Agent,
    new: (&NewTask, &Clean),
    number: u64,
) -> Result<Task, CommandError> {
    let task = made(core, draft, agent, new, number);
    Records::<Task>::new(&core.space).stage_create(draft.batch(), &task)?;
    let change = Change::TaskCreated {
        number,
        priority: task.priority,
        state: task.state.word().to_owned(),
    };
    draft.tell(&task.about(), &change)?;
    Ok(task)
}

fn made(core: &Core, draft: &Draft, agent: &Agent, (new, clean): (&NewTask, &Clean), number: u64) -> Task {
    Task {
        id: TaskId::make(draft.now(), &core.environment.random),
        number,
        title: clean.title.clone(),
        body: new.body.clone(),
        owner: None,
        assignee: new.assignee.clone(),
        agent_incarnation: agent.incarnation,
        source: draft.actor().channel,
        priority: new.priority,
        state: first_state(draft, new),
        failures: 0,
        reclaims: 0,
        step_epoch: 0,
        attempts: 0,
        last_run: None,
        not_before: new.not_before,
        parent: None,
        open_dependencies: Vec::new(),
        metadata: clean.metadata.clone(),
        command: new.command.clone(),
        turn: new.turn,
        approval_required: new.start == Start::PendingApproval,
        approved_at: None,
        approved_by: None,
        ended_at: None,
        created_at: draft.now(),
        updated_at: draft.now(),
        op: draft.op(),
    }
}

fn first_state(draft: &Draft, new: &NewTask) -> TaskState {
    match new.start {
        Start::PendingApproval => TaskState::PendingApproval,
        Start::Backlog => TaskState::Backlog,
        Start::Ready => ready_or_wait(&TaskFacts {
            now: draft.now(),
            not_before: new.not_before,
            has_open_dependencies: false,
            needs_approval: false,
            has_parked_run: false,
            counters: Counters::default(),
            roll: 0,
        }),
    }
}
