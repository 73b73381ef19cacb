//! Several processes on one PostgreSQL: killed at random moments, and stopped for longer than a lease lives.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

use crate::home::{Home, Running};
use crate::server::Schema;
use crate::wait::until;

/// Four of them are worked by one process each, at most times.
const AGENTS: [&str; 8] = ["anna", "bert", "carl", "dora", "emil", "fina", "gert", "hans"];
/// How many processes there are.
const PROCESSES: usize = 4;
/// How many tasks there are.
const TASKS: usize = 100;
/// For how long processes are killed.
const KILLS_FOR: Duration = Duration::from_secs(12);
/// What takes longer is stuck: a lane that a killed process had is another's after half a minute.
const PATIENCE: Duration = Duration::from_secs(120);

/// A home on this server, whose leases live for seconds.
fn home(schema: &Schema) -> Home {
    schema
        .home()
        .with("DORMOUSE_STORE_CHECKOUT", "1s")
        .with("DORMOUSE_STORE_LOCK_TIMEOUT", "1s")
        .with("DORMOUSE_STORE_COMMIT_DEADLINE", "2s")
        .with("DORMOUSE_LEASE_TTL", "9s")
        .with("DORMOUSE_LEASE_HEARTBEAT", "3s")
        .with("DORMOUSE_LEASE_SELF_STOP", "6s")
        .with("DORMOUSE_LEASE_SKEW", "1s")
        .with("DORMOUSE_LEASE_RUNWAY", "1s")
}

fn serve(home: &Home) -> Running {
    let mut serving = home.start(["serve", "--runs", "2"]);
    serving.until_said("serving");
    serving
}

#[allow(clippy::print_stdout, reason = "a random test says its seed")]
fn random() -> StdRng {
    let seed = SysRng.try_next_u64().expect("the system gives random bytes");
    println!("seed {seed}");
    StdRng::seed_from_u64(seed)
}

/// Tasks that write their number into this file, of agents whose commands have these effects.
fn add(schema: &Schema, effects: &str, out: &Path) {
    let first = home(schema);
    for agent in AGENTS {
        first.type_line(&format!("agent add {agent}")).exits(0);
        first
            .type_line(&format!("agent set {agent} effects={effects}"))
            .exits(0);
    }
    let folder = out
        .parent()
        .expect("it is in a folder")
        .to_str()
        .expect("it is text");
    std::thread::scope(|scope| {
        for part in 0..PROCESSES {
            scope.spawn(move || {
                let home = home(schema);
                for n in (part..TASKS).step_by(PROCESSES) {
                    let agent = AGENTS[n % AGENTS.len()];
                    // It stays a little, so that kills meet it behind its effect.
                    let (title, line) = (
                        format!("n {n}"),
                        format!("echo {n} >> {}; sleep 0.3", out.display()),
                    );
                    let arguments = [
                        "task", "add", "--agent", agent, "--title", &title, "--write", folder,
                    ];
                    home.dormouse(arguments.into_iter().chain(["--", "sh", "-c", &line]))
                        .exits(0);
                }
            });
        }
    });
}

/// Four processes work the tasks off and are killed and started again at random; then they are left alone. What became of
/// the tasks, by their numbers.
#[allow(clippy::print_stdout, reason = "how much a random test met is told")]
fn worked_off(schema: &Schema) -> Vec<(u64, Value)> {
    let mut random = random();
    let homes: Vec<Home> = (0..PROCESSES).map(|_| home(schema)).collect();
    let mut serving: Vec<Running> = homes.iter().map(serve).collect();
    let (begun, mut kills) = (Instant::now(), 0);
    while begun.elapsed() < KILLS_FOR {
        kills += 1;
        std::thread::sleep(Duration::from_millis(random.random_range(50..1200)));
        let which = random.random_range(0..PROCESSES);
        let killed = serving.swap_remove(which);
        killed.kill();
        serving.push(serve(&homes[which]));
        let last = serving.len() - 1;
        serving.swap(which, last);
    }
    let looking = home(schema);
    let begun = Instant::now();
    // Ends when all have ended, or are stuck.
    loop {
        let tasks = looking.items("task list --limit 1000");
        assert_eq!(tasks.len(), TASKS);
        let has_ended = |task: &Value| ["done", "failed"].contains(&task["state"].as_str().unwrap());
        if tasks.iter().all(has_ended) {
            let runs = looking.items("runs list --limit 1000");
            let is_lost = |run: &&Value| run["outcome"]["kind"] == "lost";
            println!(
                "kills {kills}, runs {}, lost {}",
                runs.len(),
                runs.iter().filter(is_lost).count()
            );
            return tasks.into_iter().map(|task| (number(&task), task)).collect();
        }
        let open = tasks
            .iter()
            .filter(|task| !has_ended(task))
            .map(|task| task.to_string());
        assert!(
            begun.elapsed() < PATIENCE,
            "stuck: {:#?}",
            open.collect::<Vec<_>>()
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn number(task: &Value) -> u64 {
    let title = task["title"].as_str().expect("it has a title");
    title.trim_start_matches("n ").parse().expect("it is a number")
}

/// How often each number was written.
fn written(out: &Path) -> BTreeMap<u64, usize> {
    let mut written = BTreeMap::new();
    for line in std::fs::read_to_string(out).unwrap_or_default().lines() {
        *written.entry(line.parse().expect("it is a number")).or_default() += 1;
    }
    written
}

/// How the runs of a task ended.
fn ends(home: &Home, task: &Value) -> Vec<String> {
    let runs = home.items("runs list --limit 1000");
    let its = runs.iter().filter(|run| run["task"] == task["id"]);
    its.map(|run| run["outcome"]["kind"].as_str().unwrap_or("none").to_owned())
        .collect()
}

#[test]
fn four_killed_processes_do_every_task_whose_effects_may_be_repeated() {
    let Some(schema) = Schema::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    add(&schema, "repeatable", &out);
    let tasks = worked_off(&schema);
    let (written, looking) = (written(&out), home(&schema));
    for (number, task) in tasks {
        if task["state"] == "failed" {
            // A task is taken up again three times: four kills in a row are too many.
            let lost = ends(&looking, &task).iter().filter(|end| *end == "lost").count();
            assert_eq!((&task["outcome"], lost), (&Value::from("lost"), 4), "{task:#}");
            continue;
        }
        assert!(written.contains_key(&number), "{number} is missing: {task:#}");
    }
}

#[test]
fn four_killed_processes_do_no_task_twice_whose_effects_nobody_sees() {
    let Some(schema) = Schema::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    add(&schema, "opaque", &out);
    let tasks = worked_off(&schema);
    let written = written(&out);
    for (number, task) in tasks {
        let times = written.get(&number).copied().unwrap_or_default();
        if task["state"] == "done" {
            assert_eq!(times, 1, "{task:#}");
            continue;
        }
        assert!(times <= 1, "{number} is there {times} times: {task:#}");
        assert_eq!(task["outcome"], "lost", "{task:#}");
    }
}

/// What is stored of tasks and runs, and what was told.
fn seen(home: &Home) -> (Vec<Value>, Vec<Value>, Vec<String>) {
    let (tasks, runs) = (home.items("task list"), home.items("runs list"));
    (tasks, runs, crate::events::kinds(home))
}

#[test]
fn a_process_that_stood_still_past_its_lease_is_fenced_and_changes_nothing() {
    let Some(schema) = Schema::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let began = folder.path().join("began");
    let (one, other) = (home(&schema), home(&schema));
    one.type_line("agent add anna").exits(0);
    one.type_line("agent set anna effects=repeatable").exits(0);
    let mut standing = serve(&one);
    // The first attempt stays for ever, the second one ends.
    let line = format!(
        "echo x >> {0}; test $(wc -l < {0}) = 2 || sleep 1000",
        began.display()
    );
    let write = folder.path().to_str().unwrap();
    let arguments = [
        "task", "add", "--agent", "anna", "--write", write, "--", "sh", "-c", &line,
    ];
    one.dormouse(arguments).exits(0);
    until("the first attempt is at work", || began.exists().then_some(()));
    standing.signal(Signal::STOP);
    let serving = serve(&other);
    until("another process has done it", || {
        let task = other.items("task list").remove(0);
        (task["state"] == "done").then_some(())
    });
    let before = seen(&other);
    let ends: Vec<_> = before
        .1
        .iter()
        .map(|run| run["outcome"]["kind"].as_str().unwrap())
        .collect();
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert!(ends.contains(&"lost") && ends.contains(&"success"), "{ends:?}");
    standing.signal(Signal::CONT);
    // Either its heart is told first, or it sees that its worker was killed, and is refused when it tells that.
    standing.until_said_one_of(&["no longer held", "is refused"]);
    standing.signal(Signal::TERM);
    assert_eq!(standing.wait(), Some(0), "it left in peace");
    assert_eq!(seen(&other), before);
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait(), Some(0));
}
