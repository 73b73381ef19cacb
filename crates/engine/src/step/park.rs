//! Steps that park the run: until a time, or until a person has decided. The attempt is left where it stands, and its next
//! process begins at the top and finds what it waited for.

use dormouse_state::{Evidence, Position, SourceId};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::begin::Began;
use super::context::canonical;
use super::within::may_park;
use super::{Effect, Leave, StepContext, StepError, StepName, StepPlace, StepReport};
use crate::gate::{Asker, Caller, Gate, Gates, NewGate, SeenIn};
use crate::run::RunWait;
use crate::session::SessionService;
use crate::{GateId, Principal, PrincipalKind};

/// The source of a session in which the gates of steps are seen.
const SOURCE: &str = "steps";

impl StepContext {
    /// Waits until this time, without being held: the run is parked, and the task due then. The time that counts is the one
    /// of the first call.
    ///
    /// # Errors
    /// As [`step`](Self::step); `WithinStep` where the closure of an external step calls it.
    pub async fn sleep_until(&self, name: &str, until: Timestamp) -> Result<(), StepError> {
        let name: StepName = name.parse()?;
        let until: Timestamp = match self.asked(&name, &json!("sleep_until")).await? {
            Began::Kept(running, kept) => {
                let json = running.told(kept).await;
                read(name, json)?
            }
            Began::Run(running) => {
                let kept = StepReport::Result(json!(until));
                read(name, self.hand.conclude(running, kept).await)?
            }
        };
        if self.hand.core.environment.clock.now() < until {
            return self.parks(RunWait::Until { until }).await;
        }
        Ok(())
    }

    /// Asks a person, without being held while they think: the run is parked until the gate is decided, expired or lost its
    /// meaning, and then this returns it. In every attempt it is the same gate.
    ///
    /// An approval is a capability for exactly the call asked about: redeem it with
    /// [`Capabilities::redeem`](crate::capability::Capabilities::redeem).
    ///
    /// # Errors
    /// As [`step`](Self::step); `Gate` when it cannot be opened; `WithinStep` where the closure of an external step calls it.
    pub async fn gate(&self, name: &str, new: &NewGate) -> Result<Gate, StepError> {
        let digest = new.call.digest(Asker {
            tenant: &self.hand.core.tenant,
            agent: &self.hand.claimed.run.agent,
            kind: new.kind,
        });
        let input = json!({ "gate": digest.to_string(), "summary": new.summary });
        let name: StepName = name.parse()?;
        let id: GateId = match self.asked(&name, &input).await? {
            Began::Kept(running, kept) => {
                let json = running.told(kept).await;
                read(name, json)?
            }
            Began::Run(running) => {
                let gate = self.opened(running.key().as_str(), new).await?;
                let kept = StepReport::Result(json!(gate.id));
                read(name, self.hand.conclude(running, kept).await)?
            }
        };
        let gate = Gates::new(&self.hand.core).get(id).await?;
        if gate.is_pending() && gate.blocking {
            return self.parks(RunWait::Gate { gate: id }).await;
        }
        Ok(gate.into_inner())
    }

    /// Begins a step of the engine's own. Where it fails in the middle nothing of it is kept.
    async fn asked(&self, name: &StepName, input: &serde_json::Value) -> Result<Began, StepError> {
        may_park(name)?;
        let input = canonical(name, input)?;
        let place = StepPlace::Ordinal(self.hand.books.next(name));
        self.begin(name, place, &input, Effect::Idempotent).await
    }

    async fn opened(&self, key: &str, new: &NewGate) -> Result<Gate, StepError> {
        let (core, run) = (&self.hand.core, &self.hand.claimed.run);
        let session = match run.session {
            Some(session) => Some(SeenIn {
                session,
                incarnation: SessionService::new(core)
                    .require(session)
                    .await?
                    .state
                    .incarnation,
                source: SourceId::new(SOURCE),
                position: Position {
                    spawn: run.spawn,
                    seq: self.hand.books.next_gate(),
                },
                evidence: Evidence::Formal,
            }),
            None => None,
        };
        let new = NewGate {
            agent: run.agent.clone(),
            task: run.task,
            caller: Some(Caller {
                run: run.id,
                spawn: run.spawn,
            }),
            session,
            call_id: Some(format!("step/{key}")),
            ..new.clone()
        };
        let by = Principal {
            kind: PrincipalKind::Run,
            name: run.id.to_string(),
            channel: crate::Channel::Mcp,
        };
        let scrubber = self.hand.scrubber().await?;
        Ok(Gates::new(core).open(&by, &new, &scrubber).await?.gate)
    }

    /// Leaves the attempt: this never returns.
    async fn parks<T>(&self, wait: RunWait) -> T {
        self.hand.books.leave(Leave::Park(wait));
        std::future::pending().await
    }
}

/// What is kept of a step of the engine's own.
fn read<T: DeserializeOwned>(name: StepName, json: Result<String, StepError>) -> Result<T, StepError> {
    serde_json::from_str(&json?).map_err(|source| StepError::Unreadable { name, source })
}
