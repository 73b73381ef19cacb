//! A run's way to people: what its worker asks through the run's own endpoint becomes a gate.
//!
//! The endpoint itself, a socket with a protocol on it, is made by whoever embeds the supervisor ([`Endpoints`](super::Endpoints)). It
//! is handed an [`Asking`], which asks in the name of this run and of no other, and decides nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::Digest;
use dormouse_secrets::Scrubbed;
use dormouse_state::{Evidence, GateKind, Mode, Position, SourceId};
use tokio::time::sleep;

use super::attempt::Parts;
use super::heart::is_renewed;
use super::{OnGate, Question};
use crate::capability::{CapabilityError, CapabilityState};
use crate::clock::until;
use crate::gate::{
    Asked, Asker, Caller, Canonical, Choice, Decide, Gate, GateError, GateStatus, NewGate, Opened, OpenedHow,
    Reply, RuleEffect, Scope, SeenIn,
};
use crate::limits::{DUE_LOOK, DUE_RETRY};
use crate::outcome::Outcome;
use crate::step::{Begun, Effect, StepError, StepReport, Ticket};
use crate::{
    AgentName, Channel, CommandError, GateId, Incarnation, Principal, PrincipalKind, Subject, Tenant,
};

/// Tries of one question whose place in its source was overtaken by another's.
const PLACES_MAX: u32 = 64;
/// Equal questions of former attempts that are passed over.
const EQUALS_MAX: u32 = 1000;
/// The source of a session in which the questions of a run's endpoint are seen.
const SOURCE: &str = "endpoint";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The gate was not opened, or cannot be awaited.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// It was approved, and the approval cannot be used.
    #[error(transparent)]
    Capability(#[from] CapabilityError),
    /// The run would park, and an external step of it is in the middle of its effect. Nobody was asked.
    #[error("the run parks to be decided about, and an external step of it is in the middle of its effect")]
    WithinStep,
}

impl From<CommandError> for AskError {
    fn from(error: CommandError) -> Self {
        Self::Gate(error.into())
    }
}

/// Asks in the name of one live run. Cloning is cheap.
#[derive(Clone)]
pub struct Asking(Arc<Parts>);

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asking({})", self.0.claimed.run.id)
    }
}

impl Asking {
    pub(super) fn new(parts: &Arc<Parts>) -> Self {
        Self(Arc::clone(parts))
    }

    /// The run in whose name it asks.
    #[must_use]
    pub fn run(&self) -> crate::RunId {
        self.0.claimed.run.id
    }

    /// Asks, where the session's mode says that a person is asked: the gate is durable when this returns, pending, or
    /// decided where the same question was asked before.
    ///
    /// # Errors
    /// As [`Gates::open`](crate::gate::Gates::open); `WithinStep` where the run would park in the middle of an external step.
    pub async fn ask(&self, question: &Question) -> Result<Asked, AskError> {
        let Some(key) = &question.key else {
            return self.counted(question).await;
        };
        match self.open(question, format!("key/{key}")).await? {
            Asked::Person(opened) => self.awaited(*opened).await,
            unasked @ (Asked::Allowed | Asked::Denied { .. }) => Ok(unasked),
        }
    }

    /// Begins a durable step of the run, or answers with its stored result. It is ended by
    /// [`end_step`](Self::end_step), or given up by [`abandon_step`](Self::abandon_step); while the run is being ended this
    /// never returns.
    ///
    /// # Errors
    /// [`StepError`]: nothing is to be done.
    pub async fn begin_step(
        &self,
        name: &str,
        key: Option<&str>,
        input: &Canonical,
        effect: Effect,
    ) -> Result<Begun, StepError> {
        if self.0.asks.is_parking() {
            return std::future::pending().await;
        }
        self.0.steps.begin_half(name, key, input, effect).await
    }

    /// Says that whoever began a step is gone, so that nobody ends it: its call is over. Called again, an external step ends
    /// the run as a lapse would; any other is done again. Nothing happens for a ticket that was used.
    pub fn abandon_step(&self, ticket: Ticket) {
        self.0.steps.abandon_half(ticket);
    }

    /// Ends a step with what came of it, and answers with the result as it is stored.
    ///
    /// # Errors
    /// [`StepError`]: what is remembered of it, if anything. `NotFound` for a ticket that was used.
    pub async fn end_step(&self, ticket: Ticket, end: StepReport) -> Result<String, StepError> {
        self.0.steps.end_half(ticket, end).await
    }

    /// Does about an open gate what the run does about gates.
    async fn awaited(&self, opened: Opened) -> Result<Asked, AskError> {
        Ok(Asked::Person(Box::new(Opened {
            gate: self.settled(opened.gate).await?,
            how: opened.how,
        })))
    }

    /// Asks the next question of its digest, behind those that former attempts asked and were told no. Its number is
    /// taken by who was asked, and heard so: after any error the same is asked again under the same one.
    async fn counted(&self, question: &Question) -> Result<Asked, AskError> {
        let digest = self.digest(question);
        for _ in 0..EQUALS_MAX {
            let count = self.0.asks.count(digest);
            match self.numbered(question, count).await {
                Ok(None) => {}
                Ok(Some(asked @ Asked::Person(_))) => return Ok(asked),
                Ok(Some(unasked @ (Asked::Allowed | Asked::Denied { .. }))) => {
                    self.0.asks.uncount(digest, count);
                    return Ok(unasked);
                }
                Err(error) => {
                    self.0.asks.uncount(digest, count);
                    return Err(error);
                }
            }
        }
        let limit = "gates.equal_max";
        Err(GateError::Full { limit }.into())
    }

    /// Asks under this number; none when a former attempt's question has it, which is over.
    async fn numbered(&self, question: &Question, count: u32) -> Result<Option<Asked>, AskError> {
        match self.open(question, format!("count/{count}")).await? {
            Asked::Person(opened) if self.is_over(&opened).await? => Ok(None),
            Asked::Person(opened) => self.awaited(*opened).await.map(Some),
            unasked @ (Asked::Allowed | Asked::Denied { .. }) => Ok(Some(unasked)),
        }
    }

    /// What an approval of this question is for.
    fn digest(&self, question: &Question) -> Digest {
        question.call().digest(Asker {
            tenant: &self.0.tenant.core.tenant,
            agent: &self.0.claimed.run.agent,
            kind: question.kind,
        })
    }

    /// Whether a gate was the question of a former attempt, which ended with its answer: an attempt after that asks
    /// anew. One that was lost has not heard it, and its answer stands.
    async fn is_over(&self, opened: &Opened) -> Result<bool, CommandError> {
        let (Some(end), Some(caller)) = (&opened.gate.end, opened.gate.caller) else {
            return Ok(false);
        };
        if opened.how != OpenedHow::Found || caller.run == self.run() {
            return Ok(false);
        }
        // What was decided in a session that has ended since is for nobody any more.
        if opened.gate.session.map(|turn| turn.session) != self.0.claimed.run.session {
            return Ok(true);
        }
        match end.status {
            GateStatus::Rejected | GateStatus::Expired => {
                let row = self.0.tenant.runs.get(caller.run).await?;
                let outcome = row.outcome.as_ref().map(|row| &row.outcome);
                Ok(outcome.is_some_and(|outcome| !matches!(outcome, Outcome::Lost { .. })))
            }
            GateStatus::Approved => {
                let capability = self.0.tenant.capabilities.get(opened.gate.id).await?;
                Ok(capability.is_some_and(|row| matches!(row.state, CapabilityState::Closed { .. })))
            }
            GateStatus::Answered | GateStatus::Invalidated | GateStatus::Discarded => Ok(false),
        }
    }

    async fn open(&self, question: &Question, call: String) -> Result<Asked, AskError> {
        let (parts, by) = (&self.0, self.principal());
        let gates = &parts.tenant.gates;
        for _ in 0..PLACES_MAX {
            let mode = self.mode().await?;
            let new = self.new_gate(question, call.clone()).await?;
            let effect = parts.tenant.core.gate_options.modes.of(mode, &new);
            if effect == RuleEffect::Ask && new.blocking {
                self.may_park()?;
            }
            match gates.ask(&by, mode, &new, parts.scrubber()).await {
                // Another question of the run was written behind this one's place: it goes behind that.
                Err(GateError::Rejected {
                    reason: "duplicate", ..
                }) => {}
                opened => return Ok(opened?),
            }
        }
        Err(CommandError::Contended { attempts: PLACES_MAX }.into())
    }

    /// That the run may park, if that is what it does: an external step is not left in the middle of its effect.
    pub(super) fn may_park(&self) -> Result<(), AskError> {
        if self.0.on_gate == OnGate::Park && self.0.steps.is_in_effect() {
            return Err(AskError::WithinStep);
        }
        Ok(())
    }

    /// The rule that calls of this run are made under at the moment.
    async fn mode(&self) -> Result<Mode, CommandError> {
        let tenant = &self.0.tenant;
        match self.0.claimed.run.session {
            Some(session) => Ok(tenant.sessions.require(session).await?.state.mode),
            None => Ok(tenant.core.sessions.mode),
        }
    }

    async fn new_gate(&self, question: &Question, call: String) -> Result<NewGate, CommandError> {
        let run = &self.0.claimed.run;
        let summary = question.summary.as_ref().unwrap_or(&question.action).clone();
        let session = match run.session {
            Some(session) => Some(SeenIn {
                session,
                incarnation: self.0.tenant.sessions.require(session).await?.state.incarnation,
                source: SourceId::new(SOURCE),
                position: Position {
                    spawn: run.spawn,
                    seq: self.0.asks.next_place(),
                },
                evidence: Evidence::Formal,
            }),
            None => None,
        };
        Ok(NewGate {
            task: run.task,
            caller: Some(Caller {
                run: run.id,
                spawn: run.spawn,
            }),
            session,
            call_id: Some(call),
            kind: question.kind,
            blocking: question.kind != GateKind::Notification,
            reply: if question.takes_edits {
                Reply::Mcp
            } else {
                Reply::Script
            },
            detail: question.detail.clone(),
            options: question.options.clone(),
            several: question.several,
            default_no: question.default_no,
            timeout: question.timeout,
            on_timeout: self.0.tenant.core.gate_options.on_timeout,
            ..NewGate::approval(run.agent.clone(), question.call(), summary)
        })
    }

    /// What the run does about a gate that waits.
    async fn settled(&self, gate: Gate) -> Result<Gate, AskError> {
        if !gate.is_pending() || !gate.blocking {
            return Ok(gate);
        }
        match self.0.on_gate {
            OnGate::Wait => {}
            OnGate::Park => self.0.asks.park(gate.id),
            OnGate::Reject => return self.rejected(gate).await,
        }
        Ok(gate)
    }

    /// Rejected by whoever started the run and said so; by the engine if they may not decide, since nobody is to wait. If
    /// somebody was earlier, it is as it is.
    async fn rejected(&self, gate: Gate) -> Result<Gate, AskError> {
        let gates = &self.0.tenant.gates;
        let row = gates.get(gate.id).await?;
        let decide = Decide {
            gate: gate.id,
            choice: Choice::Reject,
            shown_version: row.version(),
            shown_digest: row.digest,
            scope: Scope::Once,
            comment: Some(rejects()),
        };
        match gates.decide(&self.0.by, &decide).await {
            Ok(gate) => Ok(gate),
            Err(GateError::Command(error)) => Err(error.into()),
            Err(_) => {
                gates.reject(gate.id, rejects()).await?;
                Ok(gates.get(gate.id).await?.into_inner())
            }
        }
    }

    /// Waits for the answer to this question of this run. An approval is used by this, once: it is durable that the action
    /// begins before it is told, and it is told to nobody else, also when that answer is lost. While the run is being
    /// parked nothing is answered, so that nothing begins under the signal to leave. Dropping the future decides nothing.
    ///
    /// # Errors
    /// `UnknownGate` for another's; `Mismatch` when the gate asks about another call than this; `AlreadyAwaited`; what an
    /// approval that is being used, or was, says.
    pub async fn answer(&self, id: GateId, question: &Question) -> Result<Gate, AskError> {
        let parts = &self.0;
        let gate = parts.tenant.gates.get(id).await?.into_inner();
        let run = &parts.claimed.run;
        let origin = run.task.map_or(Subject::Run(run.id), Subject::Task);
        if gate.origin != origin || gate.agent_incarnation != run.agent_incarnation {
            return Err(GateError::UnknownGate { gate: id }.into());
        }
        if gate.digest != self.digest(question) {
            return Err(CapabilityError::Mismatch.into());
        }
        let awaited = parts.asks.enter();
        let gate = self.decided(gate).await?;
        if parts.asks.is_parking() {
            return std::future::pending().await;
        }
        drop(awaited);
        let is_approved = gate
            .end
            .as_ref()
            .is_some_and(|end| end.status == GateStatus::Approved);
        if is_approved && gate.kind == GateKind::Approval {
            self.begin_use(&gate).await?;
        }
        Ok(gate)
    }

    /// Makes it durable that the action begins. A lease whose time was up is renewed first where that can be.
    async fn begin_use(&self, gate: &Gate) -> Result<(), CapabilityError> {
        let (capabilities, claimed) = (&self.0.tenant.capabilities, &self.0.claimed);
        let begin = || capabilities.begin_use(gate.id, gate.granted_digest(), claimed);
        match begin().await {
            Err(CapabilityError::Command(CommandError::LeaseExpired { .. })) if is_renewed(&self.0).await => {
                begin().await
            }
            begun => begun,
        }
    }

    /// The place of who waits is kept from the beginning to the end.
    async fn decided(&self, gate: Gate) -> Result<Gate, GateError> {
        let gates = &self.0.tenant.gates;
        let mut decided = std::pin::pin!(gates.wait(gate.id));
        // Ends with the decision, or with the expiry that is one.
        loop {
            let due = async {
                match gate.expires_at {
                    Some(at) => sleep(look_in(at, self.0.clock.now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                decided = &mut decided => return decided,
                () = due => match gates.expire(gate.id).await {
                    Ok(true) => return Ok(gates.get(gate.id).await?.into_inner()),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(gate = %gate.id, %error, "an expiry was not written; it is tried again");
                        sleep(DUE_RETRY).await;
                    }
                }
            }
        }
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.0
    }

    /// The agent that works.
    pub(super) fn agent(&self) -> (&AgentName, Incarnation) {
        let run = &self.0.claimed.run;
        (&run.agent, run.agent_incarnation)
    }

    /// Whose run it is.
    pub(super) fn tenant(&self) -> &Tenant {
        &self.0.tenant
    }

    pub(super) fn principal(&self) -> Principal {
        Principal {
            kind: PrincipalKind::Run,
            name: self.run().to_string(),
            channel: Channel::Mcp,
        }
    }
}

/// What is said of a gate that nobody may wait for.
pub(super) fn rejects() -> Scrubbed {
    Scrubbed::constant("the run rejects every gate")
}

/// How long it is until then, a little more than nothing where that is over; and not for long, since a machine that
/// sleeps has timers that stand.
fn look_in(at: jiff::Timestamp, now: jiff::Timestamp) -> Duration {
    const LEAST: Duration = Duration::from_millis(10);
    until(at, now).clamp(LEAST, DUE_LOOK)
}
