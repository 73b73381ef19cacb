//! Moves from row to row, and what is told of them.

use super::{Change, Said};
use crate::{
    Command, Edge, Effect, EndReason, Evidence, InputName, Lifecycle, Resumed, Row,
    chart::{Doing, Input, RunEnding},
};

impl Change<'_> {
    /// Notes the move, if it is one, and what is told of where it leads.
    pub(super) fn arrive(&mut self, input: Input, begins: bool) {
        let after = self.state.row();
        let is_move = after != self.before;
        if is_move {
            self.state.stalled = false;
            self.state.entered_at = self.now;
        }
        if is_move || begins {
            self.note_edge(input, after, begins);
        }
        self.tell_arrival(input, after);
        if after == Row::Paused && is_move {
            self.state.pause_pending = false;
            self.tell_paused();
        }
        if after == Row::Ended {
            self.state.pause_pending = false;
        }
        self.before = after;
    }

    pub(super) fn note_edge(&mut self, input: Input, after: Row, begins: bool) {
        self.state.sequence += 1;
        let (from, source) = (self.before, self.party());
        self.applied.durable |= begins || !(from.is_at_work() && after.is_at_work());
        // Sequence and evidence are known when the change is complete.
        let sequence = self.state.sequence;
        let edge = Edge {
            sequence,
            at: self.now,
            from,
            to: after,
            input: input.name(),
            source,
            evidence: Evidence::Formal,
        };
        self.applied.edges.push(edge);
    }

    pub(super) fn tell_arrival(&mut self, input: Input, after: Row) {
        let was_waiting = matches!(self.before, Row::Waiting | Row::WaitingForSeveral);
        let is_active = after.is_at_work() || matches!(after, Row::Idle | Row::CompactingOutside);
        match input {
            Input::Resume => self.tell(Effect::Resumed(Resumed::Operator)),
            Input::SessionStarted if self.before == Row::Error => {
                self.tell(Effect::Resumed(Resumed::Restarted));
            }
            _ if was_waiting && is_active => self.tell(Effect::Resumed(self.resumed_why())),
            _ => {}
        }
        if self.before == Row::Completed && after == Row::Idle {
            self.tell(Effect::BecameIdle);
        }
        if after == Row::Ended {
            let reason = match self.said {
                Said::Command(Command::End { reason }) => *reason,
                Said::Event { .. } | Said::Command(_) | Said::Clock => EndReason::Observed,
            };
            self.tell(Effect::Ended {
                reason,
                turns: self.state.turn.number,
            });
        }
    }

    pub(super) fn tell_paused(&mut self) {
        let after_turn = self.origin.is_in_turn();
        self.tell(Effect::Paused { after_turn });
    }

    pub(super) fn resumed_why(&self) -> Resumed {
        self.state
            .gates
            .last
            .as_ref()
            .map_or(Resumed::Invalidated, |last| Resumed::from(last.outcome))
    }

    /// A pause that waited for the turn to end comes now.
    pub(super) fn pause_at_rest(&mut self, input: Input) {
        let is_at_rest = matches!(self.state.row(), Row::Idle | Row::Completed | Row::Error);
        if self.state.pause_pending && is_at_rest {
            self.state.lifecycle = Lifecycle::Paused;
            self.state.execution = Doing::Off.into();
            self.state.pause_pending = false;
            self.state.entered_at = self.now;
            self.note_edge(input, Row::Paused, false);
            self.tell_paused();
            self.before = Row::Paused;
        }
    }
}

impl Input {
    fn name(self) -> InputName {
        match self {
            Input::SessionStarted => InputName::SessionStarted,
            Input::Thinking => InputName::Thinking,
            Input::Working => InputName::Working,
            Input::CompactionStarted => InputName::CompactionStarted,
            Input::CompactionFinished => InputName::CompactionFinished,
            Input::AwaitingHuman => InputName::AwaitingHuman,
            Input::TurnCompleted => InputName::TurnCompleted,
            Input::Errored => InputName::Errored,
            Input::Stalled => InputName::Stalled,
            Input::Ended => InputName::Ended,
            Input::BeginTurn => InputName::BeginTurn,
            Input::BindRun => InputName::BindRun,
            Input::RunEnded(RunEnding::Ok) => InputName::RunEndedOk,
            Input::RunEnded(RunEnding::Cancelled) => InputName::RunEndedCancelled,
            Input::RunEnded(RunEnding::Failed) => InputName::RunEndedFailed,
            Input::RunParked => InputName::RunParked,
            Input::Pause => InputName::Pause,
            Input::Resume => InputName::Resume,
            Input::AutoIdle => InputName::AutoIdle,
            Input::GateResolved(_) => InputName::HumanResolved,
        }
    }
}
