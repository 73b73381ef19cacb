//! The same call asked again, and an equal one of a later attempt: both find the gate that is there.

use dormouse_filesystem::{Ahead, IndexValue, Namespace, Query, Records, Tenant, Versioned};

use super::open::Prepared;
use super::{
    Caller, Gate, GateCell, GateError, GateEvent, GateIndex, GateKey, GateKeyIndex, GateStatus, KeyId,
    Opened, OpenedHow, decide,
};
use crate::capability::{Capability, CapabilityEnd, CapabilityIndex, CapabilityState};
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::limits::PAGE_MAX;
use crate::run::{Run, RunState};
use crate::{CommandError, GateId};

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
    if gate.budget.is_some() && !gate.is_pending() && !crate::budget::stands(core, &gate).await? {
        return Ok(Before::Was(Some(gate.id)));
    }
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

/// A gate that can still be decided or used, and the key under which its call finds it.
#[derive(Debug)]
pub(super) struct Usable {
    key: Versioned<GateKey>,
    gate: Versioned<Gate>,
}

/// The gates of equal calls that are pending, or approved and not used, the oldest call first. What ended otherwise is not
/// looked at, however much there is of it.
pub(super) async fn usable(core: &Core, wanted: &Prepared<'_>) -> Result<Vec<Usable>, CommandError> {
    let gates = usable_gates(core, wanted).await?;
    let keys = keys_of(&core.space, &gates).await?;
    let usable = keys.into_iter().zip(gates);
    let usable = usable.filter_map(|(key, gate)| Some(Usable { key: key?, gate }));
    let mut usable: Vec<Usable> = usable.collect();
    usable.sort_by_key(|usable| usable.key.created_at);
    Ok(usable)
}

async fn usable_gates(core: &Core, wanted: &Prepared<'_>) -> Result<Vec<Versioned<Gate>>, CommandError> {
    let names = [&wanted.origin().id(), &wanted.digest().to_string()];
    let values = names.map(|name| IndexValue::name(name));
    let rows = Records::<Gate>::new(&core.space);
    // In this order, so that one approved in between is found twice and not missed.
    let pending = Query::of(GateIndex::Asked).equals(values.clone()).limit(PAGE_MAX);
    let mut gates = rows.find(&pending).await?.rows;
    let approved = Query::of(CapabilityIndex::Origin).equals(values).limit(PAGE_MAX);
    let approved = Records::<Capability>::new(&core.space).find(&approved).await?;
    let unused = approved.rows.iter();
    let unused = unused.filter(|capability| capability.state == CapabilityState::Active);
    let unused: Vec<GateId> = unused.map(|capability| capability.gate).collect();
    gates.retain(|gate| !unused.contains(&gate.id));
    gates.extend(rows.get_many(&unused).await?.into_iter().flatten());
    Ok(gates)
}

/// The gate of an equal call that no longer waits: it is this call's now, under a key of its own.
pub(super) async fn adopted(
    core: &Core,
    draft: &mut Draft,
    key: KeyId,
    wanted: &Prepared<'_>,
    usable: Vec<Usable>,
) -> Result<Option<Gate>, CommandError> {
    let keys = Records::<GateKey>::new(&core.space);
    for Usable { key: former, gate } in usable {
        if !wanted.is_in_life_of(&gate) || waits(core, former.caller, wanted.caller()).await? {
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

/// The keys under which these gates are found, in their order; none of one whose call has no name.
async fn keys_of(
    space: &Namespace<Tenant>,
    gates: &[Versioned<Gate>],
) -> Result<Vec<Option<Versioned<GateKey>>>, CommandError> {
    // Most are found under the name of the call that opened them.
    let first: Vec<KeyId> = gates.iter().filter_map(|gate| first_key(gate)).collect();
    let mut first = Records::new(space).get_many(&first).await?.into_iter();
    let mut keys = Vec::with_capacity(gates.len());
    for gate in gates {
        let key = first_key(gate).and_then(|_| first.next().flatten());
        keys.push(match key.filter(|key| is_found_under(key, gate.id)) {
            Some(key) => Some(key),
            None => key_of(space, gate.id).await?,
        });
    }
    Ok(keys)
}

fn first_key(gate: &Gate) -> Option<KeyId> {
    Some(KeyId::of(&gate.origin, gate.call.as_deref()?, &gate.digest))
}

fn is_found_under(key: &GateKey, gate: GateId) -> bool {
    key.gate == gate && !key.is_adopted
}

/// The key under which a gate is found, looked for by the gate: it is another's than its opener's once it was taken over.
pub(super) async fn key_of(
    space: &Namespace<Tenant>,
    gate: GateId,
) -> Result<Option<Versioned<GateKey>>, CommandError> {
    let keys = all_keys_of(space, gate).await?;
    let found = keys.into_iter().filter(|key| is_found_under(key, gate));
    Ok(found.max_by_key(|key| key.created_at))
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

/// The pending gates that a run waits for: those it opened and nobody took over, and those it took over.
pub(super) async fn awaited_by(core: &Core, run: &Run) -> Result<Vec<Versioned<Gate>>, CommandError> {
    let rows = Records::<Gate>::new(&core.space);
    let (own, of_task) = awaited_queries(run);
    let mut gates = rows.find(&own).await?.rows;
    if let Some(of_task) = of_task {
        let others = rows.find(&of_task).await?.rows.into_iter();
        gates.extend(others.filter(|gate| !is_opened_by(gate, run)));
    }
    let keys = keys_of(&core.space, &gates).await?;
    let awaited = gates.into_iter().zip(keys).filter(|(gate, key)| match key {
        Some(key) => key.caller.is_some_and(|caller| caller.run == run.id),
        None => is_opened_by(gate, run),
    });
    Ok(awaited.map(|(gate, _)| gate).collect())
}

/// Those it opened, and those of its task: gates are taken over within a task.
fn awaited_queries(run: &Run) -> (Query<GateIndex>, Option<Query<GateIndex>>) {
    let of = |index, id: String| Query::of(index).equals([IndexValue::name(&id)]).limit(PAGE_MAX);
    let of_task = run.task.map(|task| of(GateIndex::Asked, task.to_string()));
    (of(GateIndex::Run, run.id.to_string()), of_task)
}

/// What the end of a run is going to ask for.
pub(crate) fn ahead_of_end(ahead: Ahead<Tenant>, run: &Run) -> Ahead<Tenant> {
    let (own, of_task) = awaited_queries(run);
    let ahead = ahead.found::<Gate>(&own);
    match of_task {
        Some(of_task) => ahead.found::<Gate>(&of_task),
        None => ahead,
    }
}

fn is_opened_by(gate: &Gate, run: &Run) -> bool {
    gate.caller.is_some_and(|caller| caller.run == run.id)
}
