//! Workers that misbehave, each in its way, under a server: each ends as the page says, and nothing of it is left.

use rustix::process::Signal;
use serde_json::Value;

use crate::home::Home;
use crate::process::{unique_sleep, with_argument};
use crate::wait::until;

/// A line longer than one is taken.
const LONG_LINE: usize = 17 * 1024 * 1024;
/// More than a transcript keeps.
const FLOOD: usize = 24 * 1024 * 1024;
/// What is kept of a transcript at most: its head, its tail, and the slack of that.
const KEPT_MAX: u64 = 9 * 1024 * 1024;

/// A worker and what is known of its end beforehand.
struct Case {
    name: &'static str,
    script: String,
    options: &'static [&'static str],
    outcome: &'static str,
    task: &'static str,
}

/// A worker that goes in time by itself.
fn leaves(name: &'static str, script: String) -> Case {
    Case {
        name,
        script,
        options: &["--timeout", "60s"],
        outcome: "success",
        task: "done",
    }
}

/// A worker that a clock has to end.
fn stays(name: &'static str, script: String) -> Case {
    Case {
        name,
        script,
        options: &["--timeout", "2s", "--grace", "300ms"],
        outcome: "timeout",
        task: "failed",
    }
}

/// What the workers of the page do; each of their processes has this word among its arguments.
fn cases(mark: &str) -> Vec<Case> {
    vec![
        leaves("forks", format!("sleep {mark} & sleep {mark} & exit 0")),
        leaves(
            "double-forks",
            format!("(sh -c 'sleep {mark} & sleep {mark}' &); exit 0"),
        ),
        leaves("setsids", format!("setsid sleep {mark} & exit 0")),
        stays(
            "ignores-term",
            format!("trap '' TERM INT HUP; sleep {mark} & while :; do wait; done"),
        ),
        stays(
            "ignores-term-elsewhere",
            format!("setsid sh -c \"trap '' TERM; while :; do sleep {mark}; done\" & wait"),
        ),
        stays(
            "closes-its-pipes",
            format!("exec >&- 2>&- <&-; exec sleep {mark}"),
        ),
        leaves(
            "one-long-line",
            format!("head -c {LONG_LINE} /dev/zero | tr '\\0' x; echo; echo behind it"),
        ),
        leaves(
            "floods-its-transcript",
            format!("echo the first; yes | head -c {FLOOD}; echo the last"),
        ),
        leaves("never-reads-stdin", format!("sleep {mark} & exit 0")),
        stays("stops-itself", format!("sleep {mark} & kill -STOP $$")),
    ]
}

fn added(home: &Home, case: &Case, input: &str) -> String {
    let agent = case.name;
    let stdin: &[&str] = match agent {
        "never-reads-stdin" => &["--stdin", input],
        _ => &[],
    };
    let worker = ["--agent", agent, "--", "sh", "-c", &case.script];
    let ran = home.dormouse([&["task", "add", "-o", "json"][..], case.options, stdin, &worker].concat());
    ran.exits(0);
    ran.json()["id"].as_str().unwrap().to_owned()
}

/// The one run of an agent, once its task has ended.
fn ended(home: &Home, case: &Case, task: &str) -> Value {
    until(&format!("{} has ended", case.name), || {
        let state = home.json(&format!("task show {task}"))["state"].clone();
        (state == "done" || state == "failed").then_some(())
    });
    let state = home.json(&format!("task show {task}"))["state"].clone();
    assert_eq!(state, case.task, "{}", case.name);
    let runs = home.items(&format!("runs list --agent {}", case.name));
    assert_eq!(runs.len(), 1, "{}: it is not run again", case.name);
    home.json(&format!("runs show {}", runs[0]["id"].as_str().unwrap()))
}

#[test]
fn a_worker_ends_as_the_page_says_whatever_it_does_and_nothing_of_it_is_left() {
    let home = Home::new();
    let mark = unique_sleep();
    let input = home.path().with_file_name("input");
    std::fs::write(&input, vec![b'x'; 1024 * 1024]).unwrap();
    let input = input.to_str().unwrap();
    let mut serving = home.start(["serve"]);
    serving.until_said("serving");
    let cases = cases(&mark);
    let tasks: Vec<String> = cases.iter().map(|case| added(&home, case, input)).collect();
    for (case, task) in cases.iter().zip(&tasks) {
        let run = ended(&home, case, task);
        let name = case.name;
        assert_eq!(run["outcome"]["kind"], case.outcome, "{name}: {run:#}");
        if case.outcome == "timeout" {
            assert_eq!(run["outcome"]["clock"], "wall", "{name}: {run:#}");
        }
        let logs = || home.type_line(&format!("runs logs {}", run["id"].as_str().unwrap()));
        let elided = run["facts"]["elided_bytes"].as_u64().unwrap_or(0);
        match name {
            "forks" | "double-forks" | "setsids" | "never-reads-stdin" => {
                assert!(run["facts"]["strays"].as_u64().unwrap() > 0, "{name}: {run:#}");
            }
            "one-long-line" | "floods-its-transcript" => {
                let kept = logs().stdout;
                let written = if name == "one-long-line" {
                    LONG_LINE + "\nbehind it\n".len()
                } else {
                    FLOOD + "the first\nthe last\n".len()
                };
                assert!(elided > 0, "{name}: {run:#}");
                assert!(
                    kept.len() as u64 <= KEPT_MAX,
                    "{name}: {} bytes are kept",
                    kept.len()
                );
                let all = kept.len() as u64 + elided;
                assert_eq!(all, written as u64, "{name}: what is left out is counted");
                let last = if name == "one-long-line" {
                    "behind it\n"
                } else {
                    "the last\n"
                };
                assert!(kept.ends_with(last), "{name}: {:?}", &kept[kept.len() - 40..]);
            }
            _ => {}
        }
    }
    assert_eq!(
        with_argument(&mark),
        Vec::<u32>::new(),
        "something outlived its run"
    );
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait(), Some(0));
}

/// The keepers below a process.
fn keepers(of: u32) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_keeper = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.ends_with(b"__keeper\0")
    };
    let parent = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')')
            .next()?
            .split_whitespace()
            .nth(1)?
            .parse::<u32>()
            .ok()
    };
    numbers
        .filter(|pid| is_keeper(pid) && parent(pid) == Some(of))
        .collect()
}

/// Runs until it is killed; whoever does the task again says whether the former is alive.
const AGAIN: &str = "if [ -e pid-$N ]; then \
                       if grep -q $MARK /proc/$(cat pid-$N)/cmdline; then echo alive; else echo dead; fi > again-$N; exit 0; \
                     fi; echo $$ > pid-$N; exec sleep $MARK";

fn work(home: &Home, agent: &str, nth: usize, mark: &str, more: &[&str]) -> String {
    let (number, mark) = (format!("N={nth}"), format!("MARK={mark}"));
    let worker = [
        "--agent", agent, "--env", &number, "--env", &mark, "--", "sh", "-c", AGAIN,
    ];
    let ran = home.dormouse([&["task", "add", "-o", "json"][..], more, &worker].concat());
    ran.exits(0);
    ran.json()["id"].as_str().unwrap().to_owned()
}

/// WK-28: opaque and repeatable. WK-7, with the keepers dead too; a number that another process has is
/// `recovery_kills_first_and_spares_a_number_that_is_another_s` of the engine.
#[test]
fn a_server_killed_with_twenty_workers_ends_them_all_before_it_claims_again() {
    const EACH: usize = 10;
    let home = Home::new();
    let mark = unique_sleep();
    for agent in ["opaque", "repeatable"] {
        home.dormouse(["agent", "add", agent, "concurrency=10"]).exits(0);
    }
    let mut serving = home.start(["serve"]);
    serving.until_said("serving");
    let (mut opaque, mut repeatable) = (Vec::new(), Vec::new());
    for nth in 0..EACH {
        opaque.push(work(&home, "opaque", nth, &mark, &[]));
        repeatable.push(work(&home, "repeatable", nth, &mark, &["--repeatable"]));
    }
    until("all are at work", || {
        (with_argument(&mark).len() == 2 * EACH).then_some(())
    });
    // With their keepers, or these would end them before anybody starts again.
    let keepers = keepers(serving.id());
    assert_eq!(keepers.len(), 2 * EACH);
    serving.signal(Signal::STOP);
    for keeper in keepers {
        let keeper = rustix::process::Pid::from_raw(keeper).unwrap();
        rustix::process::kill_process(keeper, Signal::KILL).unwrap();
    }
    serving.kill();
    assert_eq!(with_argument(&mark).len(), 2 * EACH, "they are orphans now");

    let mut serving = home.start(["serve"]);
    serving.until_said("serving");
    assert_eq!(with_argument(&mark), Vec::<u32>::new(), "an orphan lives");
    until("what may be done again is done", || {
        let states = repeatable
            .iter()
            .map(|task| home.json(&format!("task show {task}")));
        states
            .into_iter()
            .all(|task| task["state"] == "done")
            .then_some(())
    });
    for nth in 0..EACH {
        let said = std::fs::read_to_string(home.workspace("repeatable").join(format!("again-{nth}")));
        assert_eq!(
            said.unwrap(),
            "dead\n",
            "the {nth}th was claimed while its orphan lived"
        );
    }
    // Table C: what nobody knows the effects of is not done again by itself.
    for task in &opaque {
        assert_eq!(home.json(&format!("task show {task}"))["state"], "failed");
    }
    let runs = home.items("runs list");
    let of = |kind: &str| runs.iter().filter(|run| run["outcome"]["kind"] == kind).count();
    assert_eq!(
        (runs.len(), of("lost"), of("success")),
        (3 * EACH, 2 * EACH, EACH)
    );
    // Each is told lost once, and the last of them before the first claim of the new server.
    let kinds = crate::events::kinds(&home);
    let at = |kind: &str| -> Vec<usize> {
        let all = kinds.iter().enumerate();
        all.filter(|(_, found)| *found == kind)
            .map(|(at, _)| at)
            .collect()
    };
    let (started, ended) = (at("run.started"), at("run.ended"));
    assert_eq!((started.len(), ended.len()), (3 * EACH, 3 * EACH));
    assert!(ended[2 * EACH - 1] < started[2 * EACH], "{kinds:?}");
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait(), Some(0));
}
