//! The tasks of a tenant: the one service that writes their rows, together with that of runs.

use std::sync::Arc;

use dormouse_filesystem::{Cursor, IndexValue, Query, Records, Version, Versioned};
use dormouse_secrets::Scrubbed;

use super::change::Moved;
use super::delete::stage_delete;
use super::edit::{assigned, edited};
use super::settler::settle;
use super::sight::Sight;
use super::{
    Cause, NewTask, Settlement, Task, TaskEdit, TaskEvent, TaskFilter, TaskIndex, TaskPage, combine,
    move_task,
};
use crate::agent::Agents;
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::find::{resolve, resolve_seen};
use crate::idempotency;
use crate::limits::REASON_MAX;
use crate::run::{StopReason, Stopped, parked, stage_stop};
use crate::session::called_off;
use crate::{AgentName, CommandError, Incarnation, Principal, Subject, TaskId};

/// A tenant's tasks.
#[derive(Debug, Clone)]
pub struct Tasks {
    core: Arc<Core>,
    rows: Records<Task>,
    sight: Sight,
    expected: Option<Version>,
}

impl Tasks {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            rows: Records::new(&core.space),
            sight: Sight::Tenant,
            expected: None,
        }
    }

    /// The tasks that this agent owns or is assigned: every other is missing, by id and number as in lists.
    #[must_use]
    pub fn seen_by(&self, agent: &AgentName, incarnation: Incarnation) -> Self {
        Self {
            sight: Sight::Agent(agent.clone(), incarnation),
            ..self.clone()
        }
    }

    /// The same, whose commands are for a task at this version, and `Stale` for one at another.
    #[must_use]
    pub fn expecting(&self, version: Option<Version>) -> Self {
        Self {
            expected: version,
            ..self.clone()
        }
    }

    /// Makes a task.
    ///
    /// # Errors
    /// `NotFound` and `AgentDeleting` for its agent; `NotFound` for a task it waits for; `Invalid`, `InvalidMetadata`,
    /// `TooLarge` for its fields.
    pub async fn create(&self, by: &Principal, new: NewTask) -> Result<Task, CommandError> {
        new.validate()?;
        match self.combined(by, new.clone()).await {
            Err(CommandError::DoneBefore { results }) if !results.is_empty() => {
                self.made_before(&results).await
            }
            // Another creation under the same key is in the same commit, or was: now its row is there.
            Err(CommandError::DoneBefore { .. }) => match self.look_again().await {
                Err(CommandError::DoneBefore { results }) => self.made_before(&results).await,
                Err(error) => Err(error),
                Ok(()) => self.combined(by, new).await,
            },
            made => made,
        }
    }

    async fn combined(&self, by: &Principal, new: NewTask) -> Result<Task, CommandError> {
        let made = combine::create(&self.core, by, self.sight.clone(), new).await?;
        Ok(made.task)
    }

    /// Whether nothing was done under the key yet.
    async fn look_again(&self) -> Result<(), CommandError> {
        let Some(once) = &self.core.once else {
            return Ok(());
        };
        let now = self.core.environment.clock.now();
        idempotency::before(&self.core, once, now).await.map(drop)
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
        row.filter(|task| self.sight.sees(task))
            .ok_or_else(|| CommandError::not_found("task", &id))
    }

    /// A task that a command is for.
    async fn meant(&self, id: TaskId) -> Result<Versioned<Task>, CommandError> {
        let read = self.get(id).await?;
        match self.expected {
            Some(expected) if expected != read.version() => Err(CommandError::Stale {
                subject: Subject::Task(id),
                current: read.version(),
            }),
            _ => Ok(read),
        }
    }

    /// The id that is meant by a whole id, its first 8 digits or more, or a number, also written `#12`.
    ///
    /// # Errors
    /// `InvalidId`; `NotFound` and `Ambiguous` for a short form, `NotFound` for a number. A whole id is not looked up.
    pub async fn resolve(&self, given: &str) -> Result<TaskId, CommandError> {
        match number(given) {
            Some(number) => self.numbered(number, given).await,
            None if self.sight == Sight::Tenant => resolve(&self.rows, TaskIndex::Id, given).await,
            None => resolve_seen(&self.rows, TaskIndex::Id, given, |task| self.sight.sees(task)).await,
        }
    }

    async fn numbered(&self, number: u64, given: &str) -> Result<TaskId, CommandError> {
        let query = Query::of(TaskIndex::Number)
            .equals([IndexValue::number(number)])
            .limit(1);
        let found = self.rows.find(&query).await?;
        let seen = found.rows.iter().find(|task| self.sight.sees(task));
        seen.map(|task| task.id)
            .ok_or_else(|| CommandError::not_found("task", &given))
    }

    /// One page of tasks. An agent's has fewer than are asked for where some between are of another state or a former
    /// incarnation; the cursor is behind them.
    ///
    /// # Errors
    /// `Invalid` for a state that does not exist or a limit that is not 1 to 1,000, `CursorScope`.
    pub async fn list(
        &self,
        filter: &TaskFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<TaskPage, CommandError> {
        let query = filter.query(&self.sight)?;
        let mut found = self.rows.find(&query.after(after).limit(limit)).await?;
        found
            .rows
            .retain(|task| self.sight.sees(task) && filter.takes(task));
        if let Some(assignee) = &filter.assignee {
            let living = self.core.living(assignee).await?;
            found.rows.retain(|task| Some(task.agent_incarnation) == living);
        }
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
            let read = self.meant(id).await?;
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
    /// done again too. Who followed the end that is undone so is told of it first.
    ///
    /// # Errors
    /// `NotFound`; `Rejected` for one that is done, that is running, or that waits for a gate or other tasks.
    pub async fn retry(&self, by: &Principal, id: TaskId, steps: Steps) -> Result<Task, CommandError> {
        let read = self.get(id).await?;
        if read.state.has_ended() && read.has_followers {
            settle(&self.core, id).await?;
        }
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

    /// Changes what is said of a task. One that changes nothing writes nothing.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, `InvalidMetadata`, `TooLarge`; `Rejected` for one that has ended, and for a later time of
    /// one that is ready or running.
    pub async fn edit(&self, by: &Principal, id: TaskId, edit: &TaskEdit) -> Result<Task, CommandError> {
        edit.validate()?;
        let done = self.core.command(by, |draft| async move {
            let read = self.meant(id).await?;
            edited(&self.core, draft, read, edit).await
        });
        Ok(done.await?.answer)
    }

    /// Gives a task to another agent.
    ///
    /// # Errors
    /// `NotFound`, also for the agent; `AgentDeleting`; `Rejected` for one that a run is at, parked or not, or that has
    /// ended.
    pub async fn assign(&self, by: &Principal, id: TaskId, to: &AgentName) -> Result<Task, CommandError> {
        let done = self.core.command(by, |draft| async move {
            let read = self.meant(id).await?;
            assigned(&self.core, draft, read, to).await
        });
        Ok(done.await?.answer)
    }

    /// Deletes a task. What is left is that its number was given; who waits for it is told that it was not done.
    ///
    /// # Errors
    /// `NotFound`; `Rejected` for one that a run is at, parked or not.
    pub async fn delete(&self, by: &Principal, id: TaskId) -> Result<(), CommandError> {
        let done = self.core.command(by, |mut draft| async move {
            let read = self.meant(id).await?;
            stage_delete(&self.core, &mut draft, &read).await?;
            Ok(Verdict::Commit(draft, ()))
        });
        done.await?;
        Ok(())
    }

    async fn apply(
        &self,
        by: &Principal,
        id: TaskId,
        event: &TaskEvent<'_>,
        cause: &Cause,
    ) -> Result<Task, CommandError> {
        let done = self.core.command(by, |mut draft| async move {
            let read = self.meant(id).await?;
            if *event == TaskEvent::Retry && read.state.has_ended() && read.has_followers {
                Records::<Settlement>::new(&self.core.space).stage_absent(draft.batch(), &id)?;
            }
            if *event == TaskEvent::Retry {
                self.require_agent(&mut draft, &read).await?;
            }
            match move_task(&self.core, &mut draft, &read, event, cause.clone()).await? {
                Moved::To(task) => Ok(Verdict::Commit(draft, *task)),
                Moved::Same | Moved::Ignored => Ok(Verdict::Nothing(read.into_inner())),
            }
        });
        Ok(done.await?.answer)
    }
}

/// A task's number, `12` or `#12`; none of what is something else.
fn number(given: &str) -> Option<u64> {
    let digits = given.strip_prefix('#').unwrap_or(given);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

impl Tasks {
    /// The life of its agent that a task belongs to is the present one, and stays until the commit: nobody else takes it up.
    async fn require_agent(&self, draft: &mut Draft, task: &Task) -> Result<(), CommandError> {
        let agent = Agents::new(&self.core).require(draft, &task.assignee).await?;
        if agent.incarnation == task.agent_incarnation {
            Ok(())
        } else {
            Err(CommandError::not_found("agent", &task.assignee))
        }
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
