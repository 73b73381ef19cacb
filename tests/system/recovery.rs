//! `kill -9` of the owner: nothing that was said is lost, and nothing goes on unseen.

use crate::home::Home;
use crate::process::{unique_sleep, until_count, with_argument};

/// ST-34: the kill
#[test]
fn after_kill_9_the_run_is_lost_its_worker_dead_and_the_task_failed() {
    let home = Home::new();
    let sleep = unique_sleep();
    // The program has the word in a longer one: as its own argument, its fork would be taken for the worker.
    let script = format!("exec sleep {sleep}");
    let running = home.start(["run", "--agent", "alice", "--", "sh", "-c", &script]);
    until_count(&sleep, 1);
    running.kill();
    let runs = home.items("runs list");
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0]["state"], "ended", "{:#}", runs[0]);
    assert_eq!(runs[0]["outcome"]["kind"], "lost", "{:#}", runs[0]);
    // A process has effects nobody sees, so it is not run again by itself: table C.
    let tasks = home.items("task list");
    assert_eq!(tasks[0]["state"], "failed", "{:#}", tasks[0]);
    assert_eq!(with_argument(&sleep), [0_u32; 0], "the worker outlived its owner");
    let kinds = crate::events::kinds(&home);
    assert_eq!(
        kinds,
        [
            "agent.created",
            "task.created",
            "run.started",
            "lease.expired",
            "run.ended",
            "task.failed"
        ]
    );
}

#[test]
fn what_a_killed_owner_had_streamed_is_in_the_transcript() {
    let home = Home::new();
    let sleep = unique_sleep();
    let script = format!("echo said before the kill; sleep {sleep}");
    let mut running = home.start(["run", "--agent", "alice", "--", "sh", "-c", &script]);
    assert_eq!(running.line(), "said before the kill");
    let id = home.items("runs list")[0]["id"].as_str().unwrap().to_owned();
    // What is read back is durable, and so outlives the kill.
    crate::wait::until("the line is in the log", || {
        let logs = home.type_line(&format!("runs logs {id}"));
        logs.stdout.contains("said before the kill").then_some(())
    });
    running.kill();
    let logs = home.type_line(&format!("runs logs {id}"));
    logs.exits(0);
    assert_eq!(logs.stdout, "said before the kill\n");
}

#[test]
fn a_lost_task_runs_again_when_a_human_says_so() {
    let home = Home::new();
    let sleep = unique_sleep();
    let script = format!("test -e second || {{ touch second; sleep {sleep}; }}");
    let running = home.start(["run", "--agent", "alice", "--", "sh", "-c", &script]);
    until_count(&sleep, 1);
    running.kill();
    let task = home.items("task list")[0]["id"].as_str().unwrap().to_owned();
    home.type_line(&format!("task retry {task}")).exits(0);
    home.type_line(&format!("run {task}")).exits(0);
    let runs = home.items("runs list");
    let mut outcomes: Vec<_> = runs
        .iter()
        .map(|run| {
            (
                run["attempt"].as_u64().unwrap(),
                run["outcome"]["kind"].as_str().unwrap(),
            )
        })
        .collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, [(1, "lost"), (2, "success")]);
}
