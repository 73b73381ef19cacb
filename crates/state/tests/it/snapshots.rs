//! What is stored, and what is believed when it is read.

use std::path::Path;

use dormouse_state::{
    Answer, Command, Edge, EndReason, Event, GateKind, Lifecycle, Mode, Options, Phase, Rejected,
    RestoreError, Row, Session, Snapshot, StillOpen, TodoItem, TodoStatus, TurnResult,
};
use serde_json::{Value, json};

use crate::bench::{Bench, Bound, applied, mentions, stalled};

/// A session with something in every field.
fn rich() -> Bench {
    let mut bench = Bench::at(Row::Error, Bound::Nothing);
    applied(&bench.bind("run"));
    applied(&bench.command(&Command::BeginTurn { expected_turn: None }));
    applied(&bench.event(Event::Thinking));
    let item = TodoItem {
        text: "read the page".to_owned(),
        status: TodoStatus::InProgress,
    };
    applied(&bench.event(Event::TodoUpdated { items: vec![item] }));
    applied(&bench.event(Event::PermissionDenied {
        tool: "shell".to_owned(),
        call: None,
    }));
    applied(&bench.event(mentions("note", GateKind::Notification)));
    applied(&bench.command(&Command::Pause));
    applied(&bench.event_of("clock", stalled()));
    bench
}

fn read(value: &Value) -> Result<Snapshot, RestoreError> {
    Snapshot::from_json(value.to_string().as_bytes())
}

fn corrupt(field: &str) -> Result<Snapshot, RestoreError> {
    Err(RestoreError::Corrupt {
        field: field.to_owned(),
    })
}

/// The states of the golden files: one rich, one of each row that stores something of its own.
fn golden() -> Vec<(&'static str, Session)> {
    let at = |row| Bench::at(row, Bound::Nothing).session;
    vec![
        ("snapshot-1-rich", rich().session),
        ("snapshot-1-waiting", at(Row::WaitingForSeveral)),
        ("snapshot-1-completed", at(Row::Completed)),
        ("snapshot-1-ended", at(Row::Ended)),
    ]
}

/// SG-36
#[test]
fn a_stored_snapshot_reads_back_as_it_was_or_is_refused_untouched() {
    for (name, session) in golden() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/golden/{name}.json"));
        let json = serde_json::to_string_pretty(&session.snapshot()).expect("a snapshot") + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, &json).expect("the golden file can be written");
        }
        let stored = std::fs::read_to_string(&file).expect("the golden file is there");
        assert_eq!(json, stored, "{}; UPDATE_GOLDEN=1 writes it anew", file.display());
        let snapshot = Snapshot::from_json(stored.as_bytes()).expect("a golden snapshot");
        let read =
            Session::restore(snapshot, Options::default(), session.view().entered_at).expect("the same");
        assert_eq!(read, session, "{name}");
    }
    let good = serde_json::to_value(rich().session.snapshot()).expect("a snapshot");
    let with = |path: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(path).expect("the field is there") = value;
        read(&changed)
    };
    assert_eq!(with("/schema", json!(2)), Err(RestoreError::TooNew { found: 2 }));
    assert_eq!(with("/incarnation", json!(-1)), corrupt("incarnation"));
    assert_eq!(with("/turn/number", json!(-1)), corrupt("turn.number"));
    assert_eq!(with("/execution", json!("dancing")), corrupt("execution"));
    assert_eq!(with("/execution", Value::Null), corrupt("execution"));
    assert_eq!(with("/mode", json!("anything")), corrupt("mode"));
    assert_eq!(with("/turn/phase", json!("over")), corrupt("turn.phase"));
    assert_eq!(
        with("/lifecycle", json!({"kind": "completed"})),
        corrupt("lifecycle")
    );
    assert_eq!(
        with("/lifecycle", json!({"kind": "waiting_human"})),
        corrupt("execution")
    );
    assert_eq!(
        with("/gates/pending/note/blocking", json!(true)),
        corrupt("gates.pending")
    );
    let mut unknown = good.clone();
    unknown["streaming"] = json!(true);
    assert_eq!(read(&unknown), corrupt("streaming"));
}

#[test]
fn a_newer_snapshot_is_too_new_whatever_else_is_in_it() {
    assert_eq!(
        read(&json!({"schema": 7, "soul": []})),
        Err(RestoreError::TooNew { found: 7 })
    );
}

#[test]
fn every_invariant_is_checked() {
    type Break = fn(&mut Snapshot);
    let broken: [(&str, Break); 9] = [
        ("incarnation", |state| state.incarnation = 0),
        ("execution", |state| state.lifecycle = Lifecycle::Error),
        ("gates.pending", |state| {
            for gate in state.gates.pending.values_mut() {
                gate.blocking = true;
            }
        }),
        ("turn.phase", |state| state.turn.phase = Phase::Over),
        ("turn.number", |state| state.turn.number = 0),
        ("turn.started_at", |state| state.turn.started_at = None),
        ("gates.pending", |state| {
            let gate = state.gates.pending.values().next().expect("one").clone();
            let many = (0..101).map(|index| (dormouse_state::GateId::new(index.to_string()), gate.clone()));
            state.gates.pending.extend(many);
        }),
        ("sources", |state| {
            let mark = state.sources.values().next().expect("one").clone();
            let many = (0..8).map(|index| (dormouse_state::SourceId::new(index.to_string()), mark.clone()));
            state.sources.extend(many);
        }),
        ("gates.pending", |state| {
            state.lifecycle = Lifecycle::Ended;
            state.execution = None;
            state.turn.phase = Phase::Over;
        }),
    ];
    for (field, break_it) in broken {
        let mut snapshot = rich().session.snapshot();
        assert_eq!(snapshot.check(), Ok(()));
        break_it(&mut snapshot);
        assert_eq!(
            snapshot.check(),
            Err(RestoreError::Corrupt {
                field: field.to_owned()
            })
        );
        assert!(
            Session::restore(
                snapshot,
                Options::default(),
                "2026-11-25T20:00:00Z".parse().expect("a time")
            )
            .is_err()
        );
    }
}

#[test]
fn what_is_absent_is_read_strictly() {
    let mut value = serde_json::to_value(rich().session.snapshot()).expect("a snapshot");
    value.as_object_mut().expect("an object").remove("mode");
    assert_eq!(read(&value).expect("readable").mode, Mode::Deny);
    // A gate that does not say so blocks; and as nothing waits in this row, the snapshot contradicts itself.
    value["gates"]["pending"]["note"]
        .as_object_mut()
        .expect("an object")
        .remove("blocking");
    assert_eq!(read(&value), corrupt("gates.pending"));
}

#[test]
fn an_ended_session_begins_its_next_life_and_refuses_the_former() {
    let mut bench = Bench::at(Row::Thinking, Bound::Run);
    assert_eq!(bench.session.reopen(bench.now), Err(StillOpen));
    let late = bench.observed("late", Event::Thinking);
    applied(&bench.command(&Command::End {
        reason: EndReason::Operator,
    }));
    assert_eq!(bench.session.view().turn.result, Some(TurnResult::Cancelled));
    let sequence = bench.session.view().sequence;
    bench.session.reopen(bench.now).expect("it has ended");
    let state = bench.session.view();
    assert_eq!(
        (state.incarnation, state.row(), state.turn.number),
        (2, Row::Initializing, 1)
    );
    assert!(state.sequence > sequence && state.gates.pending.is_empty() && state.run.is_none());
    assert_eq!(bench.observe(&late), Answer::Rejected(Rejected::Incarnation));
}

#[test]
fn an_edge_is_stored_as_it_always_was() {
    let mut bench = Bench::at(Row::Queued, Bound::Nothing);
    let answer = bench.event(Event::Thinking);
    let edge = &answer.applied().expect("applied").edges[0];
    let stored = json!({
        "sequence": 2,
        "at": "2026-11-25T20:00:30Z",
        "from": "queued",
        "to": "thinking",
        "input": "thinking",
        "source": {"source": "main"},
        "evidence": {"kind": "formal"},
    });
    assert_eq!(serde_json::to_value(edge).expect("an edge"), stored);
    assert_eq!(serde_json::from_value::<Edge>(stored).expect("an edge"), *edge);
}
