//! What a session answered, as the commit tells it: edges for its history, events for everybody.

use dormouse_filesystem::{Log, Namespace, Tenant};
use dormouse_state::{Applied, Edge, Effect, Resumed, Snapshot};

use super::SessionRow;
use crate::draft::Draft;
use crate::event::Change;
use crate::{CommandError, SessionId};

/// The log's name below the session's id.
const HISTORY: &str = "history";

/// The log of a session's edges.
pub(super) fn history(space: &Namespace<Tenant>, id: SessionId) -> Log {
    let names = ["session", &id.to_string(), HISTORY].map(crate::id::segment);
    space.log(&names)
}

/// Appends edges to a session's history.
pub(super) fn tell_edges<'a>(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    id: SessionId,
    edges: impl IntoIterator<Item = &'a Edge>,
) {
    let log = history(space, id);
    for edge in edges {
        let entry = serde_json::to_vec(edge).expect("an edge is plain data");
        draft.batch().append(&log, entry);
    }
}

/// Tells what came of a session's inputs: its edges and its events.
pub(super) fn tell_applied(
    space: &Namespace<Tenant>,
    draft: &mut Draft,
    row: &SessionRow,
    applied: &Applied,
) -> Result<(), CommandError> {
    tell_edges(space, draft, row.id, &applied.edges);
    tell_effects(draft, row, &applied.effects)
}

/// Tells what came of a session's inputs as events.
pub(super) fn tell_effects<'a>(
    draft: &mut Draft,
    row: &SessionRow,
    effects: impl IntoIterator<Item = &'a Effect>,
) -> Result<(), CommandError> {
    for change in effects.into_iter().filter_map(|effect| change_of(row, effect)) {
        draft.tell(&row.about(), &change)?;
    }
    Ok(())
}

/// The event of an effect; none where a gate's or a run's own event says it.
fn change_of(row: &SessionRow, effect: &Effect) -> Option<Change> {
    Some(match effect {
        Effect::SessionStarted => Change::SessionStarted {
            external: row.external.as_ref().map(|external| external.id.clone()),
        },
        Effect::TurnStarted { turn, run } => Change::SessionTurnStarted {
            turn: *turn,
            run: run.as_ref().and_then(|run| run.as_str().parse().ok()),
        },
        Effect::TurnEnded {
            turn,
            result,
            duration_ms,
            ..
        } => Change::SessionTurnEnded {
            turn: *turn,
            result: *result,
            duration_ms: *duration_ms,
        },
        Effect::AwaitingHuman { gate, pending } => Change::SessionAwaitingHuman {
            gate: gate.as_str().parse().ok(),
            pending: *pending,
        },
        Effect::Resumed(by) => Change::SessionResumed {
            by: word_of(*by).to_owned(),
        },
        Effect::Errored { reason } => Change::SessionErrored {
            reason: reason.clone(),
        },
        Effect::BecameIdle => Change::SessionIdle {},
        Effect::Paused { after_turn } => Change::SessionPaused {
            after_turn: *after_turn,
        },
        Effect::Stalled { silent_for_ms } => Change::SessionStalled {
            silent_for_ms: *silent_for_ms,
        },
        Effect::PermissionDenied { tool } => Change::SessionPermissionDenied { tool: tool.clone() },
        Effect::ModeChanged { from, to } => Change::SessionModeChanged { from: *from, to: *to },
        Effect::Ended { reason, turns } => Change::SessionEnded {
            reason: reason.name().to_owned(),
            turns: *turns,
        },
        Effect::GateEnded { .. } | Effect::RunBound { .. } | Effect::RunUnbound { .. } => return None,
    })
}

fn word_of(resumed: Resumed) -> &'static str {
    match resumed {
        Resumed::Decided => "decided",
        Resumed::Expired => "expired",
        Resumed::Settled => "settled",
        Resumed::Invalidated => "invalidated",
        Resumed::Restarted => "restarted",
        Resumed::Operator => "operator",
    }
}

/// What a session at work does, told at most once in a while.
pub(super) fn activity(state: &Snapshot, now: jiff::Timestamp, changes: usize) -> Change {
    Change::SessionActivity {
        execution: state.execution,
        display: state.display(now),
        changes,
    }
}
