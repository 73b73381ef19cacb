//! Budgets: what is set in one terminal holds for the workers of every other, and a person is asked at the line.

use serde_json::json;

use crate::gates::{id, pending, terminals};
use crate::home::Home;
use crate::wait::until;

fn run(home: &Home, on_gate: &str, script: &str) -> crate::home::Ran {
    home.dormouse([
        "run",
        "--agent",
        "alice",
        "--on-gate",
        on_gate,
        "--",
        "sh",
        "-c",
        script,
    ])
}

#[test]
fn what_is_set_is_what_workers_may_use_and_what_they_used_is_kept() {
    for terminals in terminals() {
        let (one, other) = (&terminals.one, terminals.other());
        one.type_line("agent add alice").exits(0);
        one.type_line("budget show alice").exits(3).hints();
        one.type_line("budget set alice --usd 1.00 --period day --pause 100% --zone Europe/Berlin")
            .exits(0);
        let shown = other.json("budget show alice");
        assert_eq!(shown["limits"], json!({ "usd_micros": 1_000_000 }));
        assert_eq!(shown["period"]["zone"], "Europe/Berlin");
        // A hundred at once of a tenth of it: ten are admitted.
        let script = "for n in $(seq 100); do (dormouse usage reserve --usd 0.10 >>holds 2>/dev/null; echo $? >>codes) & done; wait; \
                      sort codes | uniq -c | tr -s ' '";
        let reserved = run(one, "wait", script);
        reserved.exits(0);
        assert_eq!(reserved.stdout.trim(), "10 0\n 90 9", "{reserved:?}");
        // The run ended without a word of what the calls came to: they may have used all of it.
        let shown = other.json("budget show alice");
        assert_eq!(shown["used"]["usd_micros"], 1_000_000, "{shown:#}");
        // Up to the limit a run may begin, which may use nothing; above it none does.
        run(one, "wait", "true").exits(0);
        one.type_line("budget set alice --usd 0.50").exits(0);
        let refused = run(one, "wait", "true");
        refused.exits(9).errs(&["agent.alice", "0.50 USD"]).hints();
        // What is called off waits for nothing.
        assert_eq!(other.items("task list --state ready").len(), 0);
        one.type_line("budget set alice --usd 3").exits(0);
        let script = "hold=$(dormouse usage reserve --usd 0.50) && dormouse usage report $hold --usd 0.10 && \
                      dormouse usage reconcile $hold --usd 0.20; dormouse usage release $hold; echo code $?";
        let used = run(one, "wait", script);
        assert_eq!(used.stdout, "continue\ncode 7\n", "{used:?}");
        let day = other.items("budget history alice").remove(0);
        assert_eq!(day["used"]["usd_micros"], 1_200_000, "{day:#}");
        assert_eq!(other.items("budget show").len(), 1);
        one.type_line("budget set alice --usd none").exits(0);
        let free = run(
            one,
            "wait",
            "dormouse usage reserve --usd 5; dormouse usage reconcile unlimited --usd 5",
        );
        free.exits(0);
        assert_eq!(free.stdout, "unlimited\n");
    }
}

#[test]
fn a_run_that_asks_for_more_waits_until_a_person_raises_the_limit() {
    for terminals in terminals() {
        let (one, other) = (&terminals.one, terminals.other());
        one.type_line("agent add alice").exits(0);
        one.type_line("budget set alice --usd 1.00 --period lifetime")
            .exits(0);
        let script = "dormouse usage reserve --usd 0.95 >/dev/null && echo admitted";
        let mut waiting = one.start([
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
        let gate = pending(other, 1).remove(0);
        assert_eq!(gate["budget"]["needed"], 950_000, "{gate:#}");
        let gate = id(&gate);
        other.dormouse(["gate", "approve", &gate]).exits(2);
        other
            .dormouse(["gate", "approve", &gate, "--limit", "0.94"])
            .exits(2);
        other
            .dormouse(["gate", "approve", &gate, "--limit", "3.00"])
            .exits(0);
        assert_eq!(waiting.line(), "admitted");
        assert_eq!(waiting.wait(), Some(0));
        assert_eq!(other.json("budget show alice")["raised"]["usd_micros"], 3_000_000);
    }
}

#[test]
fn a_parked_run_goes_on_when_its_limit_is_raised_and_one_that_is_refused_is_told() {
    let home = Home::new();
    home.type_line("agent add alice").exits(0);
    home.type_line("budget set alice --usd 1.00 --period lifetime")
        .exits(0);
    let script = "dormouse usage reserve --usd 0.95 >/dev/null; echo code $?";
    run(&home, "park", script).exits(5);
    let gate = id(&pending(&home, 1).remove(0));
    let task = id(&home.items("task list").remove(0));
    home.dormouse(["gate", "approve", &gate, "--limit", "2"]).exits(0);
    let task_is_ready = || (home.items("task list")[0]["state"] == "ready").then_some(());
    until("the task is ready", task_is_ready);
    let resumed = home.type_line(&format!("run {task}"));
    assert_eq!(resumed.stdout, "code 0\n", "{resumed:?}");
    // The first call may have used all that was held for it. Another agent's is rejected at once.
    home.type_line("agent add bob").exits(0);
    home.type_line("budget set bob --usd 1.00").exits(0);
    let refused = home.dormouse([
        "run",
        "--agent",
        "bob",
        "--on-gate",
        "reject",
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(refused.stdout, "code 9\n", "{refused:?}");
}

#[test]
fn inside_a_run_nothing_of_a_budget_is_set_and_outside_nothing_is_reserved() {
    let home = Home::new();
    let inside = run(&home, "wait", "dormouse budget set alice --usd 100; echo code $?");
    assert_eq!(inside.stdout, "code 4\n", "{inside:?}");
    home.type_line("usage reserve --usd 1")
        .exits(2)
        .errs(&["not inside of one"])
        .hints();
    home.type_line("budget set alice --usd 1.0000001").exits(2);
    home.type_line("budget set alice --period fortnight").exits(2);
    home.type_line("budget set --usd 1").exits(2).hints();
}
