//! Carrying out a decision: the one place where a session's state is written.

mod gates;
mod notes;
mod rows;
mod turns;

use jiff::Timestamp;

use crate::{
    Applied, Command, Denial, Effect, Event, Evidence, GateId, GateOutcome, Lifecycle, Mode, Observed, Party,
    Resumed, Row, Snapshot, Todo,
    chart::{Decision, Input},
    context::DENIALS_MAX,
    filter,
};

/// Who said what.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said<'a> {
    /// A source; `at` is when it happened, not later than now.
    Event { observed: &'a Observed, at: Timestamp },
    /// The engine.
    Command(&'a Command),
    /// The time.
    Clock,
}

/// A change under way.
pub(crate) struct Change<'a> {
    state: &'a mut Snapshot,
    said: Said<'a>,
    /// When it happened, and when it is carried out.
    at: Timestamp,
    now: Timestamp,
    /// The row it began in, and the one the next edge leaves.
    origin: Row,
    before: Row,
    applied: Applied,
}

impl<'a> Change<'a> {
    pub(crate) fn new(state: &'a mut Snapshot, said: Said<'a>, now: Timestamp) -> Change<'a> {
        let at = match said {
            Said::Event { at, .. } => at,
            Said::Command(_) | Said::Clock => now,
        };
        let before = state.row();
        Change {
            state,
            said,
            at,
            now,
            origin: before,
            before,
            applied: Applied::default(),
        }
    }

    /// Notes what every change notes.
    pub(crate) fn finish(mut self) -> Applied {
        match self.said {
            Said::Event { observed, .. } if is_silence(observed) => {}
            Said::Event { observed, .. } => {
                self.state.stalled = false;
                self.state.evidence = filter::evidence_of(observed);
                self.state.activity_at = self.now;
                if filter::is_turn_authority(self.state, observed) {
                    self.state
                        .turn_authority
                        .get_or_insert_with(|| observed.source.clone());
                }
            }
            Said::Command(_) => {
                if !self.applied.edges.is_empty() {
                    self.state.evidence = Evidence::Formal;
                }
                self.state.activity_at = self.now;
                self.applied.durable |= !matches!(self.said, Said::Command(Command::RunParked { .. }));
            }
            Said::Clock => {}
        }
        if self.applied.edges.is_empty() {
            self.state.sequence += 1;
        }
        let (sequence, evidence) = (self.state.sequence, self.state.evidence);
        for (edge, back) in self.applied.edges.iter_mut().rev().zip(0_u64..) {
            edge.sequence = sequence - back;
            edge.evidence = evidence;
        }
        self.applied
    }

    /// Does what a cell of the table says.
    pub(crate) fn carry_out(&mut self, input: Input, decision: &Decision, settled: &[GateId]) {
        let step = decision.step;
        self.state.pause_pending = step.pause_pending;
        if step.begins {
            self.supersede();
            self.begin_turn();
        }
        if step.allots {
            self.state.turn.allot();
            self.tell(Effect::SessionStarted);
        }
        self.open_or_end_gates(settled);
        if decision.lifecycle != Lifecycle::WaitingHuman {
            self.end_gates_left(decision.lifecycle);
        }
        if step.ends || is_turn_over_in(decision.lifecycle) {
            self.end_turn(self.result(input));
        }
        self.note_run(input);
        self.note_error(input, decision.lifecycle);
        if step.stalls {
            self.note_stall();
        }
        self.state.lifecycle = decision.lifecycle;
        self.state.execution = decision.doing.into();
        self.arrive(input, step.begins);
        self.pause_at_rest(input);
    }

    pub(crate) fn set_mode(&mut self, mode: Mode) {
        self.tell(Effect::ModeChanged {
            from: self.state.mode,
            to: mode,
        });
        self.state.mode = mode;
    }

    pub(crate) fn resolve(&mut self, gate: &GateId, outcome: GateOutcome) {
        self.state.human_resolved |= Resumed::from(outcome) == Resumed::Decided;
        self.end_gate(gate, outcome);
    }

    pub(crate) fn unbind(&mut self) {
        if let Some(run) = self.state.run.take() {
            self.tell(Effect::RunUnbound { run });
        }
    }

    pub(crate) fn clear_stall(&mut self) {
        self.state.stalled = false;
    }

    pub(crate) fn note_context(&mut self, observed: &Observed) {
        match &observed.event {
            Event::TodoUpdated { items } => self.state.todo = Todo::of(items),
            Event::PermissionDenied { tool, call } => {
                let denial = Denial {
                    tool: tool.clone(),
                    call: call.clone(),
                    at: self.at,
                };
                self.state.denials.insert(0, denial);
                self.state.denials.truncate(DENIALS_MAX);
                self.tell(Effect::PermissionDenied { tool: tool.clone() });
                self.applied.durable = true;
            }
            Event::AwaitingHuman { .. } => self.open_or_end_gates(&[]),
            Event::SessionStarted
            | Event::Thinking
            | Event::Working { .. }
            | Event::Compaction(_)
            | Event::TurnCompleted(_)
            | Event::Errored { .. }
            | Event::Stalled { .. }
            | Event::Ended => {}
        }
    }

    fn tell(&mut self, effect: Effect) {
        self.applied.effects.push(effect);
    }

    fn party(&self) -> Party {
        match self.said {
            Said::Event { observed, .. } => Party::Source(observed.source.clone()),
            Said::Command(_) | Said::Clock => Party::Engine,
        }
    }
}

fn is_turn_over_in(lifecycle: Lifecycle) -> bool {
    match lifecycle {
        Lifecycle::Completed { .. } | Lifecycle::Paused | Lifecycle::Error | Lifecycle::Ended => true,
        Lifecycle::Initializing | Lifecycle::Active | Lifecycle::WaitingHuman => false,
    }
}

fn is_silence(observed: &Observed) -> bool {
    matches!(observed.event, Event::Stalled { .. })
}
