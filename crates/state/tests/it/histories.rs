//! What holds after any history.

use dormouse_state::{
    Answer, Applied, CallId, Caller, Command, Completion, Confidence, Effect, EndReason, Event, Evidence,
    FailedRunGates, GateId, GateKind, GateOutcome, Invalidation, Lifecycle, Mode, Observed, OnTimeout,
    Options, Position, Row, RunEnd, RunId, Session, Snapshot, SourceId, Step, TodoItem, TodoStatus,
};
use jiff::{SignedDuration, Timestamp};
use proptest::{collection::vec, prelude::*};

/// One thing that happens, `wait_ms` after the one before.
#[derive(Clone, Debug)]
enum Happening {
    Observed {
        source: u8,
        step: u64,
        run: u8,
        subagent: bool,
        starts_turn: bool,
        evidence: Evidence,
        age_ms: i64,
        event: Event,
    },
    Command(Command),
    Timeout,
    Restored,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![Just(Step::Started), Just(Step::Finished)]
}

fn gate() -> impl Strategy<Value = GateId> {
    (0_u8..4).prop_map(|index| GateId::new(format!("g{index}")))
}

fn run() -> impl Strategy<Value = RunId> {
    (1_u8..3).prop_map(|index| RunId::new(format!("r{index}")))
}

fn call() -> impl Strategy<Value = Option<CallId>> {
    prop_oneof![
        Just(None),
        Just(Some(CallId::new("a"))),
        Just(Some(CallId::new("b")))
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![
        Just(GateKind::Approval),
        Just(GateKind::Question),
        Just(GateKind::Notification)
    ];
    let completion = prop_oneof![Just(Completion::Completed), Just(Completion::Interrupted)];
    let item = TodoItem {
        text: "x".to_owned(),
        status: TodoStatus::Pending,
    };
    prop_oneof![
        3 => Just(Event::SessionStarted),
        6 => Just(Event::Thinking),
        6 => (call(), step()).prop_map(|(call, step)| Event::Working { call, step }),
        5 => (gate(), kind, call(), any::<bool>())
            .prop_map(|(gate, kind, call, blocking)| Event::AwaitingHuman { gate, kind, call, blocking }),
        3 => step().prop_map(Event::Compaction),
        4 => completion.prop_map(Event::TurnCompleted),
        1 => Just(Event::Errored { reason: "r".to_owned(), text: "t".to_owned() }),
        2 => Just(Event::Stalled { silent_for_ms: 1 }),
        1 => Just(Event::Ended),
        1 => vec(Just(item), 0..3).prop_map(|items| Event::TodoUpdated { items }),
        1 => Just(Event::PermissionDenied { tool: "t".to_owned(), call: None }),
    ]
}

fn outcome() -> impl Strategy<Value = GateOutcome> {
    prop_oneof![
        Just(GateOutcome::Approved),
        Just(GateOutcome::Answered),
        Just(GateOutcome::Rejected),
        Just(GateOutcome::Expired(OnTimeout::Deny)),
        Just(GateOutcome::Expired(OnTimeout::Pause)),
        Just(GateOutcome::Invalidated(Invalidation::Superseded)),
        Just(GateOutcome::Discarded),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let gates = prop_oneof![Just(FailedRunGates::Keep), Just(FailedRunGates::Invalidate)];
    let failed = gates.prop_map(|gates| RunEnd::Failed {
        reason: "r".to_owned(),
        text: "t".to_owned(),
        gates,
    });
    let end = prop_oneof![Just(RunEnd::Ok), Just(RunEnd::Cancelled), failed];
    let caller = prop_oneof![Just(Caller::Waits), Just(Caller::Gone)];
    let mode = prop_oneof![Just(Mode::Deny), Just(Mode::Ask)];
    prop_oneof![
        5 => prop_oneof![3 => Just(None), 1 => (0_u32..4).prop_map(Some)]
            .prop_map(|expected_turn| Command::BeginTurn { expected_turn }),
        4 => run().prop_map(|run| Command::BindRun { run }),
        2 => run().prop_map(|run| Command::RunParked { run }),
        4 => (run(), end).prop_map(|(run, end)| Command::RunEnded { run, end }),
        3 => Just(Command::Pause),
        3 => Just(Command::Resume),
        1 => mode.prop_map(|mode| Command::SetMode { mode }),
        6 => (gate(), outcome(), caller)
            .prop_map(|(gate, outcome, caller)| Command::ResolveGate { gate, outcome, caller }),
        1 => Just(Command::End { reason: EndReason::Operator }),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    let evidence = prop_oneof![
        6 => Just(Evidence::Formal),
        1 => Just(Evidence::Inferred(Confidence::Medium)),
        1 => Just(Evidence::Inferred(Confidence::Low)),
    ];
    // Mostly of the bound run, mostly new, mostly just now.
    let run = prop_oneof![8 => Just(0_u8), 1 => 1_u8..3];
    let step = prop_oneof![8 => Just(1_u64), 1 => Just(0)];
    let age_ms = prop_oneof![6 => Just(0_i64), 1 => -5_000_i64..20_000];
    let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.2));
    let observed = (0_u8..10, step, run, flags, evidence, age_ms, event()).prop_map(
        |(source, step, run, (subagent, starts_turn), evidence, age_ms, event)| Happening::Observed {
            source: source % 3,
            step,
            run,
            subagent,
            starts_turn,
            evidence,
            age_ms,
            event,
        },
    );
    prop_oneof![
        12 => observed,
        8 => command().prop_map(Happening::Command),
        2 => Just(Happening::Timeout),
        1 => Just(Happening::Restored),
    ]
}

/// What is kept beside the session to check it.
struct Witness {
    session: Session,
    now: Timestamp,
    seqs: [u64; 3],
    /// The number of the running turn, by the effects told.
    running: Option<u32>,
    last_ended: u32,
}

impl Witness {
    fn new() -> Witness {
        let now: Timestamp = "2026-11-25T20:00:00Z".parse().expect("a time");
        let session = Session::new(Options::default(), now);
        Witness {
            session,
            now,
            seqs: [0; 3],
            running: None,
            last_ended: 0,
        }
    }

    fn live(&mut self, happening: &Happening) -> Answer {
        match happening {
            Happening::Observed {
                source,
                step,
                run,
                subagent,
                starts_turn,
                evidence,
                age_ms,
                event,
            } => {
                let seq = &mut self.seqs[usize::from(*source)];
                *seq += step;
                let of_bound = self.session.view().run.clone();
                let observed = Observed {
                    incarnation: 1,
                    run: if *run == 0 {
                        of_bound
                    } else {
                        Some(RunId::new(format!("r{run}")))
                    },
                    source: SourceId::new(format!("s{source}")),
                    position: Position { spawn: 1, seq: *seq },
                    subagent: *subagent,
                    starts_turn: *starts_turn,
                    evidence: *evidence,
                    at: self.now - SignedDuration::from_millis(*age_ms),
                    event: event.clone(),
                };
                self.session.observe(&observed, self.now)
            }
            Happening::Command(command) => self.session.command(command, self.now),
            Happening::Timeout => self.session.handle_timeout(self.now),
            Happening::Restored => {
                let json = serde_json::to_vec(&self.session.snapshot()).expect("a snapshot");
                let snapshot = Snapshot::from_json(&json).expect("its own snapshot");
                let restored =
                    Session::restore(snapshot, Options::default(), self.now).expect("its own snapshot");
                assert_eq!(restored, self.session, "restore after snapshot is the identity");
                self.session = restored;
                Answer::Ignored(dormouse_state::Ignored::Same)
            }
        }
    }

    fn check(&mut self, before: &Snapshot, answer: &Answer) {
        let after = self.session.view().clone();
        assert_eq!(after.check(), Ok(()));
        assert_eq!(after.execution.is_none(), after.lifecycle != Lifecycle::Active);
        let is_waiting = matches!(after.row(), Row::Waiting | Row::WaitingForSeveral);
        assert_eq!(is_waiting, after.gates.blocking_count() > 0);
        assert_eq!(
            self.session.poll_timeout().is_some(),
            after.row() == Row::Completed
        );
        assert!(after.turn.number >= before.turn.number);
        assert!(!after.pause_pending || after.row().letter() != "P");
        match answer {
            Answer::Applied(applied) => self.check_applied(before, applied),
            Answer::Ignored(_) | Answer::Rejected(_) => {
                assert_eq!(
                    Snapshot {
                        sources: before.sources.clone(),
                        ..after.clone()
                    },
                    *before
                );
            }
        }
        assert_eq!(
            self.running.is_some(),
            after.turn.phase == dormouse_state::Phase::Running
        );
        if before.row() == Row::Ended {
            assert!(answer.applied().is_none(), "an ended session changes no more");
        }
    }

    fn check_applied(&mut self, before: &Snapshot, applied: &Applied) {
        let after = self.session.view();
        let counted = u64::try_from(applied.edges.len()).expect("few").max(1);
        assert_eq!(after.sequence, before.sequence + counted);
        let mut row = before.row();
        for (edge, sequence) in applied.edges.iter().zip(before.sequence + 1..) {
            assert_eq!(
                (edge.from, edge.sequence, edge.evidence),
                (row, sequence, after.evidence)
            );
            row = edge.to;
        }
        assert_eq!(
            row,
            after.row(),
            "edges lead from the row before to the row after"
        );
        let is_work = |row: Row| matches!(row.letter(), "Q" | "T" | "W" | "K");
        let begins = applied
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::TurnStarted { .. }));
        if begins
            || applied
                .edges
                .iter()
                .any(|edge| !is_work(edge.from) || !is_work(edge.to))
        {
            assert!(applied.durable);
        }
        for effect in &applied.effects {
            match effect {
                Effect::TurnStarted { turn, .. } => {
                    assert_eq!(self.running, None, "a turn ended before the next began");
                    assert!(*turn > self.last_ended, "each turn begins once");
                    self.running = Some(*turn);
                }
                Effect::TurnEnded { turn, .. } => {
                    assert_eq!(self.running.take(), Some(*turn), "each turn ends once");
                    self.last_ended = *turn;
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// SG-3
    #[test]
    fn after_any_history_the_invariants_hold(
        history in vec((prop_oneof![Just(0_i64), 0_i64..5_000, Just(10_000)], happening()), 1..80),
    ) {
        let mut witness = Witness::new();
        for (wait_ms, happening) in &history {
            witness.now += SignedDuration::from_millis(*wait_ms);
            let before = witness.session.snapshot();
            let answer = witness.live(happening);
            witness.check(&before, &answer);
        }
    }
}
