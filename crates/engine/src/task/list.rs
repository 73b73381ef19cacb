//! Finding tasks: by id, by the beginning of an id, and in pages, newest first.

use dormouse_filesystem::{Cursor, IndexValue, Issue, Order, Query, Versioned};

use super::{Task, TaskIndex, TaskState};
use crate::{AgentName, CommandError};

/// Which tasks are wanted; all of them by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskFilter {
    /// Only those of this agent; those of a former agent of that name are not among them.
    pub assignee: Option<AgentName>,
    /// Only those in the state of this word, one of [`TaskState::WORDS`].
    pub state: Option<String>,
}

/// One page of tasks.
#[derive(Debug, Clone)]
pub struct TaskPage {
    /// Newest first; of one agent in one state the one that changed last first.
    pub rows: Vec<Versioned<Task>>,
    /// For the next page; none only at the end.
    pub next: Option<Cursor>,
    /// Rows that cannot be believed, left out.
    pub issues: Vec<Issue>,
}

impl TaskFilter {
    /// The one index that answers it.
    pub(super) fn query(&self) -> Result<Query<TaskIndex>, CommandError> {
        let assignee = self
            .assignee
            .as_ref()
            .map(|name| IndexValue::segment(name.segment()));
        let state = self.state.as_deref().map(state_value).transpose()?;
        let query = match (assignee, state) {
            (None, None) => Query::of(TaskIndex::Number),
            (Some(assignee), None) => Query::of(TaskIndex::Assignee).equals([assignee]),
            (None, Some(state)) => Query::of(TaskIndex::State).equals([state]),
            (Some(assignee), Some(state)) => Query::of(TaskIndex::AssigneeState).equals([assignee, state]),
        };
        Ok(query.order(Order::Down))
    }
}

fn state_value(word: &str) -> Result<IndexValue, CommandError> {
    if TaskState::WORDS.contains(&word) {
        Ok(IndexValue::name(word))
    } else {
        let words = TaskState::WORDS.join(", ");
        Err(CommandError::invalid("state", format!("is none of {words}")))
    }
}
