//! A user with an empty home, who types commands.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::program;

/// `DORMOUSE_HOME`, and nothing else of the environment of the tests.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Home {
    /// An empty one. Its path is short: a socket's has 107 bytes.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("dm-").tempdir_in("/tmp");
        Self {
            folder: folder.expect("a folder can be made"),
            variables: Vec::new(),
        }
    }

    /// The same, with this variable set for every command.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// What `DORMOUSE_HOME` is.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The program with these arguments, not yet started.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("DORMOUSE_HOME", self.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn dormouse<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// The words of a line, split at blanks: no quotes.
    pub(crate) fn type_line(&self, line: &str) -> Ran {
        self.dormouse(line.split_whitespace())
    }

    /// The JSON that a line prints with `-o json`.
    #[track_caller]
    pub(crate) fn json(&self, line: &str) -> Value {
        let ran = self.type_line(&format!("{line} -o json"));
        ran.exits(0);
        ran.json()
    }

    /// The items of a list.
    #[track_caller]
    pub(crate) fn items(&self, line: &str) -> Vec<Value> {
        let list = self.json(line);
        list["items"].as_array().expect("a list has items").clone()
    }

    /// Starts a command that goes on beside the test.
    pub(crate) fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        let mut command = self.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        let stderr = BufReader::new(child.stderr.take().expect("standard error is a pipe"));
        Running {
            child,
            stdout: Some(stdout),
            stderr,
        }
    }

    /// As [`Home::start`], with its standard output on this file.
    pub(crate) fn start_onto<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        stdout: std::fs::File,
    ) -> Running {
        let mut command = self.command(arguments);
        let mut child = command
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("standard error is a pipe"));
        Running {
            child,
            stdout: None,
            stderr,
        }
    }

    /// Where the worker of an agent runs.
    pub(crate) fn workspace(&self, agent: &str) -> PathBuf {
        self.path().join("data/workspaces/default").join(agent)
    }
}

/// What a command came to.
pub(crate) struct Ran {
    line: String,
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            line,
            status,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "$ {line}\n{status}\n--- stdout\n{stdout}--- stderr\n{stderr}---"
        )
    }
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the program starts");
        let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        Self::ended(&words.join(" "), &output)
    }

    /// What these words came to.
    pub(crate) fn ended(words: &str, output: &std::process::Output) -> Self {
        Self {
            line: format!("dormouse {words}"),
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its exit code; none when a signal ended it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Asserts the exit code and shows everything when it is another.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code(), Some(code), "{self:?}");
        self
    }

    /// Asserts the two lines of an error: `error: …` with these words, then `hint: …`; nothing on standard output.
    #[track_caller]
    pub(crate) fn errs(&self, words: &[&str]) -> &Self {
        let error = self.stderr.lines().find(|line| line.starts_with("error: "));
        let error = error.unwrap_or_else(|| panic!("no error line: {self:?}"));
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not said: {self:?}");
        }
        assert!(!error.ends_with('.'), "a full stop: {self:?}");
        assert_eq!(self.stdout, "", "data beside an error: {self:?}");
        self
    }

    /// Asserts that it says what to do next.
    #[track_caller]
    pub(crate) fn hints(&self) -> &Self {
        assert!(
            self.stderr.lines().any(|line| line.starts_with("hint: ")),
            "no hint: {self:?}"
        );
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A command that goes on. Dropped, it is killed, and with it what it supervises.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("standard output is a pipe");
        stdout.read_line(&mut line).expect("the pipe can be read");
        line.trim_end().to_owned()
    }

    /// Reads what it says on standard error up to the line with this word.
    #[track_caller]
    pub(crate) fn until_said(&mut self, word: &str) {
        self.until_said_one_of(&[word]);
    }

    /// The same, up to the line with one of these words.
    #[track_caller]
    pub(crate) fn until_said_one_of(&mut self, words: &[&str]) {
        let mut said = String::new();
        while self.stderr.read_line(&mut said).expect("the pipe can be read") > 0 {
            if words.iter().any(|word| said.contains(word)) {
                return;
            }
        }
        panic!("none of {words:?} is said: {said}");
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("the program can be signalled");
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: it has no time for anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the program can be killed");
        self.child.wait().expect("the program can be waited for");
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("the program can be waited for").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
