//! `serve`: claims what is ready by itself, and leaves when it is told to.

use rustix::process::Signal;

use crate::home::Home;
use crate::process::{unique_sleep, until_count, with_argument};
use crate::server::Schema;
use crate::wait::until;

fn state_of(home: &Home, task: &str) -> String {
    let task = home.json(&format!("task show {task}"));
    task["state"].as_str().unwrap().to_owned()
}

fn added(home: &Home, arguments: &[&str]) -> String {
    let ran = home.dormouse([&["task", "add", "-o", "json"][..], arguments].concat());
    ran.exits(0);
    ran.json()["id"].as_str().unwrap().to_owned()
}

fn make(home: &Home, agents: &[&str]) {
    for agent in agents {
        home.dormouse(["agent", "add", agent]).exits(0);
    }
}

fn with_agents(agents: &[&str]) -> Home {
    let home = Home::new();
    make(&home, agents);
    home
}

#[test]
fn a_task_added_beside_a_server_is_run_at_once_and_those_from_before_it_too() {
    let home = with_agents(&["night"]);
    let before = added(
        &home,
        &["--agent", "night", "--", "sh", "-c", "echo before >> out"],
    );
    let mut serving = home.start(["serve"]);
    serving.until_said("serving");
    let beside = added(
        &home,
        &["--agent", "night", "--", "sh", "-c", "echo beside >> out"],
    );
    until("both are done", || {
        let states = [&before, &beside].map(|task| state_of(&home, task));
        (states == ["done", "done"]).then_some(())
    });
    let out = std::fs::read_to_string(home.workspace("night").join("out")).unwrap();
    assert_eq!(out, "before\nbeside\n");
    assert_eq!(home.items("runs list --agent night").len(), 2);
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait(), Some(0));
}

/// Its task is ready as soon as it is made, and the server claims what is ready: who asked begins it all the same, and a
/// gate of it is decided as they said.
#[test]
fn a_run_beside_a_server_is_begun_by_who_asked_for_it() {
    let home = with_agents(&["night"]);
    let mut serving = home.start(["serve"]);
    serving.until_said("serving");
    for nth in 0..20 {
        let ran = home.dormouse(["run", "--agent", "night", "--", "sh", "-c", "echo ran"]);
        ran.exits(0);
        assert_eq!(home.items("runs list --agent night").len(), nth + 1);
    }
    let done = home.items("task list --agent night --state done");
    assert_eq!(done.len(), 20, "{done:?}");
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait(), Some(0));
}

#[test]
fn a_second_server_of_a_home_is_refused_and_told_of_the_first() {
    let home = Home::new().with("DORMOUSE_CLIENT_ATTACH_TIMEOUT", "300ms");
    let mut serving = home.start(["serve"]);
    serving.until_said("serving");
    let second = home.dormouse(["serve"]);
    second.exits(7).errs(&["served by process"]).hints();
}

#[test]
fn the_first_signal_lets_runs_end_and_claims_no_more() {
    let home = with_agents(&["night"]);
    let until_told = "echo began > began; while [ ! -e go ]; do sleep 0.01; done";
    let mut serving = home.start(["serve"]);
    serving.until_said("serving");
    let first = added(&home, &["--agent", "night", "--", "sh", "-c", until_told]);
    let began = home.workspace("night").join("began");
    until("it began", || began.exists().then_some(()));
    let second = added(&home, &["--agent", "night", "--", "true"]);
    serving.signal(Signal::TERM);
    serving.until_said("1 at work");
    std::fs::write(home.workspace("night").join("go"), "").unwrap();
    assert_eq!(serving.wait(), Some(0));
    assert_eq!(state_of(&home, &first), "done");
    assert_eq!(state_of(&home, &second), "ready");
}

#[test]
fn a_run_that_does_not_end_in_the_drain_is_stopped_and_its_task_says_so() {
    let home = with_agents(&["night"]);
    let sleep = unique_sleep();
    let mut serving = home.start(["serve", "--drain", "0s"]);
    serving.until_said("serving");
    let task = added(&home, &["--agent", "night", "--", "sleep", &sleep]);
    until_count(&sleep, 1);
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait(), Some(0));
    assert_eq!(with_argument(&sleep), Vec::<u32>::new());
    // What a process did cannot be seen, so it is not done again by itself.
    assert_eq!(state_of(&home, &task), "failed");
}

#[test]
fn two_homes_of_one_server_share_the_work_and_each_task_is_done_once() {
    let Some(schema) = Schema::new() else { return };
    let homes = [schema.home(), schema.home()];
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut serving: Vec<_> = homes
        .iter()
        .map(|home| home.start(["serve", "--runs", "2"]))
        .collect();
    for serving in &mut serving {
        serving.until_said("serving");
    }
    let agents = ["anna", "bert", "carl", "dora"];
    make(&homes[0], &agents);
    let mut tasks = Vec::new();
    for nth in 0..12 {
        let line = format!("echo {nth} >> {}", out.display());
        let agent = agents[nth % agents.len()];
        let write = folder.path().to_str().unwrap();
        let arguments = ["--agent", agent, "--write", write, "--", "sh", "-c", &line];
        tasks.push(added(&homes[nth % 2], &arguments));
    }
    until("all are done", || {
        tasks
            .iter()
            .all(|task| state_of(&homes[0], task) == "done")
            .then_some(())
    });
    let mut written: Vec<u32> = std::fs::read_to_string(&out)
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    written.sort_unstable();
    assert_eq!(written, (0..12).collect::<Vec<_>>());
    for serving in serving {
        serving.signal(Signal::TERM);
        assert_eq!(serving.wait(), Some(0));
    }
}
