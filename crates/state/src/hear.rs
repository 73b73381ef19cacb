//! How an input gets to its cell of the table: facts are gathered, the cell is looked up, its decision
//! is carried out.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    Answer, Caller, Command, Completion, Event, FailedRunGates, GateId, GateOutcome, Ignored, Lifecycle,
    Observed, OnTimeout, Party, Rejected, Row, RunEnd, RunId, Session, SourceMark, Step,
    change::{Change, Said},
    chart::{Binding, Decision, Doing, Facts, Input, Refusal, Resolution, RunEnding, decide},
    filter::{self, Verdict},
    gate::PENDING_MAX,
    settle::settled_gates,
};

impl Session {
    pub(crate) fn hear_clock(&mut self, now: Timestamp) -> Answer {
        let facts = self.facts(now);
        self.look_up(Input::AutoIdle, facts, Said::Clock, now)
    }

    pub(crate) fn hear_event(&mut self, observed: &Observed, now: Timestamp) -> Answer {
        let at = observed.at.min(now);
        let verdict = filter::filter(&self.state, observed, at, now);
        let answer = match verdict {
            Verdict::Unread(refusal) => return refusal.into(),
            Verdict::Dropped(refusal) => refusal.into(),
            Verdict::Passed => self.believe(observed, at, now),
        };
        self.note_position(observed);
        self.note_sign_of_life(observed, answer, at, now)
    }

    fn believe(&mut self, observed: &Observed, at: Timestamp, now: Timestamp) -> Answer {
        let said = Said::Event { observed, at };
        if let Event::AwaitingHuman { gate, .. } = &observed.event
            && let Some(refusal) = self.refuses_gate(gate)
        {
            return refusal.into();
        }
        match input_of(&observed.event) {
            Some(input) => {
                let facts = Facts {
                    is_from_ender: self.is_from_ender(observed),
                    ..self.facts(now)
                };
                self.look_up(input, facts, said, now)
            }
            None => self.note_context(observed, said, now),
        }
    }

    pub(crate) fn hear_command(&mut self, command: &Command, now: Timestamp) -> Answer {
        let said = Said::Command(command);
        let facts = self.facts(now);
        match command {
            Command::BeginTurn { expected_turn } => {
                let is_expected_turn = expected_turn.is_none_or(|turn| turn == self.state.turn.number);
                self.look_up(
                    Input::BeginTurn,
                    Facts {
                        is_expected_turn,
                        ..facts
                    },
                    said,
                    now,
                )
            }
            Command::BindRun { run } => {
                let facts = Facts {
                    binding: self.binding(run),
                    ..facts
                };
                self.look_up(Input::BindRun, facts, said, now)
            }
            Command::RunParked { run } => self.look_up_of_run(run, Input::RunParked, facts, said, now),
            Command::RunEnded { run, end } => {
                let facts = Facts {
                    keeps_gates: keeps_gates(end),
                    ..facts
                };
                self.look_up_of_run(run, Input::RunEnded(run_ending(end)), facts, said, now)
            }
            Command::Pause => self.look_up(Input::Pause, facts, said, now),
            Command::Resume => self.look_up(Input::Resume, facts, said, now),
            Command::End { .. } => self.look_up(Input::Ended, facts, said, now),
            Command::SetMode { .. } if self.is_over() => Answer::Rejected(Rejected::Ended),
            Command::SetMode { mode } if *mode == self.state.mode => Answer::Ignored(Ignored::Same),
            Command::SetMode { mode } => self.change(said, now, |change| change.set_mode(*mode)),
            Command::ResolveGate { .. } if self.is_over() => Answer::Rejected(Rejected::Ended),
            Command::ResolveGate {
                gate,
                outcome,
                caller,
            } => self.resolve_gate(gate, *outcome, *caller, said, now),
        }
    }

    fn resolve_gate(
        &mut self,
        gate: &GateId,
        outcome: GateOutcome,
        caller: Caller,
        said: Said<'_>,
        now: Timestamp,
    ) -> Answer {
        match self.state.gates.pending.get(gate) {
            None => Answer::Ignored(Ignored::NotPending),
            Some(pending) if pending.blocking => {
                let facts = self.facts(now);
                let facts = Facts {
                    remaining: facts.remaining - 1,
                    ..facts
                };
                self.look_up(Input::GateResolved(resolution(outcome, caller)), facts, said, now)
            }
            Some(_) => self.change(said, now, |change| change.resolve(gate, outcome)),
        }
    }

    /// A run that ended is unbound, even if no turn of it ran any more.
    fn look_up_of_run(
        &mut self,
        run: &RunId,
        input: Input,
        facts: Facts,
        said: Said<'_>,
        now: Timestamp,
    ) -> Answer {
        let is_bound = self.state.run.as_ref() == Some(run);
        if !is_bound && !self.is_over() {
            return Answer::Ignored(Ignored::StaleRun);
        }
        let answer = self.look_up(input, facts, said, now);
        let has_ended = matches!(input, Input::RunEnded(_));
        if has_ended && answer == Answer::Ignored(Ignored::Over) {
            return self.change(said, now, |change| change.unbind());
        }
        answer
    }

    /// Finds the cell and does what it says.
    fn look_up(&mut self, input: Input, facts: Facts, said: Said<'_>, now: Timestamp) -> Answer {
        let supersedes = self.supersedes(said);
        let settled = match said {
            Said::Event { observed, at } if !supersedes => settled_gates(&self.state, observed, at),
            Said::Event { .. } | Said::Command(_) | Said::Clock => Vec::new(),
        };
        let facts = Facts {
            settled: settled.len(),
            remaining: facts.remaining - settled.len(),
            ..facts
        };
        let decision = if supersedes {
            // The turn that runs is over: the next one begins as if it had been queued.
            decide(Lifecycle::Active, Doing::Idle, input, facts).map(Decision::with_next_turn)
        } else {
            decide(self.state.lifecycle, self.state.execution.into(), input, facts)
        };
        match decision {
            Ok(decision) => self.change(said, now, |change| change.carry_out(input, &decision, &settled)),
            Err(refusal) => refusal.into(),
        }
    }

    fn change(&mut self, said: Said<'_>, now: Timestamp, how: impl FnOnce(&mut Change<'_>)) -> Answer {
        let mut change = Change::new(&mut self.state, said, now);
        how(&mut change);
        Answer::Applied(change.finish())
    }

    /// Whether the event announces a turn while another runs. One that is only queued is the one announced.
    fn supersedes(&self, said: Said<'_>) -> bool {
        let Said::Event { observed, .. } = said else {
            return false;
        };
        self.state.turn.is_running()
            && self.state.row() != Row::Queued
            && filter::announces_turn(&self.state, observed)
    }

    /// What changes no row of the table: a plan, a refused call, a gate nobody waits for.
    fn note_context(&mut self, observed: &Observed, said: Said<'_>, now: Timestamp) -> Answer {
        if self.is_over() {
            return Answer::Rejected(Rejected::Ended);
        }
        match &observed.event {
            Event::TodoUpdated { items } if self.state.todo.is(items) => Answer::Ignored(Ignored::Same),
            _ => self.change(said, now, |change| change.note_context(observed)),
        }
    }

    fn note_position(&mut self, observed: &Observed) {
        match self.state.sources.get_mut(&observed.source) {
            Some(mark) => {
                mark.position = observed.position;
                // Almost always it is the same, and then nothing is allocated.
                if mark.run != observed.run {
                    mark.run.clone_from(&observed.run);
                }
            }
            None => {
                let mark = SourceMark {
                    position: observed.position,
                    run: observed.run.clone(),
                };
                self.state.sources.insert(observed.source.clone(), mark);
            }
        }
    }

    /// Even what changes nothing shows that a silent worker is alive.
    fn note_sign_of_life(
        &mut self,
        observed: &Observed,
        answer: Answer,
        at: Timestamp,
        now: Timestamp,
    ) -> Answer {
        let says_nothing_new = matches!(answer, Answer::Ignored(Ignored::Same | Ignored::Subagent));
        let is_silence = matches!(observed.event, Event::Stalled { .. });
        if self.state.stalled && says_nothing_new && !is_silence {
            return self.change(Said::Event { observed, at }, now, |change| change.clear_stall());
        }
        answer
    }

    fn refuses_gate(&self, gate: &GateId) -> Option<Refusal> {
        let pending = &self.state.gates.pending;
        if self.is_over() {
            Some(Refusal::Rejected(Rejected::Ended))
        } else if pending.contains_key(gate) {
            Some(Refusal::Ignored(Ignored::Same))
        } else if pending.len() >= PENDING_MAX {
            Some(Refusal::Rejected(Rejected::Full))
        } else {
            None
        }
    }

    fn facts(&self, now: Timestamp) -> Facts {
        let state = &self.state;
        Facts {
            is_turn_running: state.turn.is_running(),
            is_turn_allotted: state.turn.phase == crate::Phase::Allotted,
            is_compacting: false,
            is_pause_pending: state.pause_pending,
            is_stalled: state.stalled,
            is_from_ender: false,
            is_expected_turn: true,
            binding: Binding::None,
            settled: 0,
            remaining: state.gates.blocking_count(),
            keeps_gates: false,
            is_idle_due: self.poll_timeout().is_some_and(|idle_at| now >= idle_at),
            now,
            auto_idle: self.options.auto_idle(),
        }
    }

    fn binding(&self, run: &RunId) -> Binding {
        match &self.state.run {
            None => Binding::None,
            Some(bound) if bound == run => Binding::Same,
            Some(_) => Binding::Other,
        }
    }

    fn is_from_ender(&self, observed: &Observed) -> bool {
        matches!(&self.state.turn.ended_by, Some(Party::Source(source)) if *source == observed.source)
    }

    fn is_over(&self) -> bool {
        self.state.lifecycle == Lifecycle::Ended
    }
}

/// `now` and `duration` later, or the end of time.
pub(crate) fn after(now: Timestamp, duration: Duration) -> Timestamp {
    now.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// The column of an event; none for what changes no row.
fn input_of(event: &Event) -> Option<Input> {
    match event {
        Event::SessionStarted => Some(Input::SessionStarted),
        Event::Thinking => Some(Input::Thinking),
        Event::Working { .. } => Some(Input::Working),
        Event::Compaction(Step::Started) => Some(Input::CompactionStarted),
        Event::Compaction(Step::Finished) => Some(Input::CompactionFinished),
        Event::AwaitingHuman { blocking: true, .. } => Some(Input::AwaitingHuman),
        Event::TurnCompleted(Completion::Completed | Completion::Interrupted) => Some(Input::TurnCompleted),
        Event::Errored { .. } => Some(Input::Errored),
        Event::Stalled { .. } => Some(Input::Stalled),
        Event::Ended => Some(Input::Ended),
        Event::AwaitingHuman { blocking: false, .. }
        | Event::TodoUpdated { .. }
        | Event::PermissionDenied { .. } => None,
    }
}

fn run_ending(end: &RunEnd) -> RunEnding {
    match end {
        RunEnd::Ok => RunEnding::Ok,
        RunEnd::Cancelled => RunEnding::Cancelled,
        RunEnd::Failed { .. } => RunEnding::Failed,
    }
}

fn keeps_gates(end: &RunEnd) -> bool {
    matches!(
        end,
        RunEnd::Failed {
            gates: FailedRunGates::Keep,
            ..
        }
    )
}

fn resolution(outcome: GateOutcome, caller: Caller) -> Resolution {
    match (outcome, caller) {
        (GateOutcome::Expired(OnTimeout::Pause), _) => Resolution::Pauses,
        (_, Caller::Gone) => Resolution::Queued,
        (GateOutcome::Approved, Caller::Waits) => Resolution::CallGoesOn,
        (_, Caller::Waits) => Resolution::ModelGoesOn,
    }
}
