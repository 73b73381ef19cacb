//! What the table says of a capability, as a change of its row.

use dormouse_filesystem::{Namespace, Records, Tenant, Versioned};

use super::{
    Capability, CapabilityCell, CapabilityEnd, CapabilityError, CapabilityEvent, CapabilityPhase,
    CapabilityRefused, CapabilityState, Holder, decide,
};
use crate::CommandError;
use crate::draft::{Draft, Verdict};
use crate::event::Change;

/// What staging a change answers.
type Answered = Verdict<Result<Capability, CapabilityError>>;

/// The row of the table that it is in.
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

/// Stages what the table says of an event.
pub(super) async fn staged(
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
    if next.can_expire() {
        draft.note_due(next.expires_at);
    }
    Ok(next)
}
