//! `wake` and `agent wake`: beside a server, and without one.

use rustix::process::Signal;

use crate::home::Home;
use crate::secrets::homes;
use crate::wait::until;

fn added(home: &Home, words: &[&str]) -> String {
    let ran = home.dormouse([&["wake", "add", "--agent", "alice"][..], words].concat());
    ran.exits(0);
    let id = ran.stdout.trim().to_owned();
    assert!(id.starts_with("wak_"), "{ran:?}");
    id
}

#[test]
fn a_server_runs_what_a_timed_wake_becomes_and_nothing_of_one_that_is_called_off() {
    for (home, _schema) in homes() {
        home.dormouse(["agent", "add", "alice"]).exits(0);
        let first = added(&home, &["--in", "1s", "--", "sh", "-c", "echo woke >> out"]);
        let far = added(&home, &["--in", "90d", "--reason", "far away"]);
        let reasons: Vec<_> = home.items("wake list --agent alice");
        let reasons: Vec<_> = reasons
            .iter()
            .map(|wake| wake["reason"].as_str().unwrap())
            .collect();
        assert_eq!(reasons, ["sh -c echo woke >> out", "far away"]);
        home.type_line(&format!("wake cancel {far}")).exits(0);
        home.type_line(&format!("wake cancel {far}")).exits(3).hints();
        let mut serving = home.start(["serve"]);
        serving.until_said("serving");
        // One that is added beside it is as good.
        added(&home, &["--in", "1s", "--", "sh", "-c", "echo beside >> out"]);
        let out = home.workspace("alice").join("out");
        until("both are run", || {
            let out = std::fs::read_to_string(&out).unwrap_or_default();
            (out.lines().count() == 2).then_some(())
        });
        assert!(home.items("wake list").is_empty());
        home.type_line(&format!("wake cancel {first}")).exits(3).hints();
        assert_eq!(home.items("task list --agent alice").len(), 2);
        serving.signal(Signal::TERM);
        assert_eq!(serving.wait(), Some(0));
    }
}

#[test]
fn who_asks_for_a_wake_is_told_whether_anybody_serves() {
    let home = Home::new();
    home.dormouse(["agent", "add", "alice"]).exits(0);
    let woken = home.type_line("agent wake alice");
    woken.exits(0);
    assert!(woken.stderr.contains("dormouse serve"), "{woken:?}");
    assert_eq!(woken.stdout, "alice\tqueued\n");
    assert_eq!(
        home.type_line("agent wake alice").stdout,
        "alice\tqueued already\n"
    );
    home.type_line("agent wake nobody").exits(3).hints();
    let mut serving = home.start(["serve"]);
    serving.until_said("serving");
    until("it serves", || {
        (home.json("agent wake alice")["served"] == true).then_some(())
    });
    home.dormouse(["agent", "pause", "alice"]).exits(0);
    home.type_line("agent wake alice").exits(7).hints();
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait(), Some(0));
}

#[test]
fn a_task_says_why_it_waits() {
    let home = Home::new();
    home.type_line("task add --agent alice -- true").exits(0);
    let shown = home.type_line("task show 1");
    assert!(
        shown.stdout.contains("cannot run") && shown.stdout.contains("dormouse serve"),
        "{shown:?}"
    );
    home.dormouse(["agent", "pause", "alice"]).exits(0);
    assert_eq!(home.json("task show 1")["reason"], "paused");
}
