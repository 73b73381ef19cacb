//! Finding tasks: by id, by the beginning of an id, and in pages, newest first.

use dormouse_filesystem::{Cursor, IndexValue, Issue, Order, Query, Versioned};

use super::sight::Sight;
use super::{Task, TaskIndex, TaskState};
use crate::{AgentName, CommandError, TaskId};

/// Which tasks are wanted; all of them by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskFilter {
    /// Only those of this agent; those of a former agent of that name are not among them.
    pub assignee: Option<AgentName>,
    /// Only those that this agent made.
    pub owner: Option<AgentName>,
    /// Only those that this task gave away.
    pub parent: Option<TaskId>,
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
    /// The one index that answers it. What no index tells apart, [`takes`](Self::takes) does.
    pub(super) fn query(&self, sight: &Sight) -> Result<Query<TaskIndex>, CommandError> {
        let state = self.state.as_deref().map(state_value).transpose()?;
        let name = |name: &AgentName| IndexValue::segment(name.segment());
        let wanted = (&self.assignee, &self.owner, &self.parent, state);
        let query = match (sight, wanted) {
            (Sight::Agent(agent, _), (None, None, None, _)) => {
                Query::of(TaskIndex::Seen).equals([name(agent)])
            }
            (_, (None, None, None, None)) => Query::of(TaskIndex::Number),
            (_, (None, None, None, Some(state))) => Query::of(TaskIndex::State).equals([state]),
            (_, (Some(assignee), None, None, None)) => {
                Query::of(TaskIndex::Assignee).equals([name(assignee)])
            }
            (_, (Some(assignee), None, None, Some(state))) => {
                Query::of(TaskIndex::AssigneeState).equals([name(assignee), state])
            }
            (_, (None, Some(owner), None, _)) => Query::of(TaskIndex::Owner).equals([name(owner)]),
            (_, (None, None, Some(parent), _)) => {
                Query::of(TaskIndex::Parent).equals([IndexValue::name(&parent.to_string())])
            }
            (_, _) => {
                let reason = "no index has tasks by more than one of agent, owner and parent";
                return Err(CommandError::invalid("filter", reason));
            }
        };
        Ok(query.order(Order::Down))
    }

    /// Whether a task is wanted that its index found.
    pub(super) fn takes(&self, task: &Task) -> bool {
        self.state
            .as_deref()
            .is_none_or(|state| state == task.state.word())
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
