//! The runs of a tenant: the one service that writes their rows, leases, heartbeats and outcomes.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{Cursor, Records, Versioned, WriteOnce};

use dormouse_secrets::SpawnWrites;

use super::{
    Calls, ClaimOptions, Claimed, Finished, Leaving, Next, OutcomeRow, Parked, Process, Pulse, Run, RunEvent,
    RunFilter, RunIndex, RunPage, RunRow, RunState, RunWait, Started, StopReason, Stopped, beats, claim,
    finish, list, next, park, stage_stop, start,
};
use crate::agent::Agents;
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::find::resolve;
use crate::lease::{LeaseEvent, Progress, check};
use crate::outcome::{Facts, Outcome};
use crate::{AgentName, CommandError, GateId, Principal, Reason, RunId, SessionId, TaskId};

/// A tenant's runs.
#[derive(Debug, Clone)]
pub struct Runs {
    pub(crate) core: Arc<Core>,
    agents: Agents,
}

impl Runs {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            agents: Agents::new(core),
        }
    }

    /// Claims a ready task: its run begins, held by this process.
    ///
    /// # Errors
    /// `Rejected` when the task is not ready (any more), `AgentPaused`, `AgentDeleting`, `NotFound`.
    pub async fn claim(
        &self,
        by: &Principal,
        task: TaskId,
        options: ClaimOptions,
    ) -> Result<Claimed, CommandError> {
        claim::claim(&self.core, &self.agents, by, task, options).await
    }

    /// Claims what is first in an agent's lane: by rank, then by number. A task that another claims meanwhile is passed
    /// over for the next one.
    ///
    /// # Errors
    /// `AgentPaused`, `NotFound`; `Contended` when [`CANDIDATES_MAX`](crate::limits::CANDIDATES_MAX) were all claimed by
    /// others meanwhile.
    pub async fn claim_next(
        &self,
        by: &Principal,
        agent: &AgentName,
        session: Option<SessionId>,
    ) -> Result<Next, CommandError> {
        next::claim_next(&self.core, &self.agents, by, agent, session).await
    }

    /// Writes down the processes of a run, before any of them may go, and that it is running.
    ///
    /// # Errors
    /// `Fenced` and `LeaseExpired`: stop at once. `Rejected` when it has ended.
    pub async fn started(
        &self,
        claimed: &Claimed,
        process: Option<&Process>,
    ) -> Result<Started, CommandError> {
        self.started_with(claimed, process, Calls::Unseen, None).await
    }

    /// The same, with what is seen of its calls, and what the worker is lent: its credential session is written in this
    /// commit.
    pub(crate) async fn started_with(
        &self,
        claimed: &Claimed,
        process: Option<&Process>,
        calls: Calls,
        lent: Option<&SpawnWrites>,
    ) -> Result<Started, CommandError> {
        let by = Principal::engine();
        let done = self.core.command(&by, |draft| {
            start::start(&self.core, draft, claimed, process, calls, lent)
        });
        Ok(self.of_living(claimed, done.await).await?.answer)
    }

    /// Renews the lease of a run: its heartbeat is written, in a commit with those of the tenant's other runs that are
    /// renewed at this time, and nothing else. In a store nobody else can write, one that has expired is renewed too.
    ///
    /// # Errors
    /// `Fenced` and `LeaseExpired`: stop at once. Being told to stop is no error: it is in the answer.
    pub async fn heartbeat(
        &self,
        claimed: &Claimed,
        progress: Option<&Progress>,
    ) -> Result<Pulse, CommandError> {
        let beaten = beats::beat(&self.core, claimed, progress).await?;
        Ok(beaten.reach(&self.core, claimed))
    }

    /// Records that a run is to stop, and answers with the reason that stands: the first.
    ///
    /// # Errors
    /// `Fenced` and `LeaseExpired`: stop at once. `Rejected` when it has ended.
    pub async fn stopping(&self, claimed: &Claimed, reason: &StopReason) -> Result<StopReason, CommandError> {
        let by = Principal::engine();
        let done = self
            .core
            .command(&by, |draft| stopping(&self.core, draft, claimed, reason));
        let standing = done.await?.answer;
        self.core.live.tell(claimed.run.id, standing.clone());
        Ok(standing)
    }

    /// Ends a run: its outcome and everything that follows from it, in one commit. The same end reported again is
    /// answered as the first time. A failure that follows a stop becomes the stop's own outcome.
    ///
    /// # Errors
    /// `Fenced` and `LeaseExpired`: nothing was written, and the lapse says how it ended. `Rejected` when it ended
    /// otherwise. `Invalid` for `Lost`, which only recovery writes.
    pub async fn finish(
        &self,
        claimed: &Claimed,
        outcome: &Outcome,
        facts: &Facts,
    ) -> Result<Finished, CommandError> {
        if matches!(outcome, Outcome::Lost { .. }) {
            return Err(CommandError::invalid("outcome", "only recovery finds a run lost"));
        }
        let by = Principal::engine();
        let done = self.core.command(&by, |draft| {
            finish::finish(&self.core, draft, claimed, outcome, facts)
        });
        Ok(self.of_living(claimed, done.await).await?.answer)
    }

    /// Parks a run whose worker has gone: it waits for a gate, and nobody holds it. The same again is answered as the
    /// first time. `used` is what its processes used of the wall clock.
    ///
    /// # Errors
    /// `Fenced` and `LeaseExpired`: nothing was written. `Rejected` when it is being stopped, or has ended.
    pub async fn park(
        &self,
        claimed: &Claimed,
        gate: GateId,
        used: Duration,
    ) -> Result<Parked, CommandError> {
        self.park_for(claimed, RunWait::Gate { gate }, used).await
    }

    /// The same of a run that waits for a time, or a gate.
    ///
    /// # Errors
    /// As [`park`](Self::park).
    pub async fn park_for(
        &self,
        claimed: &Claimed,
        wait: RunWait,
        used: Duration,
    ) -> Result<Parked, CommandError> {
        let used_before = claimed.run.used_before.clone();
        let leaving = Leaving {
            clock: used,
            used: used_before,
            alive: 0,
        };
        self.leave(claimed, wait, &leaving).await
    }

    /// The same, with what its processes used of their provider.
    pub(crate) async fn leave(
        &self,
        claimed: &Claimed,
        wait: RunWait,
        leaving: &Leaving,
    ) -> Result<Parked, CommandError> {
        let by = Principal::engine();
        let done = self
            .core
            .command(&by, |draft| park::park(&self.core, draft, claimed, wait, leaving));
        Ok(self.of_living(claimed, done.await).await?.answer)
    }

    /// What a run of a former agent writes is nobody's: its holder is told to stop, not that the run has ended.
    async fn of_living<T>(
        &self,
        claimed: &Claimed,
        done: Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let Err(CommandError::Rejected {
            reason: Reason::End, ..
        }) = &done
        else {
            return done;
        };
        let run = &claimed.run;
        if self.core.living(&run.agent).await? == Some(run.agent_incarnation) {
            return done;
        }
        let subject = run.subject();
        Err(CommandError::Fenced { subject })
    }

    /// A run with its outcome.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub async fn get(&self, id: RunId) -> Result<RunRow, CommandError> {
        let run = get(&self.core, id).await?;
        let outcome = WriteOnce::<OutcomeRow>::new(&self.core.space).get(&id).await?;
        Ok(list::row(&self.core, run, outcome))
    }

    /// The id that is meant by a whole id or its first 8 digits or more.
    ///
    /// # Errors
    /// `InvalidId`; `NotFound` and `Ambiguous` for a short form. A whole id is not looked up.
    pub async fn resolve(&self, given: &str) -> Result<RunId, CommandError> {
        resolve(&Records::<Run>::new(&self.core.space), RunIndex::Id, given).await
    }

    /// One page of runs.
    ///
    /// # Errors
    /// `Invalid` for a limit that is not 1 to 1,000, `CursorScope`.
    pub async fn list(
        &self,
        filter: &RunFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<RunPage, CommandError> {
        list::list(&self.core, filter, after, limit).await
    }
}

async fn stopping(
    core: &Core,
    mut draft: Draft,
    claimed: &Claimed,
    reason: &StopReason,
) -> Result<Verdict<StopReason>, CommandError> {
    let held = check(core, &claimed.guard, LeaseEvent::Write, draft.now()).await?;
    held.stage_check(core, &mut draft);
    match stage_stop(core, &mut draft, claimed.run.id, reason.clone()).await? {
        Some(Stopped { reason, .. }) => Ok(Verdict::Commit(draft, reason)),
        None => {
            let read = get(core, claimed.run.id).await?;
            Ok(Verdict::Nothing(
                read.stop_reason.clone().unwrap_or_else(|| reason.clone()),
            ))
        }
    }
}

/// A run's row.
pub(super) async fn get(core: &Core, id: RunId) -> Result<Versioned<Run>, CommandError> {
    let row = Records::<Run>::new(&core.space).get(&id).await?;
    row.ok_or_else(|| CommandError::not_found("run", &id))
}

/// Stages a run's row, and what the companions say follows from it.
pub(super) async fn stage_run(
    core: &Core,
    draft: &mut Draft,
    before: Option<&Versioned<Run>>,
    after: &Run,
    outcome: Option<&Outcome>,
) -> Result<(), CommandError> {
    let rows = Records::<Run>::new(&core.space);
    match before {
        None => rows.stage_create(draft.batch(), after)?,
        Some(before) => rows.stage_replace(draft.batch(), before, after).await?,
    }
    crate::thread::note_run(draft, after, outcome);
    crate::budget::follow_run(core, draft, before.map(|before| &**before), after).await?;
    if matches!(after.state, RunState::Ended | RunState::Waiting) {
        draft.free(&after.agent);
    }
    if let Some(outcome) = outcome {
        crate::gate::follow_run(core, draft, after, outcome).await?;
    }
    for companion in &core.companions {
        let before = before.map(|before| &**before);
        companion
            .follow(&core.space, draft, before, after, outcome)
            .await?;
    }
    Ok(())
}

pub(super) fn rejected(run: &Run, event: RunEvent, reason: Reason) -> CommandError {
    CommandError::Rejected {
        subject: run.subject(),
        state: run.state.word(),
        event: event.word(),
        reason,
    }
}
