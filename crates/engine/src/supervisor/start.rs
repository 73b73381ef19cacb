//! The start of a run: its task is claimed, and the run has its owner from then on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use dormouse_state::Lifecycle;
use tokio::sync::{Notify, mpsc, watch};

use super::asks::Asks;
use super::attempt::{Parts, own};
use super::{Books, Live, OnGate, Supervisor};
use crate::gate::Enforcement;
use crate::id::segment;
use crate::run::{ClaimOptions, Claimed, RunState, Slot, StopReason};
use crate::step::StepContext;
use crate::transcript::Transcript;
use crate::{CommandError, PrefixedId, Principal, RunId, SessionId, TaskId, Tenant};

/// Who started a run, and what becomes of it when it asks a person.
struct Starter {
    by: Principal,
    on_gate: OnGate,
}

impl Supervisor {
    /// Claims a ready task and begins to run its command; its worker waits where it asks a person. It goes on whoever
    /// asked, also when this future is dropped. A run of the task that is parked goes on.
    ///
    /// # Errors
    /// As [`Runs::claim`](crate::run::Runs::claim); `Invalid` when the task has no command, `NoApprovalChannel` when
    /// its worker cannot do what the session's mode asks for.
    pub async fn start(&self, tenant: &Tenant, by: &Principal, task: TaskId) -> Result<RunId, CommandError> {
        self.start_with(tenant, by, task, OnGate::Wait).await
    }

    /// As [`start`](Self::start), with what becomes of the run when it asks a person.
    ///
    /// # Errors
    /// The same.
    pub async fn start_with(
        &self,
        tenant: &Tenant,
        by: &Principal,
        task: TaskId,
        on_gate: OnGate,
    ) -> Result<RunId, CommandError> {
        // Who asks for it by name is not held to what the agent runs at once.
        self.start_at(tenant, by, task, on_gate, Slot::Counted).await
    }

    /// The same, with what the claim needs of the agent's places.
    pub(super) async fn start_at(
        &self,
        tenant: &Tenant,
        by: &Principal,
        task: TaskId,
        on_gate: OnGate,
        slot: Slot,
    ) -> Result<RunId, CommandError> {
        let (supervisor, tenant, by) = (self.clone(), tenant.clone(), by.clone());
        // A task of its own: a claim that is committed must not be left without its owner.
        let started = self
            .0
            .owners
            .spawn(async move { supervisor.claim(tenant, by, task, on_gate, slot).await });
        started
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    async fn claim(
        &self,
        tenant: Tenant,
        by: Principal,
        task: TaskId,
        on_gate: OnGate,
        slot: Slot,
    ) -> Result<RunId, CommandError> {
        let row = tenant.tasks.get(task).await?;
        if row.command.is_none() {
            return Err(CommandError::invalid(
                "command",
                "the task has no command line to run",
            ));
        }
        if let Some(state) = tenant.credentials.awaited(&row).await? {
            let agent = row.assignee.clone();
            return Err(CommandError::SecretsLocked { task, agent, state });
        }
        let session = self.session_of(&tenant, row.last_run).await?;
        self.admit(&tenant, session).await?;
        // Before the claim: from there on the run has to have its owner.
        let begun = begun(&tenant, row.last_run).await?;
        let options = ClaimOptions {
            run: None,
            session: Some(session),
            slot,
        };
        let claimed = tenant.runs.claim(&by, task, options).await?;
        let starter = Starter { by, on_gate };
        Ok(self.adopt(tenant, claimed, begun, starter))
    }

    /// Attempts at one task share their session, as long as it has not ended.
    async fn session_of(&self, tenant: &Tenant, last_run: Option<RunId>) -> Result<SessionId, CommandError> {
        if let Some(last) = last_run
            && let Some(session) = tenant.runs.get(last).await?.run.session
            && let Some(row) = tenant.sessions.get(session).await?
            && row.state.lifecycle != Lifecycle::Ended
        {
            return Ok(session);
        }
        let environment = self.0.engine.environment();
        Ok(SessionId::make(environment.clock.now(), &environment.random))
    }

    /// Refuses a worker that cannot do what the mode of its session asks for, before anything of it is there.
    async fn admit(&self, tenant: &Tenant, session: SessionId) -> Result<(), CommandError> {
        let mode = match tenant.sessions.get(session).await? {
            Some(row) => row.state.mode,
            None => tenant.core.sessions.mode,
        };
        // All that is known of a command's calls is what it asks through its endpoint.
        let can = match self.0.endpoints {
            Some(_) => Enforcement::Asks,
            None => Enforcement::None,
        };
        self.0.engine.modes().admit(mode, can)
    }

    /// Gives a claimed run its owner task.
    fn adopt(
        &self,
        tenant: Tenant,
        claimed: Claimed,
        begun: Option<(RunId, Transcript)>,
        starter: Starter,
    ) -> RunId {
        let run = claimed.run.id;
        let transcript = match begun {
            Some((former, transcript)) if former == run => transcript,
            _ => Transcript::new(tenant.space(), &segment(&run.to_string())),
        };
        let (sender, end) = watch::channel(None);
        let options = self.options();
        let (letters, inbox) = mpsc::channel(options.inbox_max.max(1));
        let live = Live {
            transcript: transcript.clone(),
            kill: Arc::new(Notify::new()),
            inbox: letters,
            scrubber: Arc::default(),
            end,
        };
        self.lock().insert(run, live.clone());
        self.0.count.send_modify(|count| *count += 1);
        let claimed = Arc::new(claimed);
        let steps = StepContext::new(&tenant.core, &claimed, &live.scrubber);
        let parts = Parts {
            // One slot, whoever says it.
            block: steps.block_slot().clone(),
            steps,
            tenant,
            claimed,
            options,
            transcript,
            kill: live.kill,
            inbox: Mutex::new(Some(inbox)),
            scrubber: live.scrubber,
            fallback: self.0.engine.scrubber(),
            clock: Arc::clone(&self.0.engine.environment().clock),
            processes: Mutex::default(),
            by: starter.by,
            on_gate: starter.on_gate,
            asks: Asks::new(),
            over_budget: Notify::new(),
            unwritten: Notify::new(),
            endpoints: self.0.endpoints.clone(),
        };
        let books = Books {
            supervisor: self.clone(),
            run,
        };
        self.0.owners.spawn(async move {
            let end = own(parts).await;
            // First: who waited for the end finds the run no longer live.
            drop(books);
            sender.send_replace(Some(end));
        });
        if self.0.is_leaving.load(Ordering::Acquire) {
            self.0.engine.live().tell(run, StopReason::Shutdown);
        }
        run
    }
}

/// What the former processes of a parked run printed.
async fn begun(
    tenant: &Tenant,
    last_run: Option<RunId>,
) -> Result<Option<(RunId, Transcript)>, CommandError> {
    let Some(run) = last_run else { return Ok(None) };
    if tenant.runs.get(run).await?.run.state != RunState::Waiting {
        return Ok(None);
    }
    let segment = segment(&run.to_string());
    Ok(Some((run, Transcript::resumed(tenant.space(), &segment).await?)))
}
