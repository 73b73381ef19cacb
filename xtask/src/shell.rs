//! Runs a command: its output is passed on line by line as it comes, and kept.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use crate::workspace;

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Whether it exited with 0.
    pub(crate) is_ok: bool,
    /// Its lines of standard output.
    pub(crate) stdout: Vec<String>,
    /// Its lines of standard error.
    pub(crate) stderr: Vec<String>,
}

/// `cargo` with these arguments, in the workspace's folder.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    // Cargo names itself to what it starts, so that the same toolchain is used all the way down.
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root());
    if io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

/// Whether `cargo NAME` is there.
pub(crate) fn has_cargo(name: &str) -> bool {
    cargo(&[name, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs it to its end. A program that cannot be started is said, and is not ok.
pub(crate) fn run(command: &mut Command) -> Ran {
    let mut child = match command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return not_started(command, &error),
    };
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let stderr = child.stderr.take().expect("standard error is a pipe");
    let errors = thread::spawn(move || pass_on(stderr, io::stderr()));
    let stdout = pass_on(stdout, io::stdout());
    let stderr = errors.join().expect("the reading thread does not panic");
    let is_ok = child.wait().is_ok_and(|status| status.success());
    Ran {
        is_ok,
        stdout,
        stderr,
    }
}

fn not_started(command: &Command, error: &io::Error) -> Ran {
    let message = format!(
        "error: {} cannot be started: {error}",
        command.get_program().display()
    );
    eprintln!("{message}");
    Ran {
        is_ok: false,
        stdout: Vec::new(),
        stderr: vec![message],
    }
}

/// Reads to the end, also after the place it is passed on to is closed: the child must not block.
fn pass_on(from: impl Read, mut to: impl Write) -> Vec<String> {
    let mut lines = Vec::new();
    let mut reader = BufReader::new(from);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        let _ = to.write_all(&bytes);
        lines.push(
            String::from_utf8_lossy(&bytes)
                .trim_end_matches(['\n', '\r'])
                .to_owned(),
        );
        bytes.clear();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_and_the_exit_are_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let ran = run(&mut command);
        assert_eq!(
            (ran.is_ok, ran.stdout, ran.stderr),
            (false, vec!["out".to_owned()], vec!["err".to_owned()])
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_not_ok() {
        assert!(!run(&mut Command::new("no-such-program-of-xtask")).is_ok);
    }
}
