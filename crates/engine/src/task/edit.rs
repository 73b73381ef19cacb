//! Changing what is said of a task, and whose it is. Neither moves it.

use std::sync::Arc;

use dormouse_filesystem::Versioned;
use dormouse_secrets::Scrubber;
use jiff::Timestamp;
use serde_json::Value;

use super::change::stage_row;
use super::create::{check_body, check_title};
use super::metadata::{patched, scrubbed};
use super::{Priority, Task, TaskEvent, TaskFacts, TaskState, Wait, decide};
use crate::agent::Agents;
use crate::core::Core;
use crate::credentials::Credentials;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::run::parked;
use crate::session::called_off;
use crate::{AgentName, CommandError, Decision, Reason, Subject};

/// What of a task is to be another; the rest stays.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskEdit {
    /// What it is called: 1 to 200 characters.
    pub title: Option<String>,
    /// What is to be done, at most 256 KiB.
    pub body: Option<String>,
    /// How much it presses.
    pub priority: Option<Priority>,
    /// Not to be tried before; or no longer so, for none.
    pub not_before: Option<Option<Timestamp>>,
    /// A patch of its metadata by RFC 7396, an object: null removes, objects merge, all else replaces.
    pub metadata: Option<Value>,
}

impl TaskEdit {
    pub(super) fn validate(&self) -> Result<(), CommandError> {
        self.title.as_deref().map_or(Ok(()), check_title)?;
        self.body.as_deref().map_or(Ok(()), check_body)
    }
}

/// Stages an edit. One that changes nothing writes nothing.
pub(super) async fn edited(
    core: &Arc<Core>,
    mut draft: Draft,
    read: Versioned<Task>,
    edit: &TaskEdit,
) -> Result<Verdict<Task>, CommandError> {
    let facts = read.facts(draft.now(), 0);
    decided(&read, &TaskEvent::Edit, &facts)?;
    let scrubber = Credentials::new(core).scrubber(&read.assignee).await?;
    let mut task = Task::clone(&read);
    if let Some(title) = &edit.title {
        task.title = scrubber.scrub(title);
    }
    if let Some(body) = &edit.body {
        task.body.clone_from(body);
    }
    task.priority = edit.priority.unwrap_or(task.priority);
    if let Some(patch) = &edit.metadata {
        task.metadata = patched(&task.metadata, patch, &scrubber)?;
    }
    if let Some(not_before) = edit.not_before {
        set_not_before(&mut task, not_before, &facts)?;
    }
    if task == *read {
        return Ok(Verdict::Nothing(task));
    }
    let fields = changed_fields(&read, &task);
    (task.updated_at, task.op) = (draft.now(), draft.op());
    let change = Change::TaskEdited { fields };
    stage_row(&core.space, &mut draft, &read, &task, Some(change)).await?;
    Ok(Verdict::Commit(draft, task))
}

/// One that waits for that time waits for the new one. One that is ready or at work is put aside first.
fn set_not_before(
    task: &mut Task,
    not_before: Option<Timestamp>,
    facts: &TaskFacts,
) -> Result<(), CommandError> {
    let is_later = not_before.is_some_and(|at| facts.now < at);
    match &task.state {
        TaskState::Ready | TaskState::Running if is_later => {
            return Err(rejected(task, &TaskEvent::Edit, Reason::State));
        }
        TaskState::Waiting {
            on: Wait::Until { until },
        } if Some(*until) == task.not_before => {
            let until = not_before.map_or(facts.now, |at| at.max(facts.now));
            task.state = TaskState::Waiting {
                on: Wait::Until { until },
            };
        }
        _ => {}
    }
    task.not_before = not_before;
    Ok(())
}

fn changed_fields(before: &Task, after: &Task) -> Vec<String> {
    let fields = [
        ("title", before.title != after.title),
        ("body", before.body != after.body),
        ("priority", before.priority != after.priority),
        ("not_before", before.not_before != after.not_before),
        ("metadata", before.metadata != after.metadata),
    ];
    let changed = fields.into_iter().filter(|(_, has_changed)| *has_changed);
    changed.map(|(name, _)| name.to_owned()).collect()
}

/// Stages that a task is another agent's. What was its former one's of it ends: the turn that waited for its next
/// attempt, and what the last one asked.
pub(super) async fn assigned(
    core: &Arc<Core>,
    mut draft: Draft,
    read: Versioned<Task>,
    to: &AgentName,
) -> Result<Verdict<Task>, CommandError> {
    let mut facts = read.facts(draft.now(), 0);
    facts.has_parked_run = parked(core, read.last_run).await?.is_some();
    decided(&read, &TaskEvent::Assign, &facts)?;
    let agent = Agents::new(core).require(&mut draft, to).await?;
    if read.assignee == *to && read.agent_incarnation == agent.incarnation {
        return Ok(Verdict::Nothing(read.into_inner()));
    }
    let scrubber = Credentials::new(core).scrubber(to).await?;
    let task = Task {
        assignee: to.clone(),
        agent_incarnation: agent.incarnation,
        updated_at: draft.now(),
        op: draft.op(),
        ..cleaned(&read, &scrubber)
    };
    let change = Change::TaskAssigned {
        from: read.assignee.clone(),
        to: to.clone(),
    };
    stage_row(&core.space, &mut draft, &read, &task, Some(change)).await?;
    if let Some(last) = read.last_run {
        called_off(core, &mut draft, read.id, last).await?;
    }
    Ok(Verdict::Commit(draft, task))
}

/// What everybody may read of it, also without the values that its new agent knows.
fn cleaned(task: &Task, scrubber: &Scrubber) -> Task {
    Task {
        title: scrubber.scrub(task.title.as_str()),
        metadata: scrubbed(scrubber, &task.metadata),
        ..task.clone()
    }
}

fn decided(read: &Task, event: &TaskEvent<'_>, facts: &TaskFacts) -> Result<(), CommandError> {
    match decide(&read.state, event, facts) {
        Decision::Reject(reason) => Err(rejected(read, event, reason)),
        Decision::Apply(_) | Decision::Same | Decision::Ignore(_) => Ok(()),
    }
}

fn rejected(read: &Task, event: &TaskEvent<'_>, reason: Reason) -> CommandError {
    CommandError::Rejected {
        subject: Subject::Task(read.id),
        state: read.state.word(),
        event: event.word(),
        reason,
    }
}
