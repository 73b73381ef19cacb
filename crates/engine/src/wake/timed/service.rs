//! The timed wakes of a tenant: the one service that writes their rows, together with whoever serves what is due.

use std::sync::Arc;

use dormouse_filesystem::{Cursor, IndexValue, Issue, Query, Records, Version, Versioned};
use dormouse_secrets::Scrubbed;
use jiff::{SignedDuration, Timestamp};

use super::{TimedWake, TimedWakeIndex};
use crate::agent::Agents;
use crate::command::CommandSpec;
use crate::core::Core;
use crate::credentials::Credentials;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::find::resolve;
use crate::limits::{PAGE_MAX, REASON_MAX, WAKE_AHEAD_MAX};
use crate::{AgentName, CommandError, PrefixedId, Principal, WakeId};

/// What is to be said of a new timed wake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWake {
    /// Whose task it becomes.
    pub agent: AgentName,
    /// When, at most [`WAKE_AHEAD_MAX`] ahead. One that is over is due at once.
    pub due: Timestamp,
    /// Why: 1 to [`REASON_MAX`] bytes. It is what the task is called, and what is to be done.
    pub reason: String,
    /// The command line that does the task, when a process is to.
    pub command: Option<CommandSpec>,
}

impl NewWake {
    fn check(&self, now: Timestamp) -> Result<(), CommandError> {
        let reason = self.reason.trim();
        if reason.is_empty() || self.reason.len() > REASON_MAX {
            let said = format!("has {} bytes, 1 to {REASON_MAX} are taken", self.reason.len());
            return Err(CommandError::invalid("reason", said));
        }
        let ahead = SignedDuration::try_from(WAKE_AHEAD_MAX).expect("days fit");
        if now.checked_add(ahead).is_ok_and(|latest| self.due > latest) {
            let days = ahead.as_hours() / 24;
            let said = format!("{} is more than {days} days ahead", self.due);
            return Err(CommandError::invalid("due", said));
        }
        self.command
            .as_ref()
            .map_or(Ok(()), |command| Ok(command.validate()?))
    }
}

/// One page of timed wakes.
#[derive(Debug, Clone)]
pub struct TimedPage {
    /// The next one first.
    pub rows: Vec<Versioned<TimedWake>>,
    /// For the next page; none only at the end.
    pub next: Option<Cursor>,
    /// Rows that cannot be believed, left out.
    pub issues: Vec<Issue>,
}

/// A tenant's timed wakes.
#[derive(Debug, Clone)]
pub struct TimedWakes {
    core: Arc<Core>,
    rows: Records<TimedWake>,
}

impl TimedWakes {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            rows: Records::new(&core.space),
        }
    }

    /// Has a task made of an agent's at a time, and tells the version of its row, which may be gone by then: once, by whoever serves what is due then. A paused agent's is made too, and
    /// waits as its other tasks do.
    ///
    /// # Errors
    /// `NotFound` and `AgentDeleting` for its agent; `Invalid` and `InvalidCommand` for its fields; `Full` while the agent
    /// has as many as it may (`wakes.timed_max`), which those that are added at one moment may pass.
    pub async fn add(&self, by: &Principal, new: NewWake) -> Result<(TimedWake, Version), CommandError> {
        new.check(self.core.environment.clock.now())?;
        let scrubber = Credentials::new(&self.core).scrubber(&new.agent).await?;
        let reason = scrubber.scrub(&new.reason).truncate_to(REASON_MAX);
        let (new, reason) = (&new, &reason);
        let done = self
            .core
            .command(by, |draft| added(&self.core, draft, by, new, reason));
        let done = done.await?;
        Ok((done.answer, done.version.expect("a new row is written")))
    }

    /// One that waits. One whose time came is a task by now, and is not there.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub async fn get(&self, id: WakeId) -> Result<Versioned<TimedWake>, CommandError> {
        let row = self.rows.get(&id).await?;
        row.ok_or_else(|| CommandError::not_found("wake", &id))
    }

    /// The id that is meant by a whole id, or its first 8 digits or more.
    ///
    /// # Errors
    /// `InvalidId`; `NotFound` and `Ambiguous` for a short form. A whole id is not looked up.
    pub async fn resolve(&self, given: &str) -> Result<WakeId, CommandError> {
        resolve(&self.rows, TimedWakeIndex::Id, given).await
    }

    /// One page of those that wait, of one agent or of all. Those of a former agent of a name are not among its.
    ///
    /// # Errors
    /// `CursorScope`, `Invalid` for a limit that is not 1 to 1,000.
    pub async fn list(
        &self,
        agent: Option<&AgentName>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<TimedPage, CommandError> {
        let query = match agent {
            None => Query::of(TimedWakeIndex::At),
            Some(agent) => of_agent(agent),
        };
        let mut found = self.rows.find(&query.after(after).limit(limit)).await?;
        if let Some(agent) = agent {
            let living = self.core.living(agent).await?;
            found.rows.retain(|wake| Some(wake.agent_incarnation) == living);
        }
        Ok(TimedPage {
            rows: found.rows,
            next: found.next,
            issues: found.issues,
        })
    }

    /// Calls one off that waits: nothing becomes of it.
    ///
    /// # Errors
    /// `NotFound`, also for one whose time came: what became of it is a task.
    pub async fn cancel(&self, by: &Principal, id: WakeId) -> Result<(), CommandError> {
        cancel(&self.core, by, id).await
    }
}

fn of_agent(agent: &AgentName) -> Query<TimedWakeIndex> {
    Query::of(TimedWakeIndex::Agent).equals([IndexValue::segment(agent.segment())])
}

async fn added(
    core: &Arc<Core>,
    mut draft: Draft,
    by: &Principal,
    new: &NewWake,
    reason: &Scrubbed,
) -> Result<Verdict<TimedWake>, CommandError> {
    let agent = Agents::new(core).require(&mut draft, &new.agent).await?;
    let rows = Records::<TimedWake>::new(&core.space);
    check_room(core, &rows, &new.agent).await?;
    let wake = TimedWake {
        id: WakeId::make(draft.now(), &core.environment.random),
        agent: agent.name.clone(),
        agent_incarnation: agent.incarnation,
        due: new.due,
        reason: reason.clone(),
        command: new.command.clone(),
        created_by: by.clone(),
        created_at: draft.now(),
        op: draft.op(),
    };
    rows.stage_create(draft.batch(), &wake)?;
    draft.note_due(wake.due);
    draft.tell(&wake.about(), &Change::WakeAdded { due: wake.due })?;
    Ok(Verdict::Commit(draft, wake))
}

/// An agent has at most so many that wait.
async fn check_room(core: &Core, rows: &Records<TimedWake>, agent: &AgentName) -> Result<(), CommandError> {
    let most = core.adjusted.now().wakes_timed_max;
    let (mut count, mut after) = (0, None);
    // Ends with the last page, or with as many as may be.
    loop {
        let query = of_agent(agent).after(after).limit(most.clamp(1, PAGE_MAX));
        let page = rows.find(&query).await?;
        count += page.rows.len();
        if count >= most {
            let limit = "wakes.timed_max";
            return Err(CommandError::Full { limit });
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Calls one off, for a service that says why.
pub(crate) async fn cancel(core: &Core, by: &Principal, id: WakeId) -> Result<(), CommandError> {
    let done = core.command(by, |mut draft| async move {
        let rows = Records::<TimedWake>::new(&core.space);
        let Some(read) = rows.get(&id).await? else {
            return Err(CommandError::not_found("wake", &id));
        };
        rows.stage_remove(draft.batch(), &read).await?;
        draft.tell(&read.about(), &Change::WakeCancelled {})?;
        Ok(Verdict::Commit(draft, ()))
    });
    done.await?;
    Ok(())
}
