//! `dormouse events tail`: every change, once, in order.

use std::process::Stdio;

use serde_json::Value;

use crate::home::Home;

fn events(home: &Home) -> Vec<Value> {
    let ran = home.type_line("events tail --from 0 -o jsonl");
    ran.exits(0);
    let lines = ran.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a line is one event"))
        .collect()
}

/// The types of all events but those of sessions, which follow their runs; positions have no gap.
pub(crate) fn kinds(home: &Home) -> Vec<String> {
    let events = events(home);
    for (event, expected) in events.iter().zip(1_u64..) {
        assert_eq!(event["position"], expected, "{event:#}");
    }
    let kinds = events
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned());
    kinds.filter(|kind| !kind.starts_with("session.")).collect()
}

#[test]
fn every_change_is_an_event_once_and_in_order() {
    let home = Home::new();
    home.type_line("run --agent alice -- true").exits(0);
    home.dormouse(["run", "--agent", "alice", "--", "sh", "-c", "exit 3"])
        .exits(1);
    let failed = ["task.created", "run.started", "run.ended", "task.waiting"];
    let done = [
        "agent.created",
        "task.created",
        "run.started",
        "run.ended",
        "task.done",
    ];
    assert_eq!(kinds(&home), [done.as_slice(), &failed].concat());
    let events = events(&home);
    let mut ids: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), events.len(), "an event has an id of its own");
}

#[test]
fn a_closed_pipe_ends_a_read_well() {
    let home = Home::new();
    for number in 0..8 {
        home.type_line(&format!("agent add agent-{number}")).exits(0);
    }
    let mut tail = home
        .command(["events", "tail", "--from", "0", "-f", "-o", "jsonl"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let head = std::process::Command::new("head")
        .args(["-n", "1"])
        .stdin(tail.stdout.take().expect("standard output is a pipe"))
        .output()
        .expect("head starts");
    assert_eq!(head.stdout.split(|byte| *byte == b'\n').count(), 2);
    home.type_line("agent add one-more").exits(0);
    let status = tail.wait().expect("the program can be waited for");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_range_is_replayed_and_events_are_told_apart_by_agent() {
    let home = Home::new();
    home.type_line("run --agent alice -- true").exits(0);
    home.type_line("agent add bob").exits(0);
    let all = events(&home);
    let lines = |line: &str| -> Vec<Value> {
        let ran = home.type_line(line);
        ran.exits(0);
        let lines = ran
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line is one event"));
        lines.collect()
    };
    assert_eq!(lines("events replay --from 2 --to 4 -o jsonl"), all[1..4]);
    assert_eq!(lines("events replay --from 0 -o jsonl"), all);
    let of_bob = lines("events replay --from 0 --agent bob -o jsonl");
    assert_eq!(of_bob.len(), 1);
    assert_eq!(of_bob[0]["subject"], "agent:bob");
    home.type_line("events replay --from 4 --to 2").exits(2);
    let odd = home.type_line("events tail --type tsk.*");
    odd.exits(0);
    assert!(odd.stderr.contains("no event has a type like"), "{}", odd.stderr);
}

#[test]
fn a_file_has_every_event_whoever_owned_the_store() {
    let home = Home::new();
    let file = home.path().join("events.jsonl");
    let run = || {
        let mut command = home.command(["run", "--agent", "alice", "--", "sleep", "0.5"]);
        command.env("DORMOUSE_EVENTS_FILE", &file);
        assert!(command.status().expect("the program starts").success());
    };
    run();
    home.type_line("agent add bob").exits(0);
    run();
    let all = events(&home);
    let text = std::fs::read_to_string(&file).expect("the file is there");
    let told: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    // What ended the last run may come with the next owner; an owner that ended before it wrote how far it was leaves the next one to tell some again.
    let mut last = 0;
    for event in &told {
        let position = event["position"].as_u64().unwrap();
        assert!(position <= last + 1, "{position} stands behind {last}");
        last = last.max(position);
    }
    let bob = all
        .iter()
        .find(|event| event["subject"] == "agent:bob")
        .expect("bob was made");
    assert!(told.contains(bob), "what was committed while nobody relayed");
    let listed = home.items("events sink list");
    assert_eq!(
        (&listed[0]["name"], &listed[0]["state"]),
        (&Value::from("file"), &Value::from("active"))
    );
}
