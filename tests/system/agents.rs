//! Agents as a user handles them: set, paused, resumed, removed with what is at work.

use crate::home::Home;
use crate::process::{unique_sleep, until_count, with_argument};

#[test]
fn an_agent_is_made_set_paused_and_resumed() {
    let home = Home::new();
    home.type_line("agent add alice concurrency=2 delegates_to=bob,carol")
        .exits(0);
    let shown = home.json("agent show alice");
    assert_eq!(shown["concurrency"], 2, "{shown:#}");
    assert_eq!(shown["delegates_to"], serde_json::json!(["bob", "carol"]));
    home.type_line("agent set alice delegates_to= scrub.formats=own_only")
        .exits(0);
    let shown = home.json("agent show alice");
    assert_eq!(shown["concurrency"], 2, "{shown:#}");
    assert_eq!(shown["delegates_to"], serde_json::json!([]));
    home.type_line("agent set alice concurency=2")
        .exits(2)
        .errs(&["concurrency"]);
    home.type_line("agent set alice concurrency=0").exits(2);
    home.dormouse(["agent", "pause", "alice", "--reason", "too loud"])
        .exits(0);
    let shown = home.json("agent show alice");
    assert_eq!(
        (&shown["state"], &shown["paused_reason"]),
        (&"paused".into(), &"too loud".into())
    );
    home.type_line("run --agent alice -- true")
        .exits(7)
        .errs(&["paused"])
        .hints();
    home.type_line("agent resume alice").exits(0);
    home.type_line("run --agent alice -- true").exits(0);
    home.type_line("agent pause bob").exits(3).hints();
}

/// The clock of a task goes before that of its agent, and that before the instance's. What a variable says counts as the
/// task's: whoever gives it says it.
#[test]
fn the_first_clock_that_is_set_holds_of_task_agent_and_instance() {
    let home = Home::new();
    home.type_line("agent add quick wall_clock=1s").exits(0);
    home.type_line("agent add slow wall_clock=10m idle_timeout=off")
        .exits(0);
    let shown = home.json("agent show slow");
    assert_eq!(
        (&shown["wall_clock_ms"], &shown["idle_timeout_ms"]),
        (&600_000.into(), &"off".into())
    );
    let forever = ["sh", "-c", "exec sleep 300"];
    let run = |home: &Home, words: &[&str], worker: &[&str]| {
        home.dormouse(["run"].iter().chain(words).chain(&["--"]).chain(worker))
    };
    run(&home, &["--agent", "quick"], &forever).exits(124);
    run(&home, &["--agent", "slow", "--timeout", "1s"], &forever).exits(124);
    let here = home.with("DORMOUSE_RUN_WALL_CLOCK", "1s");
    run(&here, &["--agent", "slow"], &forever).exits(124);
    let home = here.with("DORMOUSE_RUN_WALL_CLOCK", "10m");
    let longer = ["sh", "-c", "exec sleep 2"];
    // Longer than its agent's, and yet the task's own.
    run(&home, &["--agent", "quick"], &longer).exits(0);
    home.type_line("agent set quick wall_clock=").exits(0);
    assert_eq!(home.json("agent show quick").get("wall_clock_ms"), None);
}

#[test]
fn a_clock_of_the_instance_is_the_last_that_is_asked() {
    let home = Home::new();
    let file = home.path().join("config/config.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "[run]\nwall_clock = \"1s\"\n").unwrap();
    home.type_line("agent add slow wall_clock=10m").exits(0);
    home.dormouse(["run", "--agent", "slow", "--", "sh", "-c", "exec sleep 2"])
        .exits(0);
    home.dormouse(["run", "--agent", "any", "--", "sh", "-c", "exec sleep 300"])
        .exits(124);
}

#[test]
fn a_clock_of_an_agent_that_is_none_is_refused_by_its_name() {
    let home = Home::new();
    home.type_line("agent add alice").exits(0);
    for key in ["wall_clock", "idle_timeout", "stall_after"] {
        for wrong in ["0s", "31d", "-1s", "soon"] {
            home.type_line(&format!("agent set alice {key}={wrong}"))
                .exits(2)
                .errs(&[key]);
        }
    }
    home.type_line("agent set alice grace=6m")
        .exits(2)
        .errs(&["grace"]);
}

#[test]
fn an_agent_is_removed_when_it_is_meant_and_a_new_one_of_its_name_has_nothing_of_it() {
    let home = Home::new();
    home.type_line("run --agent alice -- true").exits(0);
    home.type_line("task add --agent alice -- true").exits(0);
    home.type_line("agent remove alice")
        .exits(2)
        .errs(&["no terminal"])
        .hints();
    assert_eq!(home.json("agent show alice")["state"], "active");
    let removed = home.type_line("agent remove alice --yes");
    removed.exits(0);
    assert_eq!(removed.stdout, "alice\tdeleted\n");
    home.type_line("agent show alice").exits(3);
    home.type_line("agent remove alice --yes").exits(3).hints();
    home.type_line("agent add alice").exits(0);
    assert!(home.items("task list --agent alice").is_empty());
    assert!(home.items("runs list --agent alice").is_empty());
    let all = home.items("task list");
    let states: Vec<&str> = all.iter().map(|task| task["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["cancelled", "done"], "an operator finds what was");
}

#[test]
fn what_is_at_work_is_stopped_by_force_alone_and_nothing_of_it_lives_on() {
    let home = Home::new();
    let sleep = unique_sleep();
    let running = home.start(["run", "--agent", "alice", "--", "sleep", &sleep]);
    until_count(&sleep, 2);
    home.type_line("agent remove alice --yes")
        .exits(7)
        .errs(&["a run is at it"])
        .hints();
    let removed = home.type_line("agent remove alice --yes --force");
    removed.exits(0);
    assert_eq!(removed.stdout, "alice\tdeleted\n");
    assert_eq!(running.wait(), Some(130), "its run was cancelled");
    assert_eq!(with_argument(&sleep), [0_u32; 0]);
    assert_eq!(home.items("task list")[0]["state"], "cancelled");
    let kinds = crate::events::kinds(&home);
    assert_eq!(kinds.last().unwrap(), "agent.deleted", "{kinds:?}");
}

#[test]
fn a_pause_that_stops_runs_leaves_their_tasks_to_the_next_claim() {
    let home = Home::new();
    let sleep = unique_sleep();
    let running = home.start(["run", "--agent", "alice", "--", "sleep", &sleep]);
    until_count(&sleep, 2);
    let paused = home.type_line("agent pause alice --stop-runs");
    paused.exits(0);
    assert_eq!(paused.stdout, "alice\tpaused\n");
    assert_eq!(running.wait(), Some(130));
    assert_eq!(with_argument(&sleep), [0_u32; 0]);
    // What a command did is not known, so it is not run again by itself.
    let task = home.items("task list").remove(0);
    assert_eq!(
        (&task["state"], &task["outcome"]),
        (&"failed".into(), &"lost".into()),
        "{task:#}"
    );
}
