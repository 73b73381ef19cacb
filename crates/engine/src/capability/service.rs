//! The capabilities of a tenant. Each write of a holder carries its lease, so one that was replaced writes nothing.

use std::sync::Arc;

use dormouse_filesystem::{Digest, Records, Versioned};
use dormouse_state::Lifecycle;
use futures::future::try_join;
use jiff::Timestamp;

use super::stage::staged;
use super::{
    Action, Approved, Capability, CapabilityEnd, CapabilityError, CapabilityEvent, CapabilityRefused,
    CapabilityState, Holder,
};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::gate::{Asker, Registered};
use crate::lease::{LeaseEvent, check};
use crate::run::{Claimed, Run};
use crate::session::SessionRow;
use crate::{CommandError, GateId, Principal, Subject};

/// A tenant's capabilities.
#[derive(Debug, Clone)]
pub struct Capabilities {
    core: Arc<Core>,
    rows: Records<Capability>,
}

impl Capabilities {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            rows: Records::new(&core.space),
        }
    }

    /// What the approval of a gate allows.
    ///
    /// # Errors
    /// As any read.
    pub async fn get(&self, gate: GateId) -> Result<Option<Versioned<Capability>>, CommandError> {
        Ok(self.rows.get(&gate).await?)
    }

    /// Turns the approval of a gate into the permission to do this action: the one way to an [`Approved`].
    ///
    /// # Errors
    /// `Unknown` for what is not this run's; `Mismatch` when another call was approved; `Claimed` by another run or by
    /// another [`Approved`] of this one; `Refused` when its effect may be happening; `Closed`; `Fenced`.
    pub async fn redeem<A: Action>(
        &self,
        gate: GateId,
        action: A,
        claimed: &Claimed,
    ) -> Result<Approved<A>, CapabilityError> {
        let digest = action.call().digest(Asker {
            tenant: &self.core.tenant,
            agent: &claimed.run.agent,
            kind: dormouse_state::GateKind::Approval,
        });
        let only = self.claim_alone(gate, digest, claimed).await?;
        Ok(Approved::new(action, gate, self.clone(), only))
    }

    /// Claims a capability for the call of this digest: for calls that a provider makes.
    ///
    /// # Errors
    /// As [`redeem`](Self::redeem).
    pub async fn claim(
        &self,
        gate: GateId,
        digest: Digest,
        claimed: &Claimed,
    ) -> Result<Capability, CapabilityError> {
        let event = |capability: &Capability, holder: Holder| CapabilityEvent::Claim {
            fits: capability.digest == digest,
            is_holder: capability.holder() == Some(holder),
        };
        self.of_holder(gate, claimed, &event, CapabilityEnd::Done).await
    }

    /// Claims a capability for the call of this digest and makes durable that its effect begins, once: whoever comes to it
    /// again is refused, of the same run too.
    ///
    /// # Errors
    /// As [`redeem`](Self::redeem).
    pub(crate) async fn begin_use(
        &self,
        gate: GateId,
        digest: Digest,
        claimed: &Claimed,
    ) -> Result<(), CapabilityError> {
        let _only = self.claim_alone(gate, digest, claimed).await?;
        self.begin_dispatch(gate, claimed).await?;
        Ok(())
    }

    /// Claims what nobody else of this run is at, and keeps it so.
    async fn claim_alone(
        &self,
        gate: GateId,
        digest: Digest,
        claimed: &Claimed,
    ) -> Result<Registered, CapabilityError> {
        let run = claimed.run.id;
        let Some(only) = self.core.gates.redeeming.enter(gate) else {
            return Err(CapabilityError::Claimed { run });
        };
        let capability = self.claim(gate, digest, claimed).await?;
        if matches!(capability.state, CapabilityState::Dispatching { .. }) {
            let reason = CapabilityRefused::UnderWay.word();
            return Err(CapabilityError::Refused { reason });
        }
        Ok(only)
    }

    /// Makes durable that the effect begins: before it does.
    ///
    /// # Errors
    /// `Unknown`, `Refused`, `Closed`, `Fenced`: nothing may be done.
    pub async fn begin_dispatch(
        &self,
        gate: GateId,
        claimed: &Claimed,
    ) -> Result<Capability, CapabilityError> {
        let event = |capability: &Capability, holder: Holder| CapabilityEvent::BeginDispatch {
            is_holder: capability.holder() == Some(holder),
        };
        self.of_holder(gate, claimed, &event, CapabilityEnd::Done).await
    }

    /// Gives it back. After the beginning of the effect only when it is certain that nothing was done.
    ///
    /// # Errors
    /// `Unknown`, `Refused`, `Closed`, `Fenced`.
    pub async fn abort(
        &self,
        gate: GateId,
        claimed: &Claimed,
        is_undone: bool,
    ) -> Result<Capability, CapabilityError> {
        let event = |capability: &Capability, holder: Holder| CapabilityEvent::Abort {
            is_holder: capability.holder() == Some(holder),
            is_undone,
        };
        self.of_holder(gate, claimed, &event, CapabilityEnd::Done).await
    }

    /// Closes it with what came of the effect. The same again is answered as the first time.
    ///
    /// # Errors
    /// `Unknown`, `Refused`, `Closed`, `Fenced`.
    pub async fn finish(
        &self,
        gate: GateId,
        claimed: &Claimed,
        end: CapabilityEnd,
    ) -> Result<Capability, CapabilityError> {
        if matches!(end, CapabilityEnd::Revoked | CapabilityEnd::Expired) {
            return Err(CommandError::invalid("end", "a use ends done, failed or unknown").into());
        }
        let event = |capability: &Capability, holder: Holder| CapabilityEvent::Finish {
            is_holder: capability.holder() == Some(holder)
                || capability.state == CapabilityState::Closed { end },
        };
        self.of_holder(gate, claimed, &event, end).await
    }

    /// Takes it back. Whether it was there to be taken.
    ///
    /// # Errors
    /// `Unknown`; `Refused` when its effect may be happening.
    pub async fn revoke(&self, by: &Principal, gate: GateId) -> Result<Capability, CapabilityError> {
        let done = self.core.command(by, |draft| async move {
            let Some(read) = self.rows.get(&gate).await? else {
                return Ok(Verdict::Nothing(Err(CapabilityError::Unknown { gate })));
            };
            staged(&self.core.space, draft, &read, CapabilityEvent::Revoke, None).await
        });
        done.await?.answer
    }

    /// Closes it when its time is up. Whether it was closed by this.
    pub(crate) async fn expire(&self, gate: GateId) -> Result<bool, CommandError> {
        let by = Principal::engine();
        let done = self.core.command(&by, |draft| async move {
            let Some(read) = self.rows.get(&gate).await? else {
                return Ok(Verdict::Nothing(Err(CapabilityError::Unknown { gate })));
            };
            let is_due = read.is_due(draft.now());
            staged(
                &self.core.space,
                draft,
                &read,
                CapabilityEvent::Expire { is_due },
                None,
            )
            .await
        });
        Ok(done.await?.version.is_some())
    }

    /// Stages what the table says of an event of the run that holds it, or wants to.
    async fn of_holder(
        &self,
        gate: GateId,
        claimed: &Claimed,
        event: &(dyn Fn(&Capability, Holder) -> CapabilityEvent + Sync),
        end: CapabilityEnd,
    ) -> Result<Capability, CapabilityError> {
        let by = Principal::engine();
        let holder = Holder {
            run: claimed.run.id,
            lease: claimed.guard.id(),
        };
        let done = self.core.command(&by, |mut draft| async move {
            let held = check(&self.core, &claimed.guard, LeaseEvent::Write, draft.now());
            let (held, read) = try_join(held, self.get(gate)).await?;
            held.stage_check(&self.core, &mut draft);
            let Some(read) = read.filter(|read| is_for(read, &claimed.run)) else {
                return Ok(Verdict::Nothing(Err(CapabilityError::Unknown { gate })));
            };
            let event = event(&read, holder);
            if begins(&read, event) && !self.expect_life(&mut draft, &read).await? {
                return Ok(Verdict::Nothing(Err(CapabilityError::Unknown { gate })));
            }
            if matches!(event, CapabilityEvent::Claim { .. }) && is_over(&read, draft.now()) {
                let event = CapabilityEvent::Expire { is_due: true };
                return match staged(&self.core.space, draft, &read, event, None).await? {
                    Verdict::Commit(mut draft, _) => {
                        draft.refuse();
                        let state = "expired";
                        Ok(Verdict::Commit(draft, Err(CapabilityError::Closed { state })))
                    }
                    nothing @ Verdict::Nothing(_) => Ok(nothing),
                };
            }
            staged(&self.core.space, draft, &read, event, Some((holder, end))).await
        });
        done.await?.answer
    }

    /// Whether the session that it is for is in the life in which it was approved, and has not ended: so it is still when
    /// the draft is committed.
    async fn expect_life(&self, draft: &mut Draft, capability: &Capability) -> Result<bool, CommandError> {
        let Some(turn) = capability.session else {
            return Ok(true);
        };
        let rows = Records::<SessionRow>::new(&self.core.space);
        let Some(row) = rows.get(&turn.session).await? else {
            return Ok(false);
        };
        rows.stage_check(draft.batch(), &row);
        Ok(row.state.incarnation == turn.incarnation && row.state.lifecycle != Lifecycle::Ended)
    }
}

/// Whether something begins under the approval: then the life in which it was given must go on. A claimed one is asked
/// again, since minutes may lie between its claim and its effect; what only repeats a beginning begins nothing.
fn begins(capability: &Capability, event: CapabilityEvent) -> bool {
    match event {
        CapabilityEvent::Claim { .. } => true,
        CapabilityEvent::BeginDispatch { .. } => matches!(capability.state, CapabilityState::Claimed { .. }),
        CapabilityEvent::Abort { .. }
        | CapabilityEvent::Finish { .. }
        | CapabilityEvent::Revoke
        | CapabilityEvent::Expire { .. }
        | CapabilityEvent::HolderGone => false,
    }
}

/// Whether its time is up and it was not used: the claim that finds it so writes its end.
fn is_over(capability: &Capability, now: Timestamp) -> bool {
    capability.state == CapabilityState::Active && capability.is_due(now)
}

/// Whether a capability is this run's to use: anything else is as if there were none.
fn is_for(capability: &Capability, run: &Run) -> bool {
    let origin = run.task.map_or(Subject::Run(run.id), Subject::Task);
    capability.agent == run.agent
        && capability.agent_incarnation == run.agent_incarnation
        && capability
            .session
            .is_none_or(|turn| run.session == Some(turn.session))
        && (capability.origin == origin || capability.origin == Subject::Run(run.id))
}
