//! One process holds the store; every other goes through it.

use std::process::Child;
use std::time::Duration;

use tokio::time::Instant;

use crate::home::{Home, Ran};
use crate::process::{unique_sleep, until_count};

#[test]
fn a_second_terminal_works_while_a_run_owns_the_store() {
    let home = Home::new();
    let sleep = unique_sleep();
    let running = home.start(["run", "--agent", "alice", "--", "sleep", &sleep]);
    until_count(&sleep, 2);
    let tasks = home.items("task list");
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0]["state"], "running", "{:#}", tasks[0]);
    let id = tasks[0]["id"].as_str().unwrap();
    home.type_line(&format!("task cancel {id}")).exits(0);
    assert_eq!(running.wait(), Some(130), "the run ends as cancelled");
}

#[test]
fn two_runs_at_once_share_one_owner() {
    let home = Home::new();
    let sleep = unique_sleep();
    let owner = home.start(["run", "--agent", "alice", "--", "sleep", &sleep]);
    until_count(&sleep, 2);
    let guest = home.dormouse(["run", "--agent", "bob", "--", "echo", "from the guest"]);
    guest.exits(0);
    assert_eq!(guest.stdout, "from the guest\n");
    assert_eq!(home.items("runs list").len(), 2);
    drop(owner);
}

/// PR-34
#[test]
fn an_owner_stays_for_its_guest_says_so_and_leaves_with_it() {
    let home = Home::new();
    let until_told = "echo waiting; while [ ! -e go ]; do sleep 0.01; done";
    let run = |agent: &str| home.start(["run", "--agent", agent, "--", "sh", "-c", until_told]);
    let mut owner = run("alice");
    assert_eq!(owner.line(), "waiting");
    let mut guest = run("bob");
    assert_eq!(guest.line(), "waiting");
    std::fs::write(home.workspace("alice").join("go"), "").unwrap();
    owner.until_said("staying until it ends");
    assert_eq!(home.items("runs list --agent alice")[0]["state"], "ended");
    assert_eq!(home.items("runs list --agent bob")[0]["state"], "running");
    std::fs::write(home.workspace("bob").join("go"), "").unwrap();
    assert_eq!(guest.wait(), Some(0));
    assert_eq!(owner.wait(), Some(0));
}

#[test]
fn an_owner_whose_output_cannot_be_written_keeps_its_run_and_its_guest_and_exits_1() {
    let home = Home::new();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let until_told = "echo waiting; while [ ! -e go ]; do sleep 0.01; done; echo went";
    let arguments = ["run", "--agent", "alice", "--", "sh", "-c", until_told];
    let mut owner = home.start_onto(arguments, full);
    owner.until_said("the run goes on");
    let mut guest = home.start(["run", "--agent", "bob", "--", "sh", "-c", until_told]);
    assert_eq!(guest.line(), "waiting");
    std::fs::write(home.workspace("alice").join("go"), "").unwrap();
    owner.until_said("staying until it ends");
    std::fs::write(home.workspace("bob").join("go"), "").unwrap();
    assert_eq!(guest.line(), "went");
    assert_eq!(guest.wait(), Some(0));
    assert_eq!(owner.wait(), Some(1));
    for run in home.items("runs list") {
        assert_eq!(run["outcome"]["kind"], "success", "{run:#}");
    }
    let run = home.items("runs list --agent alice")[0]["id"].clone();
    let kept = home.type_line(&format!("runs logs {}", run.as_str().unwrap()));
    assert_eq!(kept.stdout, "waiting\nwent\n");
}

#[test]
fn an_owner_whose_program_was_removed_still_runs_what_it_is_asked_to() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("dormouse");
    std::fs::copy(crate::program::program(), &old).unwrap();
    let sleep = unique_sleep();
    let mut command = std::process::Command::new(&old);
    let of_home = home.command(["run", "--agent", "alice", "--", "sleep", &sleep]);
    command
        .args(of_home.get_args())
        .env_clear()
        .envs(
            of_home
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stderr(std::process::Stdio::null());
    let mut owner = command.spawn().unwrap();
    until_count(&sleep, 2);
    std::fs::remove_file(&old).unwrap();
    let guest = home.dormouse(["run", "--agent", "bob", "--", "echo", "from the guest"]);
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&owner),
        rustix::process::Signal::INT,
    )
    .unwrap();
    owner.wait().unwrap();
    guest.exits(0);
    assert_eq!(guest.stdout, "from the guest\n");
}

#[test]
fn a_reader_that_takes_its_time_keeps_nobody_from_the_store() {
    let home = Home::new();
    // More than is printed without a look at the store again, at a pace that leaves nothing out.
    let much = "for i in $(seq 15); do yes 0123456789abcde | head -c 96000; sleep 0.1; done";
    home.dormouse(["run", "--agent", "alice", "--", "sh", "-c", much])
        .exits(0);
    let id = home.items("runs list")[0]["id"].as_str().unwrap().to_owned();
    let whole = home.type_line(&format!("runs logs {id}")).stdout.len();
    assert!(whole > 1024 * 1024, "{whole}");
    let mut slow = home.start(["runs", "logs", &id]);
    // It has begun, and now waits for us.
    assert_eq!(slow.line(), "0123456789abcde");
    home.type_line("run --agent bob -- true").exits(0);
    let mut bytes = 16;
    loop {
        let line = slow.line();
        if line.is_empty() {
            break;
        }
        bytes += line.len() + 1;
    }
    assert_eq!(bytes, whole, "it goes on where it was");
    assert_eq!(slow.wait(), Some(0));
}

/// PR-23
#[test]
fn two_dozen_commands_at_once_on_an_empty_store_all_succeed() {
    let home = Home::new();
    let start = Instant::now();
    let started: Vec<Child> = (0..24)
        .map(|number| {
            let name = format!("agent-{number:02}");
            let mut command = home.command(["agent", "add", &name]);
            command
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::piped());
            command.spawn().expect("the program starts")
        })
        .collect();
    for child in started {
        let output = child.wait_with_output().expect("the program can be waited for");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", output.status);
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(home.items("agent list").len(), 24);
}

#[test]
fn a_socket_of_a_dead_owner_is_no_obstacle() {
    let home = Home::new();
    let sleep = unique_sleep();
    let running = home.start(["run", "--agent", "alice", "--", "sleep", &sleep]);
    until_count(&sleep, 2);
    running.kill();
    home.type_line("agent add bob").exits(0);
    home.type_line("task list").exits(0);
}

#[test]
fn a_store_held_by_a_program_that_does_not_answer_is_exit_6() {
    let home = Home::new();
    home.type_line("agent add alice").exits(0);
    let held = hold_locks(&home);
    let mut command = home.command(["task", "list"]);
    command.env("DORMOUSE_CLIENT_ATTACH_TIMEOUT", "300ms");
    Ran::of(&mut command).exits(6).errs(&[]).hints();
    drop(held);
    home.type_line("task list").exits(0);
}

/// Takes every lock file of the home as another program would, and serves nothing.
fn hold_locks(home: &Home) -> Vec<std::fs::File> {
    let locks = crate::modes::files_below(&home.path());
    let locks = locks.iter().filter(|path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        name.contains("lock")
    });
    let held: Vec<_> = locks
        .map(|path| {
            let file = std::fs::File::options()
                .read(true)
                .write(true)
                .open(path)
                .unwrap();
            rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
                .expect("nobody holds it");
            file
        })
        .collect();
    assert!(!held.is_empty(), "the home has a lock file");
    held
}
