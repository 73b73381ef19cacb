//! What a session says of its gates is held against the gates' own rows, and these are right.

use std::sync::Arc;

use dormouse_filesystem::{IndexValue, Query, Records, Versioned};
use dormouse_state::{
    Applied, CallId, Caller, Command, Event, Evidence, GateOutcome, Invalidation, Lifecycle, Observed,
    Position, Session, SourceId,
};

use super::live::Newest;
use super::told::tell_applied;
use crate::core::Core;
use crate::draft::{Draft, Verdict};
use crate::event::Change;
use crate::gate::{Gate, GateIndex, follow_session, stage_invalidated};
use crate::limits::GATES_PENDING_MAX;
use crate::{CommandError, GateId, Principal, SessionId};

/// Brings a session and its pending gates together. Whether there was anything to do.
pub(crate) async fn repair(core: &Arc<Core>, id: SessionId) -> Result<bool, CommandError> {
    let by = Principal::engine();
    let done = core.command(&by, |draft| staged(core, draft, id)).await?;
    Ok(done.answer)
}

async fn staged(core: &Arc<Core>, mut draft: Draft, id: SessionId) -> Result<Verdict<bool>, CommandError> {
    let Some(read) = Newest::read(&core.space, id).await? else {
        return Ok(Verdict::Nothing(false));
    };
    let mut session = read.session(draft.session_options(), draft.now())?;
    let (known, pending) = (known(&session), pending(core, &read, id).await?);
    let lacks: Vec<&Versioned<Gate>> = pending.iter().filter(|gate| !known.contains(&gate.id)).collect();
    let surplus: Vec<GateId> = known
        .iter()
        .filter(|gate| !pending.iter().any(|row| row.id == **gate))
        .copied()
        .collect();
    if lacks.is_empty() && surplus.is_empty() {
        return Ok(Verdict::Nothing(false));
    }
    let before = known.len();
    let mut told: Vec<Applied> = Vec::new();
    for gate in surplus {
        let outcome = outcome(core, gate).await?;
        told.extend(resolved(&mut session, gate, outcome, &draft));
    }
    for gate in lacks {
        match waits(&mut session, gate, &draft) {
            Some(applied) => told.push(applied),
            // There is no turn that could wait for it.
            None => stage_invalidated(&core.space, &mut draft, gate, Invalidation::SessionEnded).await?,
        }
    }
    let row = read.stage(&core.space, &mut draft, session.view()).await?;
    for applied in &told {
        tell_applied(&core.space, &mut draft, &row, applied)?;
        follow_session(&core.space, &mut draft, id, &applied.effects, None).await?;
    }
    let repaired = Change::SessionRepaired {
        field: "gates.pending".to_owned(),
        from: before,
        to: row.state.gates.pending.len(),
    };
    draft.tell(&row.about(), &repaired)?;
    Ok(Verdict::Commit(draft, true))
}

/// The gates a session knows of.
fn known(session: &Session) -> Vec<GateId> {
    let pending = session.view().gates.pending.keys();
    pending.filter_map(|gate| gate.as_str().parse().ok()).collect()
}

/// The pending rows of this life.
async fn pending(core: &Core, read: &Newest, id: SessionId) -> Result<Vec<Versioned<Gate>>, CommandError> {
    let values = [IndexValue::name(&id.to_string()), IndexValue::number(0)];
    let query = Query::of(GateIndex::Session)
        .equals(values)
        .limit(GATES_PENDING_MAX);
    let found = Records::<Gate>::new(&core.space).find(&query).await?;
    let incarnation = read.row.state.incarnation;
    let is_its = |gate: &Versioned<Gate>| gate.session.is_some_and(|turn| turn.incarnation == incarnation);
    Ok(found.rows.into_iter().filter(is_its).collect())
}

/// How a gate ended that the session takes for pending.
async fn outcome(core: &Core, gate: GateId) -> Result<GateOutcome, CommandError> {
    let row = Records::<Gate>::new(&core.space).get(&gate).await?;
    let outcome = row.and_then(|gate| gate.outcome());
    Ok(outcome.unwrap_or(GateOutcome::Invalidated(Invalidation::Superseded)))
}

fn resolved(session: &mut Session, gate: GateId, outcome: GateOutcome, draft: &Draft) -> Option<Applied> {
    let command = Command::ResolveGate {
        gate: dormouse_state::GateId::new(gate.to_string()),
        outcome,
        caller: Caller::Gone,
    };
    session.command(&command, draft.now()).applied().cloned()
}

/// Tells the session of a gate it does not know; none when it does not take it.
fn waits(session: &mut Session, gate: &Gate, draft: &Draft) -> Option<Applied> {
    if session.view().lifecycle == Lifecycle::Ended {
        return None;
    }
    let source = SourceId::new("repair");
    let seq = session
        .view()
        .sources
        .get(&source)
        .map_or(1, |mark| mark.position.seq + 1);
    let observed = Observed {
        incarnation: session.view().incarnation,
        run: session.view().run.clone(),
        source,
        position: Position { spawn: 0, seq },
        subagent: false,
        starts_turn: false,
        evidence: Evidence::Formal,
        at: draft.now(),
        event: Event::AwaitingHuman {
            gate: dormouse_state::GateId::new(gate.id.to_string()),
            kind: gate.kind,
            call: gate.call.clone().map(CallId::new),
            blocking: gate.blocking,
        },
    };
    session.observe(&observed, draft.now()).applied().cloned()
}
