//! Evidence that a wait is over: people answer where the provider runs, and no event says so.
//!
//! What is settled so counts as invalidated, never as approved: an inference authorises nothing.

use std::time::Duration;

use jiff::Timestamp;

use crate::{Event, GateId, Observed, PendingGate, Snapshot, Step};

/// Progress of another source counts from so long after the gate was opened.
pub(crate) const EVIDENCE_SKEW: Duration = Duration::from_secs(1);

/// The blocking gates that `event`, which happened at `at`, shows to be settled.
pub(crate) fn settled_gates(state: &Snapshot, event: &Observed, at: Timestamp) -> Vec<GateId> {
    if state.gates.pending.is_empty() {
        return Vec::new();
    }
    let settled = |gate: &PendingGate| gate.blocking && is_settled(gate, event, at);
    let pending = state.gates.pending.iter();
    pending
        .filter(|(_, gate)| settled(gate))
        .map(|(id, _)| id.clone())
        .collect()
}

fn is_settled(gate: &PendingGate, event: &Observed, at: Timestamp) -> bool {
    // A gate opened by inference may be closed by one; the engine's and the provider's may not.
    if !event.evidence.is_formal() && gate.evidence.is_formal() {
        return false;
    }
    let is_later_there = event.source == gate.source && event.position > gate.position;
    match (&gate.call, &event.event) {
        (_, Event::Thinking) if is_later_there => true,
        (
            Some(call),
            Event::Working {
                call: Some(finished),
                step: Step::Finished,
            },
        ) => call == finished,
        (
            None,
            Event::Thinking
            | Event::Working {
                step: Step::Finished, ..
            }
            | Event::Compaction(Step::Started),
        ) => is_later_there || (event.source != gate.source && is_long_after(gate, at)),
        _ => false,
    }
}

fn is_long_after(gate: &PendingGate, at: Timestamp) -> bool {
    gate.opened_at
        .checked_add(EVIDENCE_SKEW)
        .is_ok_and(|until| at > until)
}
