//! The neighbour: runs as the worker of one agent and tries everything it can think of against another agent, the store and
//! the program.
//!
//! `neighbour TARGETS` with [`Targets`] as JSON; on standard output one [`Attempt`] a line. It takes nothing that it gets any
//! further than saying how much it was.
#![allow(clippy::print_stdout, reason = "the pipe to the test")]

#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod own;
#[cfg(target_os = "linux")]
mod privileges;
#[cfg(target_os = "linux")]
mod processes;
#[cfg(target_os = "linux")]
mod sockets;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What there is to attack.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Targets {
    /// Processes by what they are.
    processes: Vec<(String, i32)>,
    /// Files by what they are.
    files: Vec<(String, PathBuf)>,
    /// Folders by what they are.
    folders: Vec<(String, PathBuf)>,
    /// The control socket.
    socket: PathBuf,
    /// What serves the program's commands.
    program: PathBuf,
    /// The home of the program, which a worker is not told.
    home: PathBuf,
}

/// One thing that was tried.
#[derive(Debug, Serialize)]
pub(crate) struct Attempt {
    /// How.
    way: &'static str,
    /// Against what.
    against: String,
    /// What it came to: none when it was refused.
    got: Option<String>,
    /// How it was refused.
    refused: Option<String>,
}

/// Tries it: what it gives is what was got, its error how it was refused.
pub(crate) fn attempt(
    way: &'static str,
    against: impl Into<String>,
    what: impl FnOnce() -> Result<String, String>,
) {
    let (got, refused) = match what() {
        Ok(got) => (Some(got), None),
        Err(refused) => (None, Some(refused)),
    };
    let attempt = Attempt {
        way,
        against: against.into(),
        got,
        refused,
    };
    println!(
        "{}",
        serde_json::to_string(&attempt).expect("an attempt can be written")
    );
}

/// The error of a call, as how it was refused.
pub(crate) fn refused(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn main() {
    let targets = std::env::args().nth(1).expect("usage: neighbour TARGETS");
    let targets: Targets = serde_json::from_str(&targets).expect("the test gives targets");
    #[cfg(target_os = "linux")]
    {
        files::try_all(&targets);
        processes::try_all(&targets);
        sockets::try_all(&targets);
        own::try_all();
        privileges::try_all(&targets);
    }
    #[cfg(not(target_os = "linux"))]
    drop(targets);
}
