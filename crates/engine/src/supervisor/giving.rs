//! A run's way to other agents: what its worker gives away through the run's own endpoint becomes a task of theirs.

use std::time::Duration;

use dormouse_secrets::Scrubbed;
use tokio::time::sleep;

use super::Asking;
use crate::outcome::Outcome;
use crate::task::{ChildEnd, Delegated, NewTask, Task};
use crate::{CommandError, Reason, Subject, TaskId};

/// How often a result that is waited for is looked for.
const LOOK: Duration = Duration::from_millis(500);

/// What became of a task that was given away.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenResult {
    /// Which.
    pub child: TaskId,
    /// How it ended.
    pub end: ChildEnd,
    /// It, unless it is gone.
    pub task: Option<Task>,
    /// What its last run said in the end.
    pub text: Option<Scrubbed>,
}

impl Asking {
    /// Gives a task away: it is durable when this returns.
    ///
    /// # Errors
    /// As [`Delegations::delegate`](crate::task::Delegations::delegate).
    pub async fn give(&self, new: NewTask) -> Result<Delegated, CommandError> {
        let delegations = &self.tenant().delegations;
        delegations.delegate(&self.principal(), self.run(), new).await
    }

    /// The id of a task that is meant, among those that the run's agent owns or is assigned.
    ///
    /// # Errors
    /// As [`Tasks::resolve`](crate::task::Tasks::resolve).
    pub async fn resolve_task(&self, given: &str) -> Result<TaskId, CommandError> {
        let (agent, incarnation) = self.agent();
        self.tenant()
            .tasks
            .seen_by(agent, incarnation)
            .resolve(given)
            .await
    }

    /// Waits until the result of a task that this run's task gave away is there, and takes it: its place in the tree is
    /// free from then on. The same again answers the same. Dropping the future takes nothing.
    ///
    /// # Errors
    /// `NotFound` for what another gave; `Rejected` for what was given up, and when the run has ended.
    pub async fn result(&self, child: TaskId) -> Result<GivenResult, CommandError> {
        let delegations = &self.tenant().delegations;
        // Ends with the delivery: who ends the task leaves it to be delivered.
        loop {
            match delegations.consume(&self.principal(), self.run(), child).await {
                Ok(taken) => {
                    let end = taken
                        .end
                        .ok_or_else(|| CommandError::Corrupt("an end is not told".into()))?;
                    return self.given_result(child, end).await;
                }
                Err(CommandError::Rejected {
                    subject: Subject::Task(_),
                    reason: Reason::Open | Reason::Undelivered,
                    ..
                }) => sleep(LOOK).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn given_result(&self, child: TaskId, end: ChildEnd) -> Result<GivenResult, CommandError> {
        let task = match self.tenant().tasks.get(child).await {
            Ok(task) => Some(task.into_inner()),
            Err(CommandError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let text = match task.as_ref().and_then(|task| task.last_run) {
            Some(run) => {
                let row = self.tenant().runs.get(run).await?;
                row.outcome.as_ref().and_then(|row| said(&row.outcome))
            }
            None => None,
        };
        Ok(GivenResult {
            child,
            end,
            task,
            text,
        })
    }
}

/// What a run said in the end.
fn said(outcome: &Outcome) -> Option<Scrubbed> {
    match outcome {
        Outcome::Success { text } | Outcome::Partial { text, .. } => text.clone(),
        Outcome::Failed { message, .. } => Some(message.clone()),
        Outcome::Cancelled { reason, .. } => reason.clone(),
        Outcome::Blocked { .. } | Outcome::Timeout { .. } | Outcome::Lost { .. } => None,
    }
}
