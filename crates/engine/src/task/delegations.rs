//! What the tasks of a tenant gave away: giving, delivering, taking the result.

use std::sync::Arc;

use dormouse_filesystem::{IndexValue, Query, Records, Versioned};

use super::settlement::moved_delegation;
use super::{
    Delegation, DelegationEvent, DelegationIndex, DelegationState, NewTask, Task, Tree, combine,
    decide_delegation,
};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::limits::PAGE_MAX;
use crate::run::{Run, RunState};
use crate::thread::stage_note;
use crate::{CommandError, Decision, Principal, Reason, RunId, Subject, TaskId};

/// The delegations of a tenant.
#[derive(Debug, Clone)]
pub struct Delegations {
    core: Arc<Core>,
    rows: Records<Delegation>,
}

/// A task that was given away.
#[derive(Debug, Clone, PartialEq)]
pub struct Delegated {
    /// It.
    pub task: Task,
    /// How who got it is.
    pub receiver: Receiver,
}

/// How the agent is that got a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiver {
    /// It does what is its.
    Active,
    /// The task is queued, and nothing is done before somebody resumes the agent.
    Paused,
}

impl Delegations {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            rows: Records::new(&core.space),
        }
    }

    /// Gives a task away in the name of a live run, whose task becomes its parent: to an agent that the run's own names
    /// in `delegates_to`, or to itself. The run hears of its end: [`delivered`](Self::delivered).
    ///
    /// # Errors
    /// `Forbidden` for an agent that is not named, and for a command line, which only operators give; `Undeliverable`
    /// for one that is not there; `TreeFull`; `Rejected` when the run has ended; as [`Tasks::create`](super::Tasks::create).
    pub async fn delegate(
        &self,
        by: &Principal,
        run: RunId,
        new: NewTask,
    ) -> Result<Delegated, CommandError> {
        new.validate()?;
        if new.command.is_some() {
            let what = "a run gives words, not a command line: those are for operators".to_owned();
            return Err(CommandError::Forbidden { what });
        }
        let made = combine::delegate(&self.core, by, run, new).await?;
        Ok(Delegated {
            task: made.task,
            receiver: made.receiver,
        })
    }

    /// One of them, by the task that was given.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub async fn get(&self, child: TaskId) -> Result<Versioned<Delegation>, CommandError> {
        let row = self.rows.get(&child).await?;
        row.ok_or_else(|| CommandError::not_found("delegation", &child))
    }

    /// What a task gave away and that ended since, as it was told: its run takes each result once.
    ///
    /// # Errors
    /// As any query.
    pub async fn delivered(&self, parent: TaskId) -> Result<Vec<Versioned<Delegation>>, CommandError> {
        let query = Query::of(DelegationIndex::Held)
            .equals([IndexValue::name(&parent.to_string())])
            .limit(PAGE_MAX);
        // At most as many as are open in a tree.
        let mut found = self.rows.find(&query).await?.rows;
        found.retain(|row| row.state == DelegationState::Delivered);
        Ok(found)
    }

    /// Takes the result of a task that was given away, in the name of a live run of its parent. The same again is
    /// answered as the first time.
    ///
    /// # Errors
    /// `NotFound` for what another task gave; `Rejected` while it is not delivered, when it was given up, and when the
    /// run has ended.
    pub async fn consume(
        &self,
        by: &Principal,
        run: RunId,
        child: TaskId,
    ) -> Result<Delegation, CommandError> {
        let core = &*self.core;
        let done = core.command(by, |mut draft| async move {
            let read = self.get(child).await?;
            let giver = expect_live(core, &mut draft, run, "consume").await?;
            if giver.task != Some(read.parent) {
                return Err(CommandError::not_found("delegation", &child));
            }
            match decide_delegation(read.state, DelegationEvent::Consume) {
                Decision::Apply(state) => {
                    let row = moved_delegation(&read, state, &draft);
                    self.rows.stage_replace(draft.batch(), &read, &row).await?;
                    stage_free(core, &mut draft, &row).await?;
                    let parent = row.parent;
                    draft.tell(&row.about(), &Change::DelegationConsumed { parent })?;
                    Ok(Verdict::Commit(draft, row))
                }
                Decision::Same | Decision::Ignore(_) => Ok(Verdict::Nothing(read.into_inner())),
                Decision::Reject(reason) => Err(refused(&read, DelegationEvent::Consume, reason)),
            }
        });
        Ok(done.await?.answer)
    }

    /// Gives the result of a task up: nobody waits for it any more. The task itself goes on.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn abandon(&self, by: &Principal, child: TaskId) -> Result<Delegation, CommandError> {
        let core = &*self.core;
        let done = core.command(by, |mut draft| async move {
            let read = self.get(child).await?;
            if !stage_abandon(core, &mut draft, &read).await? {
                return Ok(Verdict::Nothing(read.into_inner()));
            }
            let row = moved_delegation(&read, DelegationState::Abandoned, &draft);
            stage_free(core, &mut draft, &row).await?;
            Ok(Verdict::Commit(draft, row))
        });
        Ok(done.await?.answer)
    }

    /// Tells the parent of the end of a task that was given away; whether that was to be done. It is done once, however
    /// often it is tried.
    ///
    /// # Errors
    /// `NotFound`; `Rejected` while the task has not ended.
    pub async fn deliver(&self, child: TaskId) -> Result<bool, CommandError> {
        deliver(&self.core, child).await
    }
}

fn refused(read: &Delegation, event: DelegationEvent, reason: Reason) -> CommandError {
    CommandError::Rejected {
        subject: Subject::Task(read.child),
        state: read.state.word(),
        event: event.word(),
        reason,
    }
}

/// A run that is at work, and still is when the draft is committed.
pub(super) async fn expect_live(
    core: &Core,
    draft: &mut Draft,
    id: RunId,
    event: &'static str,
) -> Result<Versioned<Run>, CommandError> {
    let runs = Records::<Run>::new(&core.space);
    let run = runs.get(&id).await?;
    let run = run.ok_or_else(|| CommandError::not_found("run", &id))?;
    match run.state {
        RunState::Starting | RunState::Running => {}
        RunState::Waiting | RunState::Stopping | RunState::Ended => {
            return Err(CommandError::Rejected {
                subject: run.subject(),
                state: run.state.word(),
                event,
                reason: Reason::State,
            });
        }
    }
    if draft.is_first_to_expect(run.id) {
        runs.stage_check(draft.batch(), &run);
    }
    Ok(run)
}

/// Stages that a delegation takes no place in its tree any more.
async fn stage_free(core: &Core, draft: &mut Draft, row: &Delegation) -> Result<(), CommandError> {
    let trees = Records::<Tree>::new(&core.space);
    let Some(read) = trees.get(&row.root).await? else {
        return Err(CommandError::Corrupt("a delegation has no tree".into()));
    };
    let mut tree = Tree::clone(&read);
    tree.open = tree.open.saturating_sub(1);
    trees.stage_replace(draft.batch(), &read, &tree).await?;
    Ok(())
}

/// Stages that a delegation is given up, its place in the tree apart; whether it is.
pub(super) async fn stage_abandon(
    core: &Core,
    draft: &mut Draft,
    read: &Versioned<Delegation>,
) -> Result<bool, CommandError> {
    let state = match decide_delegation(read.state, DelegationEvent::Abandon) {
        Decision::Apply(state) => state,
        Decision::Same | Decision::Ignore(_) => return Ok(false),
        Decision::Reject(reason) => return Err(refused(read, DelegationEvent::Abandon, reason)),
    };
    let row = moved_delegation(read, state, draft);
    Records::new(&core.space)
        .stage_replace(draft.batch(), read, &row)
        .await?;
    let parent = row.parent;
    draft.tell(&row.about(), &Change::DelegationAbandoned { parent })?;
    Ok(true)
}

/// Tells the parent; whether that was to be done.
pub(super) async fn deliver(core: &Core, child: TaskId) -> Result<bool, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |mut draft| async move {
        let rows = Records::<Delegation>::new(&core.space);
        let read = rows.get(&child).await?;
        let read = read.ok_or_else(|| CommandError::not_found("delegation", &child))?;
        let state = match decide_delegation(read.state, DelegationEvent::Deliver) {
            Decision::Apply(state) => state,
            Decision::Same | Decision::Ignore(_) => return Ok(Verdict::Nothing(false)),
            Decision::Reject(reason) => return Err(refused(&read, DelegationEvent::Deliver, reason)),
        };
        let row = moved_delegation(&read, state, &draft);
        rows.stage_replace(draft.batch(), &read, &row).await?;
        stage_message(core, &mut draft, &row).await?;
        Ok(Verdict::Commit(draft, true))
    });
    Ok(done.await?.answer)
}

/// Stages how the parent hears of it. The row in its state `delivered` is what its run finds, and the event what rings; a
/// parent that talks in a thread gets its message here, under the child's id as key, in the same commit.
async fn stage_message(core: &Core, draft: &mut Draft, row: &Delegation) -> Result<(), CommandError> {
    let end = row
        .end
        .ok_or_else(|| CommandError::Corrupt("an end is not told".into()))?;
    let parent = row.parent;
    draft.tell(&row.about(), &Change::DelegationDelivered { parent, end })?;
    let tasks = Records::<Task>::new(&core.space);
    let Some(turn) = tasks.get(&parent).await?.and_then(|parent| parent.turn) else {
        return Ok(());
    };
    let said = match tasks.get(&row.child).await? {
        Some(child) => format!("#{} {}: {}", child.number, child.title, end.word()),
        None => format!("{}: {}", row.child, end.word()),
    };
    let provider = [
        ("delegation", row.child.to_string()),
        ("end", end.word().to_owned()),
    ];
    let provider = provider.map(|(name, value)| (name.to_owned(), value.into()));
    let said = core.scrubber.scrub(&said);
    stage_note(core, draft, turn.thread, said, provider.into_iter().collect()).await
}
