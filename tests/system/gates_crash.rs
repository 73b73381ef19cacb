//! `kill -9` around a gate: the same gate, decided once, applied once.

use rustix::process::Signal;

use crate::gates::{asking, id, killed, pending, terminals};
use crate::home::Home;
use crate::process::{unique_sleep, until_count};
use crate::wait::until;

/// Publishes once it is allowed: a line for each time. Until a file is there it sleeps before it asks.
fn script(sleep: &str) -> String {
    format!(
        "test -e go || {{ touch go; sleep {sleep}; }}; \
         dormouse gate request --action publish --input '{{\"file\":\"report.md\"}}' && echo published >> done"
    )
}

/// How often it was published.
fn published(home: &Home) -> usize {
    let done = std::fs::read_to_string(home.workspace("alice").join("done"));
    done.unwrap_or_default().lines().count()
}

/// The id of the task, ready to be tried again.
#[track_caller]
fn ready(home: &Home) -> String {
    let task = home.items("task list").remove(0);
    assert_eq!(task["state"], "ready", "{task:#}");
    id(&task)
}

/// So that the script asks at once.
fn go(home: &Home) {
    let workspace = home.workspace("alice");
    std::fs::create_dir_all(&workspace).unwrap();
    std::fs::write(workspace.join("go"), "").unwrap();
}

/// SG-56, its first half
#[test]
fn killed_before_the_gate_is_stored_nobody_was_asked_and_the_next_attempt_asks() {
    for terminals in terminals() {
        let (one, other) = (&terminals.one, terminals.other());
        let sleep = unique_sleep();
        let running = asking(one, &script(&sleep));
        until_count(&sleep, 1);
        killed(running, &sleep);
        assert!(one.items("gate list --state all").is_empty());
        let task = ready(one);
        let again = one.start(["run", &task]);
        let gate = id(&pending(other, 1)[0]);
        other.dormouse(["gate", "approve", &gate]).exits(0);
        assert_eq!(again.wait(), Some(0));
        assert_eq!((published(one), one.items("gate list --state all").len()), (1, 1));
    }
}

#[test]
fn killed_while_it_waits_the_next_attempt_waits_at_the_same_gate() {
    for terminals in terminals() {
        let (one, other) = (&terminals.one, terminals.other());
        // The agent's workspace is made by its first run.
        one.type_line("run --agent alice -- true").exits(0);
        go(one);
        let sleep = unique_sleep();
        let running = asking(one, &script(&sleep));
        let gate = id(&pending(one, 1)[0]);
        running.kill();
        assert_eq!(
            id(&pending(one, 1)[0]),
            gate,
            "it outlives the process that asked"
        );
        let sessions = one.items("session list");
        assert_eq!(
            sessions.last().unwrap()["display"],
            "awaiting_human",
            "{sessions:#?}"
        );
        let task = ready(one);
        let again = one.start(["run", &task]);
        until("the second attempt is at work", || {
            let run = one.items("runs list").remove(0);
            (run["attempt"] == 2 && run["state"] == "running").then_some(())
        });
        assert_eq!(id(&pending(other, 1)[0]), gate);
        other.dormouse(["gate", "approve", &gate]).exits(0);
        assert_eq!(again.wait(), Some(0));
        assert_eq!(published(one), 1);
        let gates = one.items("gate list --state all");
        assert_eq!((gates.len(), id(&gates[0])), (1, gate), "nobody was asked twice");
    }
}

#[test]
fn killed_after_the_worker_was_told_it_is_asked_again_and_the_question_names_the_former() {
    for terminals in terminals() {
        let (one, other) = (&terminals.one, terminals.other());
        let sleep = unique_sleep();
        let script = format!(
            "dormouse gate request --action publish; test -e told || {{ touch told; sleep {sleep}; }}; echo published >> done"
        );
        let running = asking(one, &script);
        let first = id(&pending(other, 1)[0]);
        other.dormouse(["gate", "approve", &first]).exits(0);
        until_count(&sleep, 1);
        // Whether it was done by then nobody knows, so the approval is not used again.
        killed(running, &sleep);
        let task = ready(one);
        let again = one.start(["run", &task]);
        let second = pending(other, 1).remove(0);
        assert_ne!(id(&second), first);
        assert_eq!(second["previous"], first.as_str(), "{second:#}");
        other.dormouse(["gate", "approve", &id(&second)]).exits(0);
        assert_eq!(again.wait(), Some(0));
        assert_eq!(published(one), 1);
    }
}

/// SG-54
#[test]
fn a_gate_of_a_lost_run_is_adopted_by_the_next_attempts_equal_call_once() {
    for terminals in terminals() {
        let (one, other) = (&terminals.one, terminals.other());
        let sleep = unique_sleep();
        // Each attempt names its calls anew.
        let ask = "dormouse gate request --action publish --key";
        let script = format!(
            "if mkdir first 2>/dev/null; then {ask} old; sleep {sleep}; else {ask} new & {ask} newer; wait; fi"
        );
        let running = asking(one, &script);
        let gate = id(&pending(other, 1)[0]);
        running.kill();
        let task = ready(one);
        let again = one.start(["run", &task]);
        let gates = pending(other, 2);
        assert!(
            gates.iter().any(|other| id(other) == gate),
            "it is adopted, not asked again: {gates:#?}"
        );
        let adopted = other.items("events tail --from 0");
        let is_adopted = |event: &&serde_json::Value| event["type"] == "gate.adopted";
        assert_eq!(adopted.iter().filter(is_adopted).count(), 1, "once");
        for gate in &gates {
            other.dormouse(["gate", "approve", &id(gate)]).exits(0);
        }
        assert_eq!(again.wait(), Some(0));
        assert_eq!(
            one.items("gate list --state all").len(),
            2,
            "a further equal call is asked for itself"
        );
    }
}

/// SG-55
#[test]
fn the_gates_of_a_run_that_is_lost_for_good_or_called_off_while_it_is_parked_end() {
    for terminals in terminals() {
        let (one, other) = (&terminals.one, terminals.other());
        let script = "dormouse gate request --action publish";
        // Not repeatable: what it did is not known, so nobody tries it again.
        let running = one.start([
            "run",
            "--agent",
            "alice",
            "--on-gate",
            "wait",
            "--",
            "sh",
            "-c",
            script,
        ]);
        let gate = id(&pending(one, 1)[0]);
        running.kill();
        let lost = one.json(&format!("gate show {gate}"));
        assert_eq!(
            (&lost["status"], &lost["decision"]["cause"]),
            (&"invalidated".into(), &"run_ended".into())
        );
        assert_eq!(one.items("session list")[0]["display"], "error");
        assert_eq!(one.items("task list")[0]["state"], "failed");
        one.dormouse([
            "run",
            "--agent",
            "alice",
            "--on-gate",
            "park",
            "--",
            "sh",
            "-c",
            script,
        ])
        .exits(5);
        let gate = id(&pending(other, 1)[0]);
        let task = id(&other.items("task list")[0]);
        other.type_line(&format!("task cancel {task}")).exits(0);
        assert_eq!(other.json(&format!("gate show {gate}"))["status"], "invalidated");
        other
            .dormouse(["gate", "approve", &gate])
            .exits(7)
            .errs(&["invalidated"])
            .hints();
        // Whoever waited is told no: its process was ended when the run was parked, and none is started.
        one.type_line(&format!("run {task}")).exits(7);
    }
}

/// SG-56, its second half
#[test]
fn killed_between_the_decision_and_whoever_waits_the_decision_stands() {
    for terminals in terminals() {
        let (one, other) = (&terminals.one, terminals.other());
        one.type_line("run --agent alice -- true").exits(0);
        go(one);
        let sleep = unique_sleep();
        let running = asking(one, &script(&sleep));
        let gate = id(&pending(one, 1)[0]);
        if std::ptr::eq(one, other) {
            // The owner itself decides, and hears at once: so it is decided when nobody is left to hear.
            running.kill();
            other.dormouse(["gate", "approve", &gate]).exits(0);
        } else {
            // It is stopped where it is, hears nothing of the decision, and is killed.
            running.signal(Signal::STOP);
            other.dormouse(["gate", "approve", &gate]).exits(0);
            running.kill();
        }
        let task = ready(one);
        one.type_line(&format!("run {task}")).exits(0);
        assert_eq!(published(one), 1);
        let gates = one.items("gate list --state all");
        assert_eq!(
            (gates.len(), id(&gates[0])),
            (1, gate.clone()),
            "nobody was asked twice"
        );
        other
            .dormouse(["gate", "reject", &gate])
            .exits(7)
            .errs(&["was approved by"])
            .hints();
    }
}
