//! The capabilities of a tenant. Each write of a holder carries its lease, so one that was replaced writes nothing.

use std::sync::Arc;

use dormouse_filesystem::{
    Digest, IndexValue, Namespace, Owned, Query, Records, SystemIndex, Tenant, Versioned,
};
use jiff::Timestamp;

use super::{
    Action, Approved, Capability, CapabilityCell, CapabilityEnd, CapabilityEvent, CapabilityIndex,
    CapabilityPhase, CapabilityRefused, CapabilityState, Holder, decide,
};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::engine::Engine;
use crate::event::Change;
use crate::gate::{Asker, Registered};
use crate::lease::{LeaseEvent, check};
use crate::limits::PAGE_MAX;
use crate::run::{Claimed, Run};
use crate::session::SessionRow;
use crate::{CommandError, GateId, Principal, RunId, Subject, TenantId};

/// What capabilities answer when they do not do what was asked. The capability is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CapabilityError {
    /// There is none, or none to be seen by this run. Ask.
    #[error("there is no capability {gate}")]
    Unknown {
        /// The gate.
        gate: GateId,
    },
    /// It is for another call. Ask for this one.
    #[error("the approval is for another call")]
    Mismatch,
    /// Another run is at it.
    #[error("the approval is being used by {run}")]
    Claimed {
        /// Which.
        run: RunId,
    },
    /// It cannot be used any more. Ask again.
    #[error("the approval is {state}")]
    Closed {
        /// The word of how it ended.
        state: &'static str,
    },
    /// The run does not hold it, its effect has not begun, or it may be happening.
    #[error("the approval does not allow it: {reason}")]
    Refused {
        /// The word of the table.
        reason: &'static str,
    },
    /// As any command; `Fenced` and `LeaseExpired` tell the run to stop at once.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// A tenant's capabilities.
#[derive(Debug, Clone)]
pub struct Capabilities {
    core: Arc<Core>,
    rows: Records<Capability>,
}

type Answered = Verdict<Result<Capability, CapabilityError>>;

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
    pub(super) async fn expire(&self, gate: GateId) -> Result<bool, CommandError> {
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
            let held = check(&self.core, &claimed.guard, LeaseEvent::Write, draft.now()).await?;
            held.stage_check(&self.core, &mut draft);
            let read = self.rows.get(&gate).await?;
            let Some(read) = read.filter(|read| is_for(read, &claimed.run)) else {
                return Ok(Verdict::Nothing(Err(CapabilityError::Unknown { gate })));
            };
            let event = event(&read, holder);
            if matches!(event, CapabilityEvent::Claim { .. }) && !self.is_same_life(&read).await? {
                return Ok(Verdict::Nothing(Err(CapabilityError::Unknown { gate })));
            }
            if matches!(event, CapabilityEvent::Claim { .. }) && is_over(&read, draft.now()) {
                let event = CapabilityEvent::Expire { is_due: true };
                return match staged(&self.core.space, draft, &read, event, None).await? {
                    Verdict::Commit(draft, _) => {
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

    /// Whether the session that it is for is in the life in which it was approved.
    async fn is_same_life(&self, capability: &Capability) -> Result<bool, CommandError> {
        let Some(turn) = capability.session else {
            return Ok(true);
        };
        let row = Records::<SessionRow>::new(&self.core.space)
            .get(&turn.session)
            .await?;
        Ok(row.is_some_and(|row| row.state.incarnation == turn.incarnation))
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

pub(super) fn phase(state: CapabilityState) -> CapabilityPhase {
    match state {
        CapabilityState::Active => CapabilityPhase::Active,
        CapabilityState::Claimed { .. } => CapabilityPhase::Claimed,
        CapabilityState::Dispatching { .. } => CapabilityPhase::Dispatching,
        CapabilityState::Closed { end } => match end {
            CapabilityEnd::Done | CapabilityEnd::Failed | CapabilityEnd::Unknown => CapabilityPhase::Consumed,
            CapabilityEnd::Revoked => CapabilityPhase::Revoked,
            CapabilityEnd::Expired => CapabilityPhase::Expired,
        },
    }
}

/// Stages what the table says.
async fn staged(
    space: &Namespace<Tenant>,
    mut draft: Draft,
    read: &Versioned<Capability>,
    event: CapabilityEvent,
    holder: Option<(Holder, CapabilityEnd)>,
) -> Result<Answered, CommandError> {
    match moved(read, event, holder) {
        Ok(Some(state)) => {
            let next = Capability {
                state,
                ..Capability::clone(read)
            };
            let capability = stage(space, &mut draft, read, next).await?;
            Ok(Verdict::Commit(draft, Ok(capability)))
        }
        Ok(None) => Ok(Verdict::Nothing(Ok(Capability::clone(read)))),
        Err(refused) => Ok(Verdict::Nothing(Err(refused))),
    }
}

/// The state the table leads to; none when nothing changes.
pub(super) fn moved(
    read: &Capability,
    event: CapabilityEvent,
    holder: Option<(Holder, CapabilityEnd)>,
) -> Result<Option<CapabilityState>, CapabilityError> {
    let by = || holder.expect("only a holder claims and dispatches").0;
    let closed = |end| Ok(Some(CapabilityState::Closed { end }));
    match decide(phase(read.state), event) {
        CapabilityCell::Active => Ok(Some(CapabilityState::Active)),
        CapabilityCell::Claimed => Ok(Some(CapabilityState::Claimed { by: by() })),
        CapabilityCell::Dispatching => Ok(Some(CapabilityState::Dispatching { by: by() })),
        CapabilityCell::Consumed => closed(holder.expect("only a holder finishes").1),
        CapabilityCell::ConsumedUnknown => closed(CapabilityEnd::Unknown),
        CapabilityCell::Revoked => closed(CapabilityEnd::Revoked),
        CapabilityCell::Expired => closed(CapabilityEnd::Expired),
        CapabilityCell::Ignore(_) => Ok(None),
        CapabilityCell::Refuse(why) => Err(refused(read, why)),
    }
}

fn refused(read: &Capability, why: CapabilityRefused) -> CapabilityError {
    match (why, read.holder()) {
        (CapabilityRefused::Mismatch, _) => CapabilityError::Mismatch,
        (CapabilityRefused::Claimed, Some(Holder { run, .. })) => CapabilityError::Claimed { run },
        (CapabilityRefused::Closed, _) => CapabilityError::Closed {
            state: phase(read.state).word(),
        },
        (why, _) => CapabilityError::Refused { reason: why.word() },
    }
}

/// Stages the row as it is next.
pub(super) async fn stage(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    read: &Versioned<Capability>,
    next: Capability,
) -> Result<Capability, CommandError> {
    let mut next = Capability {
        updated_at: draft.now(),
        op: draft.op(),
        ..next
    };
    if matches!(next.state, CapabilityState::Closed { .. }) {
        next.stands_since = None;
    }
    Records::new(space)
        .stage_replace(draft.batch(), read, &next)
        .await?;
    if let CapabilityState::Closed { end } = next.state {
        draft.tell(&next.about(), &Change::CapabilityClosed { end })?;
    }
    Ok(next)
}

/// Closes the capabilities whose time is up, of all tenants: a commit each. How many there were.
pub(crate) async fn expire_due(engine: &Engine, now: Timestamp) -> Result<usize, CommandError> {
    let rows = SystemIndex::<Capability>::new(engine.system());
    let until = now
        .checked_add(jiff::SignedDuration::from_nanos(1))
        .unwrap_or(now);
    let (mut ended, mut after) = (0, None);
    // Ends with the last page of what is due.
    loop {
        let query = Query::of(CapabilityIndex::Due)
            .range(None, Some(IndexValue::instant(until)))
            .after(after)
            .limit(PAGE_MAX);
        let page = rows.find(&query).await?;
        for Owned { owner, id } in page.rows {
            let Some(Ok(tenant)) = owner.first().map(|name| name.as_str().parse::<TenantId>()) else {
                continue;
            };
            match engine.handle(&tenant).capabilities.expire(id).await {
                Ok(was_ended) => ended += usize::from(was_ended),
                Err(error) => tracing::warn!(%tenant, gate = %id, %error, "a capability did not expire"),
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(ended);
        }
    }
}
