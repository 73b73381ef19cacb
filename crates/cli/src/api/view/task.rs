//! A task.

use dormouse_engine::command::CommandSpec;
use dormouse_engine::run::OutcomeKind;
use dormouse_engine::task::{OnFailed, Priority, Task, TaskState, Wait};
use dormouse_engine::{AgentName, RunId, TaskId};
use dormouse_filesystem::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A task, as the API answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// Its number, rising per tenant.
    pub number: u64,
    /// What it is called.
    pub title: String,
    /// What is to be done, in words; lists leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The agent that made it; none when an operator did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<AgentName>,
    /// The task that gave it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// The agent that is to do it.
    pub agent: AgentName,
    /// The word of its state.
    pub state: String,
    /// What it waits for, if it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// The tasks it waits for that have not ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<TaskId>,
    /// What becomes of it when one of those is not done.
    #[serde(default)]
    pub on_failed: OnFailed,
    /// The task that it waited for, which was not done, so that it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<TaskId>,
    /// Not to be tried before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Why it waits, a word: `agent_full tenant_full instance_full budget paused not_due gate locked degraded
    /// no_supervisor`. Lists leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How its last run ended, if that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeKind>,
    /// How much it presses.
    pub priority: Priority,
    /// Runs so far.
    pub attempts: u32,
    /// Failures since it was made or retried by hand.
    pub failures: u32,
    /// Lapses after which it was made ready again.
    pub reclaims: u32,
    /// The last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<RunId>,
    /// The command line that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandSpec>,
    /// What its maker keeps with it.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Its version.
    pub version: Version,
}

impl TaskView {
    /// The view of a row.
    #[must_use]
    pub fn of(task: &Task, version: Version) -> Self {
        let (wait, outcome) = match &task.state {
            TaskState::Waiting { on } => (Some(*on), None),
            TaskState::Done { outcome } | TaskState::Failed { outcome } => (None, Some(*outcome)),
            TaskState::PendingApproval
            | TaskState::Backlog
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Quarantined
            | TaskState::Cancelled => (None, None),
        };
        Self {
            id: task.id,
            number: task.number,
            reason: None,
            title: task.title.to_string(),
            body: None,
            owner: task.owner.clone(),
            parent: task.parent,
            after: task.open_dependencies.clone(),
            on_failed: task.on_failed,
            undone_by: task.undone_by,
            not_before: task.not_before,
            metadata: task.metadata.clone(),
            agent: task.assignee.clone(),
            state: task.state.word().to_owned(),
            wait,
            outcome,
            priority: task.priority,
            attempts: task.attempts,
            failures: task.failures,
            reclaims: task.reclaims,
            last_run: task.last_run,
            command: task.command.clone(),
            created_at: task.created_at,
            updated_at: task.updated_at,
            ended_at: task.ended_at,
            version,
        }
    }
}
