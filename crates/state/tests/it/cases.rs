//! The cases of the contract, told as short stories.

use dormouse_state::{
    Answer, Caller, Command, Completion, Confidence, Display, Effect, Event, Evidence, GateOutcome, Ignored,
    Invalidation, Observed, OnTimeout, Phase, Position, Rejected, Row, Session, SourceId, Step, TodoItem,
    TodoStatus, TurnResult,
};

use crate::bench::{Bench, Bound, MAIN, OTHER, applied, asks, completed, errored, stalled, working};

fn ignored(why: Ignored) -> Answer {
    Answer::Ignored(why)
}

/// SG-1
#[test]
fn a_new_session_has_a_turn_allotted_when_its_process_is_ready() {
    let mut bench = Bench::new();
    let state = bench.session.view();
    assert_eq!(
        (state.row(), state.execution, state.turn.number),
        (Row::Initializing, None, 0)
    );
    assert_eq!(bench.session.display(bench.now), Display::Idle);
    let answer = bench.event(Event::SessionStarted);
    let effects = &answer.applied().expect("applied").effects;
    assert_eq!(*effects, [Effect::SessionStarted], "no turn started");
    let state = bench.session.view();
    assert_eq!(
        (state.row(), state.turn.number, state.turn.phase),
        (Row::Idle, 1, Phase::Allotted)
    );
}

/// SG-6
#[test]
fn a_failed_session_comes_back_by_any_sign_of_life_and_can_end() {
    let signs: [fn(&mut Bench) -> Answer; 3] = [
        |bench| bench.event(Event::SessionStarted),
        |bench| bench.event(working("c", Step::Started)),
        |bench| bench.command(&Command::BeginTurn { expected_turn: None }),
    ];
    for sign in signs {
        let mut bench = Bench::at(Row::Error, Bound::Nothing);
        applied(&sign(&mut bench));
        assert_eq!(bench.session.view().lifecycle, dormouse_state::Lifecycle::Active);
    }
    let mut bench = Bench::at(Row::Error, Bound::Nothing);
    applied(&bench.event(Event::Ended));
    assert_eq!(bench.session.row(), Row::Ended);
}

/// SG-7
#[test]
fn work_gives_way_to_thought_and_compaction_to_both() {
    let mut bench = Bench::at(Row::Working, Bound::Nothing);
    applied(&bench.event(Event::Thinking));
    assert_eq!(bench.session.row(), Row::Thinking);
    let mut bench = Bench::at(Row::Compacting, Bound::Nothing);
    applied(&bench.event(working("c", Step::Started)));
    assert_eq!(bench.session.row(), Row::Working);
    for (row, then) in [
        (Row::Compacting, Row::Thinking),
        (Row::CompactingOutside, Row::Idle),
    ] {
        let mut bench = Bench::at(row, Bound::Nothing);
        applied(&bench.event(Event::Compaction(Step::Finished)));
        assert_eq!(bench.session.row(), then);
    }
}

/// SG-8
#[test]
fn a_turn_runs_on_through_what_is_not_its_end() {
    let mut bench = Bench::at(Row::Thinking, Bound::Nothing);
    let _ = bench.event(working("c", Step::Finished));
    for event in [completed(), errored()] {
        let observed = Observed {
            subagent: true,
            ..bench.observed(MAIN, event)
        };
        assert_eq!(bench.observe(&observed), ignored(Ignored::Subagent));
    }
    let _ = bench.event(Event::Compaction(Step::Started));
    let _ = bench.event(Event::Compaction(Step::Finished));
    assert!(bench.is_turn_running());
    assert_eq!(bench.turn(), 1);
}

/// SG-9
#[test]
fn nothing_is_lost_in_the_second_after_a_turn() {
    let after: [(Event, Row, u32); 4] = [
        (working("c", Step::Started), Row::Working, 2),
        (asks("gate", None), Row::Waiting, 2),
        (errored(), Row::Error, 1),
        (Event::Ended, Row::Ended, 1),
    ];
    for (event, row, turn) in after {
        let mut bench = Bench::at(Row::Thinking, Bound::Nothing);
        applied(&bench.event(completed()));
        bench.wait_ms(1_000);
        applied(&bench.event(event));
        assert_eq!((bench.session.row(), bench.turn()), (row, turn));
    }
}

/// SG-10
#[test]
fn a_turn_that_its_authority_announces_supersedes_the_one_that_runs() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        applied(&bench.announced(MAIN));
        applied(&bench.event(completed()));
    }
    applied(&bench.announced(MAIN));
    applied(&bench.event(working("c", Step::Started)));
    applied(&bench.event(asks("gate", Some("c"))));
    assert_eq!(bench.turn(), 3);
    let answer = bench.announced(MAIN);
    let effects = &answer.applied().expect("applied").effects;
    let ended = |effect: &Effect| {
        matches!(
            effect,
            Effect::TurnEnded {
                turn: 3,
                result: TurnResult::Superseded,
                ..
            }
        )
    };
    let void = |effect: &Effect| {
        matches!(
            effect,
            Effect::GateEnded {
                outcome: GateOutcome::Invalidated(Invalidation::TurnOver),
                ..
            }
        )
    };
    assert!(
        effects.iter().any(ended) && effects.iter().any(void),
        "{effects:?}"
    );
    assert_eq!((bench.session.row(), bench.turn()), (Row::Thinking, 4));
}

/// SG-11
#[test]
fn a_prompt_that_two_announce_is_one_turn() {
    let mut bench = Bench::new();
    applied(&bench.bind("run"));
    applied(&bench.command(&Command::BeginTurn { expected_turn: None }));
    applied(&bench.announced("hook"));
    assert_eq!((bench.session.row(), bench.turn()), (Row::Thinking, 1));
    assert_eq!(
        bench.announced("hook"),
        ignored(Ignored::Same),
        "the engine is the authority"
    );

    let mut watched = Bench::new();
    applied(&watched.announced("hook"));
    assert_eq!(
        watched.announced("log"),
        ignored(Ignored::Same),
        "the hook is the authority"
    );
    assert_eq!(watched.turn(), 1);
}

/// SG-12
#[test]
fn a_late_end_of_the_turn_before_leaves_this_turn_and_its_gate_alone() {
    let mut bench = Bench::new();
    applied(&bench.announced("hook"));
    bench.wait_ms(5_000);
    let end_of_first = Observed {
        evidence: Evidence::Formal,
        ..bench.observed("log", completed())
    };
    applied(&bench.event_of("hook", completed()));
    bench.wait_ms(5_000);
    applied(&bench.announced("hook"));
    applied(&bench.event_of("hook", asks("gate", None)));
    bench.wait_ms(1_000);
    assert_eq!(bench.observe(&end_of_first), ignored(Ignored::StaleTurn));
    assert_eq!((bench.session.row(), bench.turn()), (Row::Waiting, 2));
}

/// SG-13
#[test]
fn two_ends_of_one_turn_are_one_end_and_late_work_is_a_straggler() {
    let mut bench = Bench::at(Row::Working, Bound::Nothing);
    applied(&bench.event_of("fast", completed()));
    bench.wait_ms(400);
    assert_eq!(
        bench.event_of("slow", working("c", Step::Finished)),
        ignored(Ignored::Straggler)
    );
    assert_eq!(bench.event_of("slow", completed()), ignored(Ignored::Over));
    assert_eq!((bench.session.row(), bench.turn()), (Row::Completed, 1));
    bench.wait_ms(601);
    applied(&bench.event_of("slow", working("c", Step::Started)));
    assert_eq!(bench.turn(), 2, "a second later it is the next turn");
}

/// SG-14
#[test]
fn inference_moves_formal_work_only_towards_a_person() {
    let mut bench = Bench::at(Row::Working, Bound::Nothing);
    assert_eq!(bench.inferred(OTHER, Event::Thinking), ignored(Ignored::Weaker));
    applied(&bench.inferred(OTHER, asks("gate", None)));
    assert_eq!(bench.session.row(), Row::Waiting);
    assert_eq!(
        bench.session.view().evidence,
        Evidence::Inferred(Confidence::Medium)
    );
}

/// SG-15; that it does not compile is a doctest of `Confidence`.
#[test]
fn inference_ends_nothing_that_is_known_and_is_never_sure() {
    for row in [
        Row::Queued,
        Row::Thinking,
        Row::Working,
        Row::Compacting,
        Row::Waiting,
        Row::Completed,
    ] {
        for event in [completed(), errored(), Event::Ended] {
            let mut bench = Bench::at(row, Bound::Nothing);
            assert_eq!(bench.inferred(OTHER, event), ignored(Ignored::Weaker), "{row}");
        }
    }
    let read = |text| serde_json::from_str::<Evidence>(text);
    assert!(read(r#"{"kind":"inferred","confidence":"medium"}"#).is_ok());
    assert!(read(r#"{"kind":"inferred","confidence":"high"}"#).is_err());
    assert!(read(r#"{"kind":"inferred"}"#).is_err());
}

/// SG-16
#[test]
fn a_position_counts_once_also_after_restore_and_end() {
    let mut bench = Bench::at(Row::Queued, Bound::Nothing);
    let thinking = bench.observed(MAIN, Event::Thinking);
    let mut edges = 0;
    for _ in 0..2 {
        let answer = bench.observe(&thinking);
        edges += answer.applied().map_or(0, |applied| applied.edges.len());
    }
    let snapshot = bench.session.snapshot();
    bench.session = Session::restore(snapshot, Default::default(), bench.now).expect("its own snapshot");
    assert_eq!(bench.observe(&thinking), ignored(Ignored::Duplicate));
    applied(&bench.event(Event::Ended));
    assert_eq!(bench.observe(&thinking), ignored(Ignored::Duplicate));
    assert_eq!(edges, 1, "one entry in the history");

    let mut many = Bench::at(Row::Thinking, Bound::Nothing);
    for index in 1..8 {
        let _ = many.event_of(&format!("s{index}"), Event::Thinking);
    }
    assert_eq!(
        many.event_of("ninth", Event::Thinking),
        Answer::Rejected(Rejected::Sources)
    );
    assert!(
        many.event_of("s7", working("c", Step::Started))
            .applied()
            .is_some()
    );
}

/// SG-17
#[test]
fn what_is_not_of_the_bound_run_is_stale() {
    let mut bench = Bench::at(Row::Working, Bound::Run);
    for (run, event) in [
        (Some("old"), Event::Thinking),
        (None, Event::Thinking),
        (None, completed()),
    ] {
        let run = run.map(dormouse_state::RunId::new);
        let observed = Observed {
            run,
            ..bench.observed("log", event)
        };
        assert_eq!(bench.observe(&observed), ignored(Ignored::StaleRun));
    }
}

/// SG-18
#[test]
fn a_stall_is_an_observation_and_nothing_more() {
    let mut bench = Bench::at(Row::Thinking, Bound::Nothing);
    let answer = bench.event_of(OTHER, stalled());
    let change = answer.applied().expect("applied");
    assert!(change.edges.is_empty() && !change.durable);
    assert_eq!(bench.session.display(bench.now), Display::Stalled);
    assert_eq!(bench.session.row(), Row::Thinking);
    assert!(bench.session.view().evidence.is_formal());
    applied(&bench.event_of(OTHER, Event::Thinking));
    assert_eq!(bench.session.display(bench.now), Display::Thinking);
    for row in [Row::Idle, Row::Queued, Row::Waiting, Row::WaitingForSeveral] {
        let mut bench = Bench::at(row, Bound::Nothing);
        assert!(bench.event_of(OTHER, stalled()).applied().is_none(), "{row}");
    }
    for row in Row::ALL {
        let mut bench = Bench::at(row, Bound::Nothing);
        let _ = bench.event_of(OTHER, stalled());
        assert_eq!(bench.session.row(), row);
    }
}

/// SG-19
#[test]
fn a_pause_at_work_comes_when_the_turn_ends() {
    let mut bench = Bench::at(Row::Working, Bound::Nothing);
    applied(&bench.command(&Command::Pause));
    assert_eq!(bench.session.row(), Row::Working);
    let begin = Command::BeginTurn { expected_turn: None };
    assert_eq!(bench.command(&begin), Answer::Rejected(Rejected::Paused));
    let answer = bench.event(completed());
    let edges = &answer.applied().expect("applied").edges;
    let path: Vec<(Row, Row)> = edges.iter().map(|edge| (edge.from, edge.to)).collect();
    assert_eq!(
        path,
        [(Row::Working, Row::Completed), (Row::Completed, Row::Paused)]
    );
    assert!(edges[0].sequence + 1 == edges[1].sequence && edges[1].sequence == bench.session.view().sequence);
    assert_eq!(bench.session.poll_timeout(), None);
    applied(&bench.command(&Command::Resume));
    assert_eq!(bench.session.row(), Row::Idle);
}

/// SG-20
#[test]
fn what_a_paused_provider_does_is_shown_and_the_pause_comes_back() {
    let mut bench = Bench::at(Row::Paused, Bound::Nothing);
    applied(&bench.event(working("c", Step::Started)));
    assert_eq!(bench.session.display(bench.now), Display::Working);
    applied(&bench.event(completed()));
    assert_eq!(bench.session.row(), Row::Paused);
    applied(&bench.event(asks("gate", None)));
    assert_eq!(bench.session.display(bench.now), Display::AwaitingHuman);
}

/// SG-21
#[test]
fn the_last_of_two_gates_decides_how_the_turn_goes_on() {
    let lasts = [
        (GateOutcome::Approved, Caller::Waits, Row::Working),
        (GateOutcome::Rejected, Caller::Waits, Row::Thinking),
        (GateOutcome::Approved, Caller::Gone, Row::Queued),
        (
            GateOutcome::Expired(OnTimeout::Deny),
            Caller::Waits,
            Row::Thinking,
        ),
        (GateOutcome::Expired(OnTimeout::Pause), Caller::Waits, Row::Paused),
    ];
    for (outcome, caller, row) in lasts {
        let mut bench = Bench::at(Row::WaitingForSeveral, Bound::Nothing);
        applied(&bench.resolve("gate-1", GateOutcome::Approved, Caller::Waits));
        assert_eq!(bench.session.row(), Row::Waiting);
        applied(&bench.resolve("gate-2", outcome, caller));
        assert_eq!(bench.session.row(), row, "{outcome:?}");
    }
    let mut bench = Bench::at(Row::WaitingForSeveral, Bound::Nothing);
    applied(&bench.resolve("gate-1", GateOutcome::Expired(OnTimeout::Pause), Caller::Waits));
    assert!(bench.session.view().pause_pending);
}

/// SG-24
#[test]
fn a_turn_that_ends_while_a_person_is_asked_leaves_nothing_pending() {
    let mut bench = Bench::at(Row::Waiting, Bound::Nothing);
    let unknown = bench.resolve("another", GateOutcome::Approved, Caller::Waits);
    assert_eq!(unknown, ignored(Ignored::NotPending));
    applied(&bench.event(Event::TurnCompleted(Completion::Completed)));
    assert_eq!(bench.session.row(), Row::Completed);
    assert!(bench.session.view().gates.pending.is_empty());
}

#[test]
fn of_plans_and_refused_calls_the_bounds_are_kept() {
    let mut bench = Bench::at(Row::Thinking, Bound::Nothing);
    for index in 0..6 {
        applied(&bench.event(Event::PermissionDenied {
            tool: format!("tool-{index}"),
            call: None,
        }));
    }
    let tools: Vec<&str> = bench
        .session
        .view()
        .denials
        .iter()
        .map(|denial| denial.tool.as_str())
        .collect();
    assert_eq!(tools, ["tool-5", "tool-4", "tool-3", "tool-2", "tool-1"]);
    let item = |index| TodoItem {
        text: format!("{index} {}", "x".repeat(2_000)),
        status: TodoStatus::Pending,
    };
    applied(&bench.event(Event::TodoUpdated {
        items: (0..101).map(item).collect(),
    }));
    let todo = &bench.session.view().todo;
    assert!(todo.items.len() == 100 && todo.is_cut);
    assert!(
        todo.items
            .iter()
            .all(|item| item.text.len() <= 1_024 && item.text.ends_with('…'))
    );
}

#[test]
fn a_hundred_gates_are_pending_and_the_next_is_refused() {
    let mut bench = Bench::at(Row::Thinking, Bound::Nothing);
    for index in 0..100 {
        applied(&bench.event(asks(&format!("gate-{index}"), None)));
    }
    assert_eq!(
        bench.event(asks("one more", None)),
        Answer::Rejected(Rejected::Full)
    );
    assert_eq!(bench.event(asks("gate-7", None)), ignored(Ignored::Same));
}

#[test]
fn the_sources_of_a_run_go_when_another_is_bound() {
    let mut bench = Bench::at(Row::Completed, Bound::Run);
    applied(&bench.command(&crate::bench::run_ended("run", dormouse_state::RunEnd::Ok)));
    let _ = bench.event_of("of no run", stalled());
    assert_eq!(bench.session.view().sources.len(), 2);
    applied(&bench.bind("second"));
    let left: Vec<&str> = bench
        .session
        .view()
        .sources
        .keys()
        .map(SourceId::as_str)
        .collect();
    assert_eq!(left, ["of no run"]);
    let first = Observed {
        position: Position { spawn: 1, seq: 1 },
        ..bench.observed(MAIN, Event::Thinking)
    };
    bench.wait_ms(2_000);
    let first = Observed {
        at: bench.now,
        ..first
    };
    applied(&bench.observe(&first));
}
