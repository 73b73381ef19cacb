//! A session with a clock and the positions of its sources, and ways to bring it into any row.

use std::collections::BTreeMap;

use dormouse_state::{
    Answer, CallId, Caller, Command, Completion, Confidence, Event, Evidence, FailedRunGates, GateId,
    GateKind, GateOutcome, Observed, Options, Position, Row, RunEnd, RunId, Session, SourceId, Step,
};
use jiff::{SignedDuration, Timestamp};

/// Whether a run is bound to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Run,
    Nothing,
}

/// The source that brings a session into its row.
pub(crate) const MAIN: &str = "main";
/// Another one.
pub(crate) const OTHER: &str = "other";

#[derive(Clone, Debug)]
pub(crate) struct Bench {
    pub(crate) session: Session,
    pub(crate) now: Timestamp,
    seqs: BTreeMap<String, u64>,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let now: Timestamp = "2026-11-25T20:00:00Z".parse().expect("a time");
        Bench {
            session: Session::new(Options::default(), now),
            now,
            seqs: BTreeMap::new(),
        }
    }

    /// A session in this row. Every step takes ten seconds, and the clock is not told to the session.
    pub(crate) fn at(row: Row, bound: Bound) -> Bench {
        let mut bench = Bench::new();
        if bound == Bound::Run {
            applied(&bench.bind("run"));
        }
        bench.walk_to(row);
        bench.wait_ms(10_000);
        assert_eq!(bench.session.row(), row);
        bench
    }

    fn walk_to(&mut self, row: Row) {
        self.wait_ms(10_000);
        match row {
            Row::Initializing => {}
            Row::Idle => {
                self.walk_to(Row::Completed);
                applied(&self.tick(10_000));
            }
            Row::Queued => applied(&self.command(&Command::BeginTurn { expected_turn: None })),
            Row::Thinking => {
                self.walk_to(Row::Queued);
                applied(&self.event(Event::Thinking));
            }
            Row::Working => {
                self.walk_to(Row::Thinking);
                applied(&self.event(working("c", Step::Started)));
            }
            Row::Compacting => {
                self.walk_to(Row::Thinking);
                applied(&self.event(Event::Compaction(Step::Started)));
            }
            Row::CompactingOutside => {
                self.walk_to(Row::Idle);
                applied(&self.event(Event::Compaction(Step::Started)));
            }
            Row::Waiting => {
                self.walk_to(Row::Thinking);
                applied(&self.event(asks("gate-1", Some("call-1"))));
            }
            Row::WaitingForSeveral => {
                self.walk_to(Row::Waiting);
                applied(&self.event(asks("gate-2", Some("call-2"))));
            }
            Row::Paused => {
                self.walk_to(Row::Idle);
                applied(&self.command(&Command::Pause));
            }
            Row::Completed => {
                self.walk_to(Row::Thinking);
                applied(&self.event(Event::TurnCompleted(Completion::Completed)));
            }
            Row::Error => {
                self.walk_to(Row::Thinking);
                applied(&self.event(errored()));
            }
            Row::Ended => {
                self.walk_to(Row::Completed);
                applied(&self.event(Event::Ended));
            }
        }
        self.wait_ms(10_000);
    }

    pub(crate) fn wait_ms(&mut self, ms: i64) {
        self.now += SignedDuration::from_millis(ms);
    }

    /// Lets time pass and tells the session.
    pub(crate) fn tick(&mut self, ms: i64) -> Answer {
        self.wait_ms(ms);
        self.session.handle_timeout(self.now)
    }

    pub(crate) fn command(&mut self, command: &Command) -> Answer {
        self.session.command(command, self.now)
    }

    pub(crate) fn bind(&mut self, run: &str) -> Answer {
        self.command(&Command::BindRun { run: RunId::new(run) })
    }

    pub(crate) fn resolve(&mut self, gate: &str, outcome: GateOutcome, caller: Caller) -> Answer {
        self.command(&Command::ResolveGate {
            gate: GateId::new(gate),
            outcome,
            caller,
        })
    }

    /// An event of the main source, formal, now, of the bound run.
    pub(crate) fn event(&mut self, event: Event) -> Answer {
        let observed = self.observed(MAIN, event);
        self.observe(&observed)
    }

    /// The same of another source.
    pub(crate) fn event_of(&mut self, source: &str, event: Event) -> Answer {
        let observed = self.observed(source, event);
        self.observe(&observed)
    }

    pub(crate) fn observe(&mut self, observed: &Observed) -> Answer {
        self.session.observe(observed, self.now)
    }

    /// The next event of a source.
    pub(crate) fn observed(&mut self, source: &str, event: Event) -> Observed {
        let seq = self.seqs.entry(source.to_owned()).or_default();
        *seq += 1;
        Observed {
            incarnation: self.session.view().incarnation,
            run: self.session.view().run.clone(),
            source: SourceId::new(source),
            position: Position { spawn: 1, seq: *seq },
            subagent: false,
            starts_turn: false,
            evidence: Evidence::Formal,
            at: self.now,
            event,
        }
    }

    pub(crate) fn inferred(&mut self, source: &str, event: Event) -> Answer {
        let observed = Observed {
            evidence: medium(),
            ..self.observed(source, event)
        };
        self.observe(&observed)
    }

    pub(crate) fn announced(&mut self, source: &str) -> Answer {
        let observed = Observed {
            starts_turn: true,
            ..self.observed(source, Event::Thinking)
        };
        self.observe(&observed)
    }

    pub(crate) fn turn(&self) -> u32 {
        self.session.view().turn.number
    }

    pub(crate) fn is_turn_running(&self) -> bool {
        self.session.view().turn.phase == dormouse_state::Phase::Running
    }
}

/// Asserts that it was applied.
#[track_caller]
pub(crate) fn applied(answer: &Answer) {
    assert!(answer.applied().is_some(), "{answer:?}");
}

pub(crate) fn medium() -> Evidence {
    Evidence::Inferred(Confidence::Medium)
}

pub(crate) fn working(call: &str, step: Step) -> Event {
    Event::Working {
        call: Some(CallId::new(call)),
        step,
    }
}

pub(crate) fn completed() -> Event {
    Event::TurnCompleted(Completion::Completed)
}

pub(crate) fn errored() -> Event {
    Event::Errored {
        reason: "overloaded".to_owned(),
        text: "try later".to_owned(),
    }
}

pub(crate) fn stalled() -> Event {
    Event::Stalled {
        silent_for_ms: 60_000,
    }
}

/// A blocking gate.
pub(crate) fn asks(gate: &str, call: Option<&str>) -> Event {
    Event::AwaitingHuman {
        gate: GateId::new(gate),
        kind: GateKind::Approval,
        call: call.map(CallId::new),
        blocking: true,
    }
}

/// A gate nobody waits for.
pub(crate) fn mentions(gate: &str, kind: GateKind) -> Event {
    Event::AwaitingHuman {
        gate: GateId::new(gate),
        kind,
        call: None,
        blocking: false,
    }
}

pub(crate) fn run_ended(run: &str, end: RunEnd) -> Command {
    Command::RunEnded {
        run: RunId::new(run),
        end,
    }
}

pub(crate) fn failed(gates: FailedRunGates) -> RunEnd {
    RunEnd::Failed {
        reason: "lost".to_owned(),
        text: "the worker is gone".to_owned(),
        gates,
    }
}
