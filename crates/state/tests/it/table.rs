//! The whole table, as the machine answers it, against its golden file.

use std::{fmt::Write, path::Path};

use dormouse_state::{
    Answer, Caller, Command, Effect, EndReason, Event, FailedRunGates, GateKind, GateOutcome, Invalidation,
    Mode, Observed, OnTimeout, Position, Row, RunEnd, RunId, Session, Snapshot, Step, TodoItem, TodoStatus,
};

use crate::bench::{
    Bench, Bound, MAIN, OTHER, asks, completed, errored, failed, medium, mentions, run_ended, stalled,
    working,
};

/// Set it to write the file anew instead of comparing.
const UPDATE: &str = "UPDATE_GOLDEN";

/// A column of the table, or a variant of one: a name, how the session is prepared, and the input.
/// Where the preparation is impossible in a row, there is no line.
struct Column {
    name: &'static str,
    bound: Bound,
    prepare: fn(&mut Bench) -> bool,
    input: fn(&mut Bench) -> Answer,
}

impl Column {
    fn new(name: &'static str, input: fn(&mut Bench) -> Answer) -> Column {
        Column {
            name,
            bound: Bound::Nothing,
            prepare: |_| true,
            input,
        }
    }

    fn of_a_run(self) -> Column {
        Column {
            bound: Bound::Run,
            ..self
        }
    }

    fn if_so(self, prepare: fn(&mut Bench) -> bool) -> Column {
        Column { prepare, ..self }
    }
}

/// SG-2
#[test]
fn every_row_answers_every_input_as_the_golden_file_says() {
    let mut lines = String::from("row | input | answer | turn | gates | timer | durable\n");
    for columns in [table(), variants(), gates(), context(), filters()] {
        lines.push('\n');
        for row in Row::ALL {
            for column in &columns {
                write_line(&mut lines, row, column);
            }
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/transitions.txt");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&file, &lines).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&file).expect("the golden file is there");
    for (index, (now, then)) in lines.lines().zip(golden.lines()).enumerate() {
        assert_eq!(
            now,
            then,
            "line {} of {}; {UPDATE}=1 writes it anew",
            index + 1,
            file.display()
        );
    }
    assert_eq!(
        lines.lines().count(),
        golden.lines().count(),
        "{UPDATE}=1 writes the file anew"
    );
}

/// The other half of the table's promise: a row is reached for each line, and no row only refuses.
#[test]
fn no_row_but_the_last_refuses_everything() {
    for row in Row::ALL {
        let applies = table()
            .iter()
            .any(|column| answer(row, column).is_some_and(|answer| answer.applied().is_some()));
        assert_eq!(applies, row != Row::Ended, "{row}");
    }
}

fn answer(row: Row, column: &Column) -> Option<Answer> {
    let mut bench = Bench::at(row, column.bound);
    (column.prepare)(&mut bench).then(|| (column.input)(&mut bench))
}

fn write_line(lines: &mut String, row: Row, column: &Column) {
    let mut bench = Bench::at(row, column.bound);
    if !(column.prepare)(&mut bench) {
        return;
    }
    let before = bench.session.snapshot();
    let answer = (column.input)(&mut bench);
    let session = &bench.session;
    if answer.applied().is_none() {
        assert_eq!(
            but_positions(session.snapshot()),
            but_positions(before.clone()),
            "{row} {}",
            column.name
        );
    }
    assert_eq!(session.view().check(), Ok(()), "{row} {}", column.name);
    let (turn, gates) = (turn_of(&answer), gates_of(&answer));
    let timer = timer_of(&before, session);
    let durable = answer
        .applied()
        .map_or("-", |applied| if applied.durable { "yes" } else { "no" });
    let target = target(&answer, session);
    writeln!(
        lines,
        "{row} | {} | {target} | {turn} | {gates} | {timer} | {durable}",
        column.name
    )
    .expect("a string takes everything");
}

fn but_positions(snapshot: Snapshot) -> Snapshot {
    Snapshot {
        sources: Default::default(),
        ..snapshot
    }
}

fn target(answer: &Answer, session: &Session) -> String {
    match answer {
        Answer::Applied(applied) => {
            let through = applied.edges.iter().map(|edge| edge.to.letter());
            let mut path: Vec<&str> = through.collect();
            if path.is_empty() {
                path.push(session.row().letter());
            }
            format!("apply {}", path.join(" "))
        }
        Answer::Ignored(why) => format!("ignore {why}"),
        Answer::Rejected(why) => format!("reject {why}"),
    }
}

fn turn_of(answer: &Answer) -> String {
    let effects = answer
        .applied()
        .map(|applied| applied.effects.as_slice())
        .unwrap_or_default();
    let words = effects.iter().filter_map(|effect| match effect {
        Effect::SessionStarted => Some("allotted".to_owned()),
        Effect::TurnStarted { turn, .. } => Some(format!("{turn} begins")),
        Effect::TurnEnded { turn, result, .. } => Some(format!("{turn} {}", word(result))),
        _ => None,
    });
    or_dash(&words.collect::<Vec<_>>())
}

fn gates_of(answer: &Answer) -> String {
    let effects = answer
        .applied()
        .map(|applied| applied.effects.as_slice())
        .unwrap_or_default();
    let words = effects.iter().filter_map(|effect| match effect {
        Effect::AwaitingHuman { gate, .. } => Some(format!("{gate} opens")),
        Effect::GateEnded {
            gate,
            outcome: GateOutcome::Invalidated(why),
        } => Some(format!("{gate} {}", word(why))),
        Effect::GateEnded { gate, outcome } => Some(format!("{gate} {}", word(outcome))),
        _ => None,
    });
    or_dash(&words.collect::<Vec<_>>())
}

fn timer_of(before: &Snapshot, session: &Session) -> &'static str {
    let was_set = before.row() == Row::Completed;
    match (was_set, session.poll_timeout().is_some()) {
        (false, true) => "set",
        (true, false) => "gone",
        (true, true) => "kept",
        (false, false) => "-",
    }
}

fn or_dash(words: &[String]) -> String {
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(", ")
    }
}

/// `TurnOver` as `turn_over`.
fn word(value: &impl std::fmt::Debug) -> String {
    let mut word = String::new();
    for letter in format!("{value:?}").chars() {
        match letter {
            '(' => word.push('.'),
            ')' => {}
            letter if letter.is_ascii_uppercase() => {
                if !word.is_empty() && !word.ends_with('.') {
                    word.push('_');
                }
                word.push(letter.to_ascii_lowercase());
            }
            letter => word.push(letter),
        }
    }
    word
}

/// The nineteen columns. Events are another source's, long after the last turn.
fn table() -> Vec<Column> {
    vec![
        Column::new("session_started", |bench| {
            bench.event_of(OTHER, Event::SessionStarted)
        }),
        Column::new("thinking", |bench| bench.event_of(OTHER, Event::Thinking)),
        Column::new("working", |bench| {
            bench.event_of(OTHER, working("c", Step::Started))
        }),
        Column::new("compaction_started", |bench| {
            bench.event_of(OTHER, Event::Compaction(Step::Started))
        }),
        Column::new("compaction_finished", |bench| {
            bench.event_of(OTHER, Event::Compaction(Step::Finished))
        }),
        Column::new("awaiting_human", |bench| {
            bench.event_of(OTHER, asks("gate", None))
        }),
        Column::new("turn_completed", |bench| bench.event_of(OTHER, completed())),
        Column::new("errored", |bench| bench.event_of(OTHER, errored())),
        Column::new("stalled", |bench| bench.event_of(OTHER, stalled())),
        Column::new("ended", |bench| bench.event_of(OTHER, Event::Ended)),
        Column::new("begin_turn", |bench| {
            bench.command(&Command::BeginTurn { expected_turn: None })
        }),
        Column::new("bind_run", |bench| bench.bind("run")),
        Column::new("run_ended.ok", |bench| {
            bench.command(&run_ended("run", RunEnd::Ok))
        })
        .of_a_run(),
        Column::new("run_ended.cancelled", |bench| {
            bench.command(&run_ended("run", RunEnd::Cancelled))
        })
        .of_a_run(),
        Column::new("run_ended.failed", |bench| {
            bench.command(&run_ended("run", failed(FailedRunGates::Invalidate)))
        })
        .of_a_run(),
        Column::new("run_parked", |bench| {
            bench.command(&Command::RunParked {
                run: RunId::new("run"),
            })
        })
        .of_a_run(),
        Column::new("pause", |bench| bench.command(&Command::Pause)),
        Column::new("resume", |bench| bench.command(&Command::Resume)),
        Column::new("auto_idle", |bench| bench.tick(0)),
    ]
}

/// A pause is to come, if it can be.
fn pause_pending(bench: &mut Bench) -> bool {
    let _ = bench.command(&Command::Pause);
    bench.session.view().pause_pending
}

fn is_stalled(bench: &mut Bench) -> bool {
    let _ = bench.event_of(OTHER, stalled());
    bench.session.view().stalled
}

/// Nothing of the turn is seen but that the provider is ready.
fn allotted(bench: &mut Bench) -> bool {
    if bench.session.row() != Row::Idle {
        return false;
    }
    *bench = Bench::new();
    let _ = bench.event(Event::SessionStarted);
    true
}

fn not_due(bench: &mut Bench) -> bool {
    bench.wait_ms(-19_000);
    bench.session.row() == Row::Completed
}

fn is_waiting(bench: &mut Bench) -> bool {
    matches!(bench.session.row(), Row::Waiting | Row::WaitingForSeveral)
}

/// What the notes 1, 2, 3 and the letters e, g, p of the table are about, and the rules below it.
fn variants() -> Vec<Column> {
    vec![
        Column::new("turn_completed.ender", |bench| bench.event(completed())),
        Column::new("turn_completed.allotted", |bench| bench.event(completed())).if_so(allotted),
        Column::new("begin_turn.allotted", |bench| {
            bench.command(&Command::BeginTurn { expected_turn: None })
        })
        .if_so(allotted),
        Column::new("begin_turn.another_expected", |bench| {
            bench.command(&Command::BeginTurn {
                expected_turn: Some(77),
            })
        }),
        Column::new("thinking.starts_turn", |bench| bench.announced(OTHER)),
        Column::new("thinking.evidence", |bench| bench.event(Event::Thinking)).if_so(is_waiting),
        Column::new("working.evidence", |bench| {
            bench.event(working("call-1", Step::Finished))
        })
        .if_so(is_waiting),
        Column::new("working.another_call", |bench| {
            bench.event(working("call-9", Step::Finished))
        })
        .if_so(is_waiting),
        Column::new("thinking.stalled", |bench| bench.event_of(OTHER, Event::Thinking)).if_so(is_stalled),
        Column::new("compaction_finished.stalled", |bench| {
            bench.event_of(OTHER, Event::Compaction(Step::Finished))
        })
        .if_so(is_stalled),
        Column::new("stalled.again", |bench| bench.event_of(OTHER, stalled())).if_so(is_stalled),
        Column::new("turn_completed.pause_pending", |bench| {
            bench.event_of(OTHER, completed())
        })
        .if_so(pause_pending),
        Column::new("errored.pause_pending", |bench| bench.event_of(OTHER, errored())).if_so(pause_pending),
        Column::new("compaction_finished.pause_pending", |bench| {
            bench.event_of(OTHER, Event::Compaction(Step::Finished))
        })
        .if_so(pause_pending),
        Column::new("begin_turn.pause_pending", |bench| {
            bench.command(&Command::BeginTurn { expected_turn: None })
        })
        .if_so(pause_pending),
        Column::new("run_ended.cancelled.pause_pending", |bench| {
            bench.command(&run_ended("run", RunEnd::Cancelled))
        })
        .of_a_run()
        .if_so(pause_pending),
        Column::new("pause.pause_pending", |bench| bench.command(&Command::Pause)).if_so(pause_pending),
        Column::new("resume.pause_pending", |bench| bench.command(&Command::Resume)).if_so(pause_pending),
        Column::new("bind_run.same", |bench| bench.bind("run")).of_a_run(),
        Column::new("bind_run.other", |bench| bench.bind("another")).of_a_run(),
        Column::new("run_ended.not_bound", |bench| {
            bench.command(&run_ended("run", RunEnd::Ok))
        }),
        Column::new("run_ended.failed.gates_kept", |bench| {
            bench.command(&run_ended("run", failed(FailedRunGates::Keep)))
        })
        .of_a_run(),
        Column::new("run_parked.not_bound", |bench| {
            bench.command(&Command::RunParked {
                run: RunId::new("run"),
            })
        }),
        Column::new("auto_idle.not_due", |bench| bench.tick(0)).if_so(not_due),
        Column::new("end.operator", |bench| {
            bench.command(&Command::End {
                reason: EndReason::Operator,
            })
        }),
    ]
}

/// The lines of human_resolved.
fn gates() -> Vec<Column> {
    fn first(bench: &mut Bench, outcome: GateOutcome, caller: Caller) -> Answer {
        bench.resolve("gate-1", outcome, caller)
    }
    vec![
        Column::new("human_resolved.approved.waits", |b| {
            first(b, GateOutcome::Approved, Caller::Waits)
        }),
        Column::new("human_resolved.approved.gone", |b| {
            first(b, GateOutcome::Approved, Caller::Gone)
        }),
        Column::new("human_resolved.answered.waits", |b| {
            first(b, GateOutcome::Answered, Caller::Waits)
        }),
        Column::new("human_resolved.answered.gone", |b| {
            first(b, GateOutcome::Answered, Caller::Gone)
        }),
        Column::new("human_resolved.rejected.waits", |b| {
            first(b, GateOutcome::Rejected, Caller::Waits)
        }),
        Column::new("human_resolved.rejected.gone", |b| {
            first(b, GateOutcome::Rejected, Caller::Gone)
        }),
        Column::new("human_resolved.invalidated.waits", |b| {
            first(
                b,
                GateOutcome::Invalidated(Invalidation::Superseded),
                Caller::Waits,
            )
        }),
        Column::new("human_resolved.invalidated.gone", |b| {
            first(
                b,
                GateOutcome::Invalidated(Invalidation::Superseded),
                Caller::Gone,
            )
        }),
        Column::new("human_resolved.discarded.waits", |b| {
            first(b, GateOutcome::Discarded, Caller::Waits)
        }),
        Column::new("human_resolved.discarded.gone", |b| {
            first(b, GateOutcome::Discarded, Caller::Gone)
        }),
        Column::new("human_resolved.expired.deny.waits", |b| {
            first(b, GateOutcome::Expired(OnTimeout::Deny), Caller::Waits)
        }),
        Column::new("human_resolved.expired.deny.gone", |b| {
            first(b, GateOutcome::Expired(OnTimeout::Deny), Caller::Gone)
        }),
        Column::new("human_resolved.expired.pause.waits", |b| {
            first(b, GateOutcome::Expired(OnTimeout::Pause), Caller::Waits)
        }),
        Column::new("human_resolved.expired.pause.gone", |b| {
            first(b, GateOutcome::Expired(OnTimeout::Pause), Caller::Gone)
        }),
        Column::new("human_resolved.unknown", |b| {
            b.resolve("nobody's", GateOutcome::Approved, Caller::Waits)
        }),
    ]
}

fn notified(bench: &mut Bench) -> bool {
    bench
        .event_of(OTHER, mentions("note", GateKind::Notification))
        .applied()
        .is_some()
}

fn questioned(bench: &mut Bench) -> bool {
    bench
        .event_of(OTHER, mentions("question", GateKind::Question))
        .applied()
        .is_some()
}

fn plan() -> Event {
    Event::TodoUpdated {
        items: vec![TodoItem {
            text: "test".to_owned(),
            status: TodoStatus::Pending,
        }],
    }
}

/// What changes no row.
fn context() -> Vec<Column> {
    vec![
        Column::new("awaiting_human.non_blocking", |bench| {
            bench.event_of(OTHER, mentions("note", GateKind::Notification))
        }),
        Column::new("awaiting_human.non_blocking.same", |bench| {
            bench.event_of(OTHER, mentions("note", GateKind::Notification))
        })
        .if_so(notified),
        Column::new("human_resolved.non_blocking", |bench| {
            bench.resolve("note", GateOutcome::Answered, Caller::Gone)
        })
        .if_so(notified),
        Column::new("begin_turn.notified", |bench| {
            bench.command(&Command::BeginTurn { expected_turn: None })
        })
        .if_so(notified),
        Column::new("begin_turn.questioned", |bench| {
            bench.command(&Command::BeginTurn { expected_turn: None })
        })
        .if_so(questioned),
        Column::new("ended.notified", |bench| bench.event_of(OTHER, Event::Ended)).if_so(notified),
        Column::new("todo_updated", |bench| bench.event_of(OTHER, plan())),
        Column::new("todo_updated.same", |bench| bench.event_of(OTHER, plan()))
            .if_so(|bench| bench.event_of(OTHER, plan()).applied().is_some()),
        Column::new("permission_denied", |bench| {
            bench.event_of(
                OTHER,
                Event::PermissionDenied {
                    tool: "shell".to_owned(),
                    call: None,
                },
            )
        }),
        Column::new("set_mode", |bench| {
            bench.command(&Command::SetMode { mode: Mode::Deny })
        }),
        Column::new("set_mode.same", |bench| {
            bench.command(&Command::SetMode { mode: Mode::Ask })
        }),
    ]
}

/// The eight filters, in their order, each against an event that would be applied somewhere.
fn filters() -> Vec<Column> {
    fn thinking(bench: &mut Bench, change: impl FnOnce(Observed) -> Observed) -> Answer {
        let observed = change(bench.observed(OTHER, Event::Thinking));
        bench.observe(&observed)
    }
    vec![
        Column::new("filter.incarnation", |b| {
            thinking(b, |seen| Observed {
                incarnation: 9,
                ..seen
            })
        }),
        Column::new("filter.stale_run", |b| {
            thinking(b, |seen| Observed {
                run: Some(RunId::new("old")),
                ..seen
            })
        }),
        Column::new("filter.stale_run.of_none", |b| {
            thinking(b, |seen| Observed { run: None, ..seen })
        })
        .of_a_run(),
        Column::new("filter.duplicate", |b| {
            let seen = b.observed(MAIN, Event::Thinking);
            let again = Observed {
                position: Position { spawn: 1, seq: 1 },
                ..seen
            };
            b.observe(&again)
        })
        .if_so(|b| b.session.row() != Row::Initializing && b.session.row() != Row::Queued),
        Column::new("filter.sources", |b| thinking(b, |seen| seen)).if_so(|b| {
            for index in 0..8 {
                let _ = b.event_of(&format!("s{index}"), plan());
            }
            b.session.view().sources.len() == 8
        }),
        Column::new("filter.subagent", |b| {
            thinking(b, |seen| Observed {
                subagent: true,
                ..seen
            })
        }),
        Column::new("filter.subagent.asks", |b| {
            let seen = b.observed(OTHER, asks("gate", None));
            b.observe(&Observed {
                subagent: true,
                ..seen
            })
        }),
        Column::new("filter.subagent.stalled", |b| {
            thinking(b, |seen| Observed {
                subagent: true,
                ..seen
            })
        })
        .if_so(is_stalled),
        Column::new("filter.stale_turn", |b| {
            thinking(b, |seen| Observed {
                at: "2026-11-25T19:00:00Z".parse().expect("a time"),
                ..seen
            })
        }),
        Column::new("filter.weaker.thinking", |b| {
            thinking(b, |seen| Observed {
                evidence: medium(),
                ..seen
            })
        }),
        Column::new("filter.weaker.awaiting_human", |b| {
            b.inferred(OTHER, asks("gate", None))
        }),
        Column::new("filter.weaker.awaiting_human.of_a_run", |b| {
            b.inferred(OTHER, asks("gate", None))
        })
        .of_a_run(),
        Column::new("filter.weaker.turn_completed", |b| b.inferred(OTHER, completed())),
        Column::new("filter.weaker.errored", |b| b.inferred(OTHER, errored())),
        Column::new("filter.weaker.ended", |b| b.inferred(OTHER, Event::Ended)),
        Column::new("filter.straggler", |b| {
            let ended_at = b.session.view().turn.ended_at;
            thinking(b, |seen| Observed {
                at: ended_at.unwrap_or(seen.at),
                ..seen
            })
        }),
    ]
}
