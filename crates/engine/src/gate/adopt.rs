//! The same call asked again, and an equal one of a later attempt: both find the gate that is there.

use dormouse_filesystem::{Digest, IndexValue, Namespace, Query, Records, Tenant, Versioned};

use super::open::Prepared;
use super::{
    Caller, Gate, GateCell, GateError, GateEvent, GateIndex, GateKey, GateKeyIndex, GateStatus, KeyId,
    Opened, OpenedHow, decide,
};
use crate::capability::{Capability, CapabilityEnd, CapabilityState};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::limits::PAGE_MAX;
use crate::run::{Run, RunState};
use crate::{CommandError, GateId, RunId, Subject};

/// What became of the gate that the same call opened before.
pub(super) enum Before {
    /// It, and what it says, is the answer.
    Is(Box<Gate>),
    /// It lost its meaning, and a new one is asked; none when its row is gone.
    Was(Option<GateId>),
}

/// What was approved in another session, or another life of this one, can be used by nobody any more.
pub(super) async fn asked_before(
    core: &Core,
    key: &GateKey,
    wanted: &Prepared<'_>,
) -> Result<Before, CommandError> {
    let Some(gate) = Records::<Gate>::new(&core.space).get(&key.gate).await? else {
        return Ok(Before::Was(None));
    };
    let is_spent = match gate.end.as_ref().map(|end| end.status) {
        // What was said of an account stands for its period.
        Some(GateStatus::Approved) if gate.budget.is_some() => false,
        Some(GateStatus::Approved) => !wanted.is_in_life_of(&gate) || is_spent(core, gate.id).await?,
        _ => false,
    };
    match decide(gate.state(), GateEvent::OpenAgain { is_spent }) {
        GateCell::OpenNew => Ok(Before::Was(Some(gate.id))),
        GateCell::Ignore(_) => Ok(Before::Is(Box::new(gate.into_inner()))),
        cell @ (GateCell::End(_) | GateCell::Refuse(_)) => {
            unreachable!("no cell of opening again is {cell:?}")
        }
    }
}

/// Whether an approval was closed without being known to have done anything.
async fn is_spent(core: &Core, gate: GateId) -> Result<bool, CommandError> {
    let capability = Records::<Capability>::new(&core.space).get(&gate).await?;
    Ok(match capability.map(|capability| capability.state) {
        None => true,
        Some(CapabilityState::Closed { end }) => match end {
            CapabilityEnd::Done | CapabilityEnd::Failed => false,
            CapabilityEnd::Unknown | CapabilityEnd::Revoked | CapabilityEnd::Expired => true,
        },
        Some(
            CapabilityState::Active | CapabilityState::Claimed { .. } | CapabilityState::Dispatching { .. },
        ) => false,
    })
}

/// The same call finds its gate. Where whoever asked before no longer waits, the call is this caller's from now on: no
/// other equal call takes the gate over as long as this one waits.
pub(super) async fn found(
    core: &Core,
    mut draft: Draft,
    key: &Versioned<GateKey>,
    wanted: &Prepared<'_>,
    gate: Gate,
) -> Result<Verdict<Result<Opened, GateError>>, CommandError> {
    let answer = Ok(Opened {
        gate,
        how: OpenedHow::Found,
    });
    let caller = wanted.caller();
    if caller.is_none() || key.caller == caller || waits(core, key.caller, caller).await? {
        return Ok(Verdict::Nothing(answer));
    }
    let mine = GateKey {
        caller,
        op: draft.op(),
        ..GateKey::clone(key)
    };
    Records::<GateKey>::new(&core.space)
        .stage_replace(draft.batch(), key, &mine)
        .await?;
    Ok(Verdict::Commit(draft, answer))
}

/// The key under which this call finds a gate.
pub(super) fn new_key(draft: &Draft, key: KeyId, wanted: &Prepared<'_>, gate: GateId) -> GateKey {
    GateKey {
        key,
        origin: wanted.origin().clone(),
        digest: wanted.digest(),
        gate,
        caller: wanted.caller(),
        is_adopted: false,
        created_at: draft.now(),
        op: draft.op(),
    }
}

/// The gate of an equal call that no longer waits: it is this call's now, under a key of its own.
pub(super) async fn adopted(
    core: &Core,
    draft: &mut Draft,
    key: KeyId,
    wanted: &Prepared<'_>,
) -> Result<Option<Gate>, CommandError> {
    let keys = Records::<GateKey>::new(&core.space);
    for former in keys_of_calls(&core.space, wanted.origin(), wanted.digest()).await? {
        if waits(core, former.caller, wanted.caller()).await? {
            continue;
        }
        let Some(gate) = Records::<Gate>::new(&core.space).get(&former.gate).await? else {
            continue;
        };
        let is_in_life = wanted.is_in_life_of(&gate);
        if gate.digest != wanted.digest() || !is_in_life || !can_adopt(core, &gate).await? {
            continue;
        }
        let left = GateKey {
            is_adopted: true,
            op: draft.op(),
            ..GateKey::clone(&former)
        };
        keys.stage_replace(draft.batch(), &former, &left).await?;
        let mine = new_key(draft, key, wanted, gate.id);
        keys.stage_create(draft.batch(), &mine)?;
        let run = wanted.caller().map(|caller| caller.run);
        draft.tell(&gate.about(), &Change::GateAdopted { run })?;
        return Ok(Some(gate.into_inner()));
    }
    Ok(None)
}

/// Whether it is pending, or approved and not used.
async fn can_adopt(core: &Core, gate: &Gate) -> Result<bool, CommandError> {
    match gate.end.as_ref().map(|end| end.status) {
        None => Ok(true),
        Some(GateStatus::Approved) => {
            let capability = Records::<Capability>::new(&core.space).get(&gate.id).await?;
            Ok(capability.is_some_and(|capability| capability.state == CapabilityState::Active))
        }
        Some(_) => Ok(false),
    }
}

/// Whether whoever made a call still waits for its answer, as seen by a later caller.
async fn waits(core: &Core, former: Option<Caller>, now: Option<Caller>) -> Result<bool, CommandError> {
    let Some(former) = former else { return Ok(true) };
    if let Some(now) = now
        && now.run == former.run
    {
        return Ok(now.spawn <= former.spawn);
    }
    let run = Records::<Run>::new(&core.space).get(&former.run).await?;
    Ok(run.is_some_and(|run| !matches!(run.state, RunState::Waiting | RunState::Ended)))
}

/// The keys under which a gate is found, but those that were left to later calls.
pub(super) async fn keys_of(
    space: &Namespace<Tenant>,
    gate: &Gate,
) -> Result<Vec<Versioned<GateKey>>, CommandError> {
    let mut keys = keys_of_calls(space, &gate.origin, gate.digest).await?;
    keys.retain(|key| key.gate == gate.id);
    Ok(keys)
}

/// All keys that ever led to a gate, but those that lead to another since.
pub(super) async fn all_keys_of(
    space: &Namespace<Tenant>,
    gate: GateId,
) -> Result<Vec<Versioned<GateKey>>, CommandError> {
    let gate = IndexValue::name(&gate.to_string());
    let query = Query::of(GateKeyIndex::Gate).equals([gate]).limit(PAGE_MAX);
    Ok(Records::<GateKey>::new(space).find(&query).await?.rows)
}

/// The keys of equal calls of one origin, the oldest first, but those whose gates were left to later calls.
async fn keys_of_calls(
    space: &Namespace<Tenant>,
    origin: &Subject,
    digest: Digest,
) -> Result<Vec<Versioned<GateKey>>, CommandError> {
    let values = [&origin.id(), &digest.to_string()].map(|value| IndexValue::name(value));
    let query = Query::of(GateKeyIndex::Origin).equals(values).limit(PAGE_MAX);
    Ok(Records::<GateKey>::new(space).find(&query).await?.rows)
}

/// The pending gates that a run waits for: those it opened and nobody took over, and those it took over.
pub(super) async fn awaited_by(core: &Core, run: RunId) -> Result<Vec<Versioned<Gate>>, CommandError> {
    let gates = Records::<Gate>::new(&core.space);
    let run = || [IndexValue::name(&run.to_string())];
    let query = Query::of(GateKeyIndex::Caller).equals(run()).limit(PAGE_MAX);
    let mut awaited = Vec::new();
    for key in Records::<GateKey>::new(&core.space).find(&query).await?.rows {
        awaited.extend(gates.get(&key.gate).await?.filter(|gate| gate.is_pending()));
    }
    let query = Query::of(GateIndex::Run).equals(run()).limit(PAGE_MAX);
    for gate in gates.find(&query).await?.rows {
        if gate.call.is_none() {
            awaited.push(gate);
        }
    }
    Ok(awaited)
}
