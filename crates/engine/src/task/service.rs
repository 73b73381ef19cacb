//! The tasks of a tenant: the one service that writes their rows, together with that of runs.

use std::sync::Arc;

use dormouse_filesystem::{Cursor, Records, Versioned};
use dormouse_secrets::Scrubbed;

use super::change::Moved;
use super::{Cause, NewTask, Task, TaskEvent, TaskFilter, TaskIndex, TaskPage, combine, move_task};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::find::resolve;
use crate::idempotency;
use crate::limits::REASON_MAX;
use crate::run::{StopReason, Stopped, parked, stage_stop};
use crate::session::called_off;
use crate::{CommandError, Principal, Subject, TaskId};

/// A tenant's tasks.
#[derive(Debug, Clone)]
pub struct Tasks {
    core: Arc<Core>,
    rows: Records<Task>,
}

impl Tasks {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            rows: Records::new(&core.space),
        }
    }

    /// Makes a task.
    ///
    /// # Errors
    /// `NotFound` and `AgentDeleting` for its agent; `Invalid`, `TooLarge` for its fields.
    pub async fn create(&self, by: &Principal, new: NewTask) -> Result<Task, CommandError> {
        new.validate()?;
        let Some(once) = self.core.once.clone() else {
            return combine::create(&self.core, by, new).await;
        };
        match combine::create(&self.core, by, new.clone()).await {
            Err(CommandError::DoneBefore { results }) if !results.is_empty() => {
                self.made_before(&results).await
            }
            // Another creation under the same key is in the same commit, or was: now its row is there.
            Err(CommandError::DoneBefore { .. }) => {
                match idempotency::before(&self.core, &once, self.core.environment.clock.now()).await {
                    Err(CommandError::DoneBefore { results }) => self.made_before(&results).await,
                    Err(error) => Err(error),
                    Ok(_) => combine::create(&self.core, by, new).await,
                }
            }
            made => made,
        }
    }

    /// The task that was made under a key before, as it is now.
    async fn made_before(&self, results: &[Subject]) -> Result<Task, CommandError> {
        let task = results.iter().find_map(|result| match result {
            Subject::Task(id) => Some(*id),
            _ => None,
        });
        let task = task.ok_or_else(|| CommandError::Corrupt("a key of a creation names no task".into()))?;
        Ok(self.get(task).await?.into_inner())
    }

    /// A task.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub async fn get(&self, id: TaskId) -> Result<Versioned<Task>, CommandError> {
        let row = self.rows.get(&id).await?;
        row.ok_or_else(|| CommandError::not_found("task", &id))
    }

    /// The id that is meant by a whole id or its first 8 digits or more.
    ///
    /// # Errors
    /// `InvalidId`; `NotFound` and `Ambiguous` for a short form. A whole id is not looked up.
    pub async fn resolve(&self, given: &str) -> Result<TaskId, CommandError> {
        resolve(&self.rows, TaskIndex::Id, given).await
    }

    /// One page of tasks.
    ///
    /// # Errors
    /// `Invalid` for a state that does not exist or a limit that is not 1 to 1,000, `CursorScope`.
    pub async fn list(
        &self,
        filter: &TaskFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<TaskPage, CommandError> {
        let found = self.rows.find(&filter.query()?.after(after).limit(limit)).await?;
        Ok(TaskPage {
            rows: found.rows,
            next: found.next,
            issues: found.issues,
        })
    }

    /// Calls a task off. One that has ended already stays as it is. A running one is told to stop, and ends with its
    /// run; the answer is the task as it is now.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn cancel(
        &self,
        by: &Principal,
        id: TaskId,
        reason: Option<Scrubbed>,
    ) -> Result<Task, CommandError> {
        let reason = &reason.map(|reason| reason.truncate_to(REASON_MAX));
        let done = self.core.command(by, |mut draft| async move {
            let read = self.get(id).await?;
            let cause = Cause {
                reason: reason.clone(),
                ..Cause::default()
            };
            match move_task(&self.core, &mut draft, &read, &TaskEvent::Cancel, cause).await? {
                Moved::To(task) => {
                    // Its run, if one is parked, ends with it.
                    if let Some(run) = parked(&self.core, read.last_run).await? {
                        let stop = StopReason::Cancel {
                            by: draft.actor().clone(),
                            reason: reason.clone(),
                        };
                        stage_stop(&self.core, &mut draft, run.id, stop).await?;
                    } else if let Some(last) = read.last_run {
                        called_off(&self.core, &mut draft, id, last).await?;
                    }
                    Ok(Verdict::Commit(draft, (*task, None)))
                }
                Moved::Ignored => Ok(Verdict::Nothing((read.into_inner(), None))),
                Moved::Same => self.stop(draft, read, reason.clone()).await,
            }
        });
        let (task, stopped) = done.await?.answer;
        if let Some(Stopped { run, reason }) = stopped {
            self.core.live.tell(run, reason);
        }
        Ok(task)
    }

    async fn stop(
        &self,
        mut draft: Draft,
        task: Versioned<Task>,
        reason: Option<Scrubbed>,
    ) -> Result<Verdict<(Task, Option<Stopped>)>, CommandError> {
        let Some(run) = task.last_run else {
            return Err(CommandError::Corrupt("a running task names no run".into()));
        };
        let stop = StopReason::Cancel {
            by: draft.actor().clone(),
            reason,
        };
        if let Some(stopped) = stage_stop(&self.core, &mut draft, run, stop).await? {
            return Ok(Verdict::Commit(draft, (task.into_inner(), Some(stopped))));
        }
        // The run may have ended since the task was read, and the task be waiting to be tried again: then it is the
        // task that is to be cancelled.
        if self.get(task.id).await?.version() != task.version() {
            return Err(CommandError::LOST_RACE);
        }
        Ok(Verdict::Nothing((task.into_inner(), None)))
    }

    /// Makes an ended or waiting task ready again, with what was counted forgotten. With `Steps::Fresh` its steps are
    /// done again too.
    ///
    /// # Errors
    /// `NotFound`; `Rejected` for one that is done, that is running, or that waits for a gate or other tasks.
    pub async fn retry(&self, by: &Principal, id: TaskId, steps: Steps) -> Result<Task, CommandError> {
        let cause = Cause {
            is_fresh: steps == Steps::Fresh,
            ..Cause::default()
        };
        self.apply(by, id, &TaskEvent::Retry, &cause).await
    }

    /// Approves a task.
    ///
    /// # Errors
    /// `NotFound`; `Rejected` for one that is put aside or has ended.
    pub async fn approve(&self, by: &Principal, id: TaskId) -> Result<Task, CommandError> {
        self.apply(by, id, &TaskEvent::Approve, &Cause::default()).await
    }

    /// Refuses a task that waits for approval: it is cancelled.
    ///
    /// # Errors
    /// `NotFound`; `Rejected` for one that does not wait for approval.
    pub async fn refuse(&self, by: &Principal, id: TaskId) -> Result<Task, CommandError> {
        self.apply(by, id, &TaskEvent::Refuse, &Cause::default()).await
    }

    /// Puts a task aside.
    ///
    /// # Errors
    /// `NotFound`; `Rejected` for one that runs or has ended.
    pub async fn shelve(&self, by: &Principal, id: TaskId) -> Result<Task, CommandError> {
        self.apply(by, id, &TaskEvent::Shelve, &Cause::default()).await
    }

    /// Takes a task up that was put aside or waits for a time.
    ///
    /// # Errors
    /// `NotFound`; `Rejected` for one that waits for anything else or has ended.
    pub async fn enqueue(&self, by: &Principal, id: TaskId) -> Result<Task, CommandError> {
        self.apply(by, id, &TaskEvent::Enqueue, &Cause::default()).await
    }

    /// Makes a task ready whose time has come. Early, late or twice, it does nothing.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn due(&self, by: &Principal, id: TaskId) -> Result<Task, CommandError> {
        self.apply(by, id, &TaskEvent::Due, &Cause::default()).await
    }

    async fn apply(
        &self,
        by: &Principal,
        id: TaskId,
        event: &TaskEvent<'_>,
        cause: &Cause,
    ) -> Result<Task, CommandError> {
        let done = self.core.command(by, |mut draft| async move {
            let read = self.get(id).await?;
            match move_task(&self.core, &mut draft, &read, event, cause.clone()).await? {
                Moved::To(task) => Ok(Verdict::Commit(draft, *task)),
                Moved::Same | Moved::Ignored => Ok(Verdict::Nothing(read.into_inner())),
            }
        });
        Ok(done.await?.answer)
    }
}

/// What a retry does with the steps that were done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Steps {
    /// Their results stand.
    #[default]
    Kept,
    /// They are done again.
    Fresh,
}
