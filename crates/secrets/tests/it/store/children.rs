//! Processes beside the test: one that is killed at a commit, and ones that share its store.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use dormouse_secrets::Generator;

use super::crash;
use super::dying::{Dying, Side};
use super::house::House;
use super::place::Place;
use super::processes;

/// What a child is told: its role, its store, and at which commit it dies.
const CHILD: &str = "DORMOUSE_TEST_SECRETS_CHILD";

/// What a process of the tests does, by what it was told.
#[tokio::test]
#[ignore = "a process beside a test"]
async fn a_child_of_the_tests_here() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let parts: Vec<&str> = told.split('|').collect();
    let (role, store, side, at) = (parts[0], parts[1], parts[2], parts[3].parse().unwrap());
    let side = if side == "before" {
        Side::Before
    } else {
        Side::After
    };
    let place = Place::Theirs(store.to_owned());
    let store = Arc::new(Dying::new(place.open().await, side, at));
    let house = House::over(store.clone(), place, Generator::from_system().unwrap()).await;
    store.arm();
    match role.split_once(' ') {
        Some(("process", role)) => processes::child(role, house).await,
        _ => crash::child(role, house).await,
    }
}

/// How a child that was to be killed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// At that commit.
    Killed,
    /// It had fewer commits, and did all that it was to do.
    Done,
}

fn command(role: &str, place: &Place, side: Side, at: u64) -> Command {
    let side = match side {
        Side::Before => "before",
        Side::After => "after",
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "store::children::a_child_of_the_tests_here",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD, format!("{role}|{}|{side}|{at}", place.told()));
    command
}

/// Lets a child do its role until it is killed before or after that commit.
pub(crate) fn killed(role: &str, place: &Place, side: Side, at: u64) -> Ended {
    let output = command(role, place, side, at).output().unwrap();
    match output.status.signal() {
        Some(9) => Ended::Killed,
        _ => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success(),
                "{role} {side:?} {at}: {said}{}",
                String::from_utf8_lossy(&output.stderr)
            );
            Ended::Done
        }
    }
}

/// A process that lives beside the test and does what it is told, line by line.
pub(crate) struct Child {
    process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(role: &str, place: &Place) -> Self {
        let mut process = command(&format!("process {role}"), place, Side::Before, 0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: process.stdin.take().unwrap(),
            output: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
        self.input.flush().unwrap();
    }

    /// The next thing it says.
    pub(crate) fn said(&mut self) -> String {
        let mut line = String::new();
        // Ends with what it says, or with its output.
        loop {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the child ended");
            if let Some((_, said)) = line.trim_end().split_once("said ") {
                return said.to_owned();
            }
        }
    }

    /// Waits until it ends well.
    pub(crate) fn ends(mut self) {
        drop(self.input);
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.output, &mut rest).unwrap();
        assert!(self.process.wait().unwrap().success(), "{rest}");
    }
}

/// In a child: says something to the test.
#[allow(clippy::print_stdout, reason = "the pipe to the test")]
pub(crate) fn say(text: &str) {
    println!("said {text}");
}
