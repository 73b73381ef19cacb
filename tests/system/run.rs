//! `dormouse run`: the first thing a user types.

use rustix::process::Signal;

use crate::home::Home;
use crate::process::{unique_sleep, until_count, with_argument};

#[test]
fn the_first_command_on_an_empty_home_runs_a_worker_and_streams_it() {
    let home = Home::new();
    let ran = home.dormouse([
        "run",
        "--agent",
        "alice",
        "--",
        "sh",
        "-c",
        "echo hello from alice",
    ]);
    ran.exits(0);
    assert_eq!(ran.stdout, "hello from alice\n", "{ran:?}");
    assert!(ran.stderr.contains("alice"), "a new agent is said: {ran:?}");
}

#[test]
fn a_run_can_be_shown_and_its_transcript_read() {
    let home = Home::new();
    home.dormouse(["run", "--agent", "alice", "--", "sh", "-c", "echo one; echo two"])
        .exits(0);
    let runs = home.items("runs list");
    assert_eq!(runs.len(), 1);
    let id = runs[0]["id"].as_str().expect("a run has an id").to_owned();
    assert!(id.starts_with("run_"), "{id}");
    let run = home.json(&format!("runs show {id}"));
    assert_eq!(run["agent"], "alice", "{run:#}");
    assert_eq!(run["attempt"], 1, "{run:#}");
    assert_eq!(run["outcome"]["kind"], "success", "{run:#}");
    assert_eq!(run["facts"]["exit"]["code"], 0, "{run:#}");
    assert!(
        run["started_at"].is_string() && run["ended_at"].is_string(),
        "{run:#}"
    );
    let logs = home.type_line(&format!("runs logs {id}"));
    logs.exits(0);
    assert_eq!(logs.stdout, "one\ntwo\n");
}

#[test]
fn an_id_may_be_given_by_its_first_digits() {
    let home = Home::new();
    home.type_line("run --agent alice -- true").exits(0);
    let id = home.items("runs list")[0]["id"].as_str().unwrap().to_owned();
    // A type prefix of four, and eight digits of the time.
    let run = home.json(&format!("runs show {}", &id[..12]));
    assert_eq!(run["id"], id);
}

/// A home with two runs whose ids begin with the same eight digits, which are the time down to a minute.
fn two_runs_of_one_minute() -> (Home, [String; 2]) {
    let made = (0..3).map(|_| {
        let home = Home::new();
        home.type_line("run --agent alice -- true").exits(0);
        home.type_line("run --agent alice -- true").exits(0);
        let runs = home.items("runs list");
        let id = |at: usize| runs[at]["id"].as_str().unwrap().to_owned();
        let ids = [id(0), id(1)];
        (home, ids)
    });
    let mut twins = made.filter(|(_, ids)| ids[0][..12] == ids[1][..12]);
    twins
        .next()
        .expect("the minute ends between the runs once, and not three times")
}

/// PR-16
#[test]
fn digits_that_two_ids_begin_with_name_neither() {
    let (home, [first, second]) = two_runs_of_one_minute();
    let shared = &first[..12];
    home.type_line(&format!("runs show {shared}"))
        .exits(2)
        .errs(&[&first, &second]);
    home.type_line(&format!("runs show {first} --tenant other"))
        .exits(3)
        .errs(&[&first]);
    home.type_line(&format!("runs show {shared} --tenant other"))
        .exits(3);
}

#[test]
fn a_timeout_ends_the_whole_tree() {
    let home = Home::new();
    let sleep = unique_sleep();
    let script = format!("sleep {sleep} & setsid sleep {sleep} & wait");
    home.dormouse([
        "run",
        "--agent",
        "alice",
        "--timeout",
        "1s",
        "--",
        "sh",
        "-c",
        &script,
    ])
    .exits(124);
    assert_eq!(with_argument(&sleep), [0_u32; 0], "a sleep survived");
    assert_eq!(home.items("runs list")[0]["outcome"]["kind"], "timeout");
}

#[test]
fn a_worker_that_fails_is_exit_1_and_its_own_code_on_request() {
    let home = Home::new();
    let fails = |options: &[&str]| {
        let worker = ["--", "sh", "-c", "exit 3"];
        home.dormouse(["run", "--agent", "alice"].iter().chain(options).chain(&worker))
    };
    fails(&[]).exits(1);
    fails(&["--exit", "worker"]).exits(3);
}

#[test]
fn a_worker_that_a_signal_ends_is_128_and_the_signal() {
    let home = Home::new();
    let ran = home.dormouse([
        "run",
        "--agent",
        "alice",
        "--exit",
        "worker",
        "--",
        "sh",
        "-c",
        "kill -9 $$",
    ]);
    ran.exits(137);
}

#[test]
fn a_program_that_is_not_there_fails_with_a_hint() {
    let home = Home::new();
    let ran = home.type_line("run --agent alice -- no-such-program");
    ran.exits(1).errs(&["no-such-program"]).hints();
    let outcome = &home.items("runs list")[0]["outcome"];
    assert_eq!(outcome["kind"], "failed", "{outcome:#}");
    assert!(outcome.to_string().contains("spawn"), "{outcome:#}");
}

/// PR-3
#[test]
fn an_agent_is_made_and_a_typo_of_it_is_not() {
    let home = Home::new();
    home.type_line("run --agent alice -- true").exits(0);
    let agents = || -> Vec<String> {
        let names = home.items("agent list");
        names
            .iter()
            .map(|agent| agent["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(agents(), ["alice"]);
    home.type_line("run --agent alcie -- true")
        .exits(3)
        .errs(&["alcie", "alice"])
        .hints();
    assert_eq!(agents(), ["alice"]);
}

#[test]
fn no_create_refuses_an_unknown_agent() {
    let home = Home::new();
    home.type_line("run --agent bob --no-create -- true")
        .exits(3)
        .errs(&["bob"])
        .hints();
    assert_eq!(home.items("agent list").len(), 0);
}

#[test]
fn ctrl_c_cancels_and_ends_the_tree() {
    let home = Home::new();
    let sleep = unique_sleep();
    let running = home.start(["run", "--agent", "alice", "--", "sleep", &sleep]);
    // The program's own command line has the argument too.
    until_count(&sleep, 2);
    running.signal(Signal::INT);
    assert_eq!(running.wait(), Some(130));
    assert_eq!(with_argument(&sleep), [0_u32; 0], "the sleep survived");
    assert_eq!(home.items("runs list")[0]["outcome"]["kind"], "cancelled");
}

/// PR-5, by the clock of the machine.
#[test]
fn ctrl_c_asks_first_and_kills_when_it_is_pressed_again() {
    let home = Home::new();
    let asked = "trap 'echo asked; exit 0' TERM INT; echo ready; while :; do sleep 0.01; done";
    let mut running = home.start(["run", "--agent", "alice", "--", "sh", "-c", asked]);
    assert_eq!(running.line(), "ready");
    running.signal(Signal::INT);
    assert_eq!(running.line(), "asked");
    assert_eq!(running.wait(), Some(130));

    let deaf = "trap '' TERM INT; echo ready; while :; do sleep 0.01; done";
    let mut running = home.start(["run", "--agent", "alice", "--grace", "5m", "--", "sh", "-c", deaf]);
    assert_eq!(running.line(), "ready");
    running.signal(Signal::INT);
    crate::wait::until("the run stops", || {
        let runs = home.items("runs list");
        runs.iter().any(|run| run["state"] == "stopping").then_some(())
    });
    running.signal(Signal::INT);
    assert_eq!(running.wait(), Some(130));

    let outcomes: Vec<_> = home
        .items("runs list")
        .iter()
        .map(|run| run["outcome"]["kind"].clone())
        .collect();
    assert_eq!(outcomes, ["cancelled", "cancelled"]);
    let ends = crate::events::kinds(&home)
        .into_iter()
        .filter(|kind| kind == "run.ended");
    assert_eq!(ends.count(), 2, "one terminal outcome each");
}

#[test]
fn a_worker_gets_none_of_our_environment() {
    let home = Home::new();
    let mut command = home.command(["run", "--agent", "alice", "--", "env"]);
    command.env("SOME_API_TOKEN", "must-not-be-seen");
    let ran = crate::home::Ran::of(&mut command);
    ran.exits(0);
    assert!(ran.stdout.contains("DORMOUSE_RUN="), "{ran:?}");
    assert!(!ran.stdout.contains("must-not-be-seen"), "{ran:?}");
    assert!(!ran.stdout.contains("DORMOUSE_HOME"), "{ran:?}");
}
