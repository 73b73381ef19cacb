//! Gates open, and leave pending for a reason.

use super::{Change, Said};
use crate::{
    Command, Effect, EndReason, EndedGate, Event, GateId, GateOutcome, Invalidation, Lifecycle, Observed,
    PendingGate,
};

impl Change<'_> {
    pub(super) fn open_or_end_gates(&mut self, settled: &[GateId]) {
        for gate in settled {
            self.end_gate(gate, GateOutcome::Invalidated(Invalidation::SettledElsewhere));
        }
        match self.said {
            Said::Command(Command::ResolveGate { gate, outcome, .. }) => self.resolve(gate, *outcome),
            Said::Event { observed, .. } => self.open_gate(observed),
            Said::Command(_) | Said::Clock => {}
        }
    }

    pub(super) fn open_gate(&mut self, observed: &Observed) {
        let Event::AwaitingHuman {
            gate,
            kind,
            call,
            blocking,
        } = &observed.event
        else {
            return;
        };
        let pending = PendingGate {
            kind: *kind,
            call: call.clone(),
            blocking: *blocking,
            source: observed.source.clone(),
            position: observed.position,
            opened_at: self.at,
            evidence: observed.evidence,
        };
        self.state.gates.pending.insert(gate.clone(), pending);
        self.applied.durable = true;
        if *blocking {
            let pending = self.state.gates.blocking_count();
            self.tell(Effect::AwaitingHuman {
                gate: gate.clone(),
                pending,
            });
        }
    }

    /// What still waits when the session goes on without an answer.
    pub(super) fn end_gates_left(&mut self, next: Lifecycle) {
        let cause = match self.said {
            Said::Command(Command::End {
                reason: EndReason::AgentDeleted,
            }) => Invalidation::AgentDeleted,
            Said::Command(Command::RunEnded { .. }) => Invalidation::RunEnded,
            _ if next == Lifecycle::Ended => Invalidation::SessionEnded,
            _ => Invalidation::TurnOver,
        };
        self.end_gates(cause, |gate| gate.blocking || next == Lifecycle::Ended);
    }

    pub(super) fn end_gates(&mut self, cause: Invalidation, which: impl Fn(&PendingGate) -> bool) {
        if self.state.gates.pending.is_empty() {
            return;
        }
        let pending = self.state.gates.pending.iter();
        let ending: Vec<GateId> = pending
            .filter(|(_, gate)| which(gate))
            .map(|(id, _)| id.clone())
            .collect();
        for gate in ending {
            self.end_gate(&gate, GateOutcome::Invalidated(cause));
        }
    }

    pub(super) fn end_gate(&mut self, gate: &GateId, outcome: GateOutcome) {
        if self.state.gates.pending.remove(gate).is_some() {
            self.state.gates.last = Some(EndedGate {
                gate: gate.clone(),
                outcome,
                at: self.at,
            });
            self.applied.durable = true;
            self.tell(Effect::GateEnded {
                gate: gate.clone(),
                outcome,
            });
        }
    }
}
