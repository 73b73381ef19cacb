//! Turns begin once and end once.

use super::{Change, Said};
use crate::{
    Effect, Event, GateKind, Invalidation, Observed, PendingGate, TurnResult,
    chart::{Input, RunEnding},
};

impl Change<'_> {
    pub(super) fn begin_turn(&mut self) {
        // A question of the former turn that nobody waits for is void; a notification stays.
        let is_question = |gate: &PendingGate| !gate.blocking && gate.kind != GateKind::Notification;
        self.end_gates(Invalidation::TurnOver, is_question);
        self.state.turn.begin(self.at);
        self.state.human_resolved = false;
        self.state.gates.last = None;
        let (turn, run) = (self.state.turn.number, self.state.run.clone());
        self.tell(Effect::TurnStarted { turn, run });
    }

    pub(super) fn supersede(&mut self) {
        if self.state.turn.is_running() {
            self.end_gates(Invalidation::TurnOver, |gate| gate.blocking);
            self.end_turn(TurnResult::Superseded);
        }
    }

    pub(super) fn end_turn(&mut self, result: TurnResult) {
        if !self.state.turn.is_running() {
            return;
        }
        let by = self.party();
        let turn = &mut self.state.turn;
        turn.end(result, by.clone(), self.at);
        let (number, duration_ms) = (turn.number, turn.duration_ms());
        self.tell(Effect::TurnEnded {
            turn: number,
            result,
            by,
            duration_ms,
        });
    }

    pub(super) fn result(&self, input: Input) -> TurnResult {
        match (input, self.said) {
            (
                Input::TurnCompleted,
                Said::Event {
                    observed:
                        Observed {
                            event: Event::TurnCompleted(how),
                            ..
                        },
                    ..
                },
            ) => TurnResult::from(*how),
            (Input::RunEnded(RunEnding::Ok), _) => TurnResult::Completed,
            (Input::Errored | Input::RunEnded(RunEnding::Failed), _) => TurnResult::Failed,
            _ => TurnResult::Cancelled,
        }
    }
}
