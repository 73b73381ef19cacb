//! What a process worker is told to run: the command line of a task.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use dormouse_secrets::{InvalidName, PER_SCOPE_MAX, SecretName};
use serde::{Deserialize, Serialize};

use crate::adapter::{NoFollowUps, NotResumable, can_resume, takes_follow_ups};
use crate::credentials::secret_reference;
use crate::worker::isolation::Policy;

mod clocks;
mod effects;

use clocks::timer;
pub use clocks::{ClockSettings, InvalidClock, Timer};
pub use effects::Effects;

/// Most bytes of a command line, arguments and their separators together.
pub const ARGV_BYTES_MAX: usize = 128 * 1024;
/// Most paths opened for a worker beside its own, to read and again to write.
pub const OPENED_MAX: usize = 64;
/// The wall clock of a run that names none.
pub const WALL_CLOCK_DEFAULT: Duration = Duration::from_secs(30 * 60);
/// The idle clock of a run that names none.
pub const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10 * 60);
/// How long nothing is heard of a worker before its session is told so, when none is named.
pub const STALL_AFTER_DEFAULT: Duration = Duration::from_secs(3 * 60);
/// How long a worker has between the cooperative stop and the kill when none is named.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(10);
/// Shortest clock.
pub const CLOCK_MIN: Duration = Duration::from_secs(1);
/// Longest clock.
pub const CLOCK_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most bytes of what is said before the wall clock runs out.
pub const WRAP_UP_BYTES_MAX: usize = 64 * 1024;
/// Longest grace.
pub const GRACE_MAX: Duration = Duration::from_secs(5 * 60);

/// A command, and the clocks and surroundings it runs with. No shell is added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSpec {
    /// Program and arguments; at least one, at most [`ARGV_BYTES_MAX`] together.
    pub argv: Vec<String>,
    /// The working folder, absolute; the agent's workspace when none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// Further variables of the worker's environment; never credentials, those are leased: the value `secret:NAME` is that of
    /// the agent's secret of this name, which the worker then has under the variable's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The secrets the worker gets, each of them; where none is named, what its agent's configuration says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
    /// What the worker reads on standard input.
    #[serde(default)]
    pub stdin: Stdin,
    /// Whether the worker is walled in; the supervisor's setting when none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Policy>,
    /// What a walled worker may read beside its own, absolute, at most [`OPENED_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<PathBuf>,
    /// What a walled worker may read and write beside its own, absolute, at most [`OPENED_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<PathBuf>,
    /// Whether the command may be run again, or go on, after its holder vanished; as its agent has it when none, else as its
    /// kind has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Effects>,
    /// From claim to stop, in milliseconds: [`CLOCK_MIN`] to [`CLOCK_MAX`]. This clock, as each of the next three, is that
    /// of the agent where none is set, else that of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_clock_ms: Option<u64>,
    /// From the last progress to the stop.
    #[serde(default, deserialize_with = "timer", skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<Timer>,
    /// From the last progress to the word that it stalls.
    #[serde(default, deserialize_with = "timer", skip_serializing_if = "Option::is_none")]
    pub stall_after_ms: Option<Timer>,
    /// From the cooperative stop to the kill, in milliseconds: 0 to [`GRACE_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// What is said to it before its wall clock runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrap_up: Option<WrapUp>,
    /// Exit codes that mean a partial result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partial_codes: Vec<i32>,
    /// Exit codes that mean a failure no retry mends.
    #[serde(default = "permanent_codes_default")]
    pub permanent_codes: Vec<i32>,
}

/// What shells answer when a program cannot be run or found.
fn permanent_codes_default() -> Vec<i32> {
    vec![126, 127]
}

/// What the worker reads on standard input.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    /// Nothing: end of file at once.
    #[default]
    Null,
    /// The bytes of this file.
    File(PathBuf),
    /// What is said to it while it works: it stays open.
    Stream,
}

/// What is said to a worker before its wall clock runs out, so that it comes to an end of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrapUp {
    /// What: at most [`WRAP_UP_BYTES_MAX`].
    pub text: String,
    /// How long before, in milliseconds: at least [`CLOCK_MIN`], less than the wall clock.
    pub before_ms: u64,
}

/// A command that cannot be accepted. Each names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// No program.
    #[error("argv: names no program")]
    Empty,
    /// Over [`ARGV_BYTES_MAX`].
    #[error("argv: has {bytes} bytes, at most {ARGV_BYTES_MAX} are taken")]
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// More secrets than an agent can have.
    #[error("secrets: has {found} names, at most {PER_SCOPE_MAX} are taken")]
    TooManySecrets {
        /// How many there are.
        found: usize,
    },
    /// A variable that is to have the value of a secret, by what is no name of one.
    #[error("env: {variable}: {why}")]
    Reference {
        /// The variable.
        variable: String,
        /// What is wrong with the name.
        why: InvalidName,
    },
    /// A NUL byte in an argument, a variable or a path.
    #[error("{field}: holds a NUL byte")]
    Nul {
        /// The field.
        field: &'static str,
    },
    /// A clock out of its bounds.
    #[error(transparent)]
    Clock(#[from] InvalidClock),
    /// Over [`OPENED_MAX`].
    #[error("{field}: has {found} paths, at most {OPENED_MAX} are taken")]
    TooManyOpened {
        /// The field.
        field: &'static str,
        /// How many it has.
        found: usize,
    },
    /// It takes no words while it works, and is to.
    #[error(transparent)]
    NoFollowUps(#[from] NoFollowUps),
    /// It cannot go on where a lost one was, and is to.
    #[error(transparent)]
    NotResumable(#[from] NotResumable),
    /// What is said before the wall clock runs out is nothing, or over [`WRAP_UP_BYTES_MAX`].
    #[error("wrap_up: has {bytes} bytes, 1 to {WRAP_UP_BYTES_MAX} are taken")]
    WrapUp {
        /// Its bytes.
        bytes: usize,
    },
    /// A path that is not absolute.
    #[error("{field}: is not an absolute path")]
    NotAbsolute {
        /// The field.
        field: &'static str,
    },
}

impl CommandSpec {
    /// This command line with every default.
    #[must_use]
    pub fn new(argv: Vec<String>) -> Self {
        Self {
            argv,
            cwd: None,
            env: BTreeMap::new(),
            secrets: Vec::new(),
            stdin: Stdin::default(),
            isolation: None,
            read: Vec::new(),
            write: Vec::new(),
            effects: None,
            wall_clock_ms: None,
            idle_timeout_ms: None,
            stall_after_ms: None,
            grace_ms: None,
            wrap_up: None,
            partial_codes: Vec::new(),
            permanent_codes: permanent_codes_default(),
        }
    }

    /// The clocks that are set of it.
    #[must_use]
    pub fn clocks(&self) -> ClockSettings {
        ClockSettings {
            wall_clock_ms: self.wall_clock_ms,
            idle_timeout_ms: self.idle_timeout_ms,
            stall_after_ms: self.stall_after_ms,
            grace_ms: self.grace_ms,
        }
    }

    /// Takes the clocks that it sets not itself from whoever comes next.
    pub fn fill(&mut self, next: &ClockSettings) {
        let clocks = self.clocks().or(next);
        self.wall_clock_ms = clocks.wall_clock_ms;
        self.idle_timeout_ms = clocks.idle_timeout_ms;
        self.stall_after_ms = clocks.stall_after_ms;
        self.grace_ms = clocks.grace_ms;
    }

    /// The wall clock.
    #[must_use]
    pub fn wall_clock(&self) -> Duration {
        self.clocks().wall_clock()
    }

    /// The idle clock, if it is on.
    #[must_use]
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.clocks().idle_timeout()
    }

    /// How long it is silent before its session is told, if that is told.
    #[must_use]
    pub fn stall_after(&self) -> Option<Duration> {
        self.clocks().stall_after()
    }

    /// From the cooperative stop to the kill.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.clocks().grace()
    }

    /// Checks every field's bounds.
    ///
    /// # Errors
    /// The first field that is out of them.
    pub fn validate(&self) -> Result<(), InvalidCommand> {
        let program = self.argv.first().ok_or(InvalidCommand::Empty)?;
        if program.is_empty() {
            return Err(InvalidCommand::Empty);
        }
        let bytes = self.argv.iter().map(|a| a.len() + 1).sum();
        if bytes > ARGV_BYTES_MAX {
            return Err(InvalidCommand::TooLong { bytes });
        }
        self.check_nul()?;
        self.check_references()?;
        if self.secrets.len() > PER_SCOPE_MAX {
            let found = self.secrets.len();
            return Err(InvalidCommand::TooManySecrets { found });
        }
        self.clocks().validate()?;
        self.check_words()?;
        if self.effects == Some(Effects::Resumable) {
            can_resume(&self.argv, &self.stdin)?;
        }
        check_opened("read", &self.read)?;
        check_opened("write", &self.write)?;
        match (&self.cwd, &self.stdin) {
            (Some(cwd), _) if !cwd.is_absolute() => Err(InvalidCommand::NotAbsolute { field: "cwd" }),
            (_, Stdin::File(file)) if !file.is_absolute() => {
                Err(InvalidCommand::NotAbsolute { field: "stdin" })
            }
            _ => Ok(()),
        }
    }

    /// That what is to be said to it while it works can be.
    fn check_words(&self) -> Result<(), InvalidCommand> {
        if self.stdin == Stdin::Stream || self.wrap_up.is_some() {
            takes_follow_ups(&self.argv, &self.stdin)?;
        }
        let Some(wrap_up) = &self.wrap_up else {
            return Ok(());
        };
        let bytes = wrap_up.text.trim().len();
        if !(1..=WRAP_UP_BYTES_MAX).contains(&bytes) {
            return Err(InvalidCommand::WrapUp { bytes });
        }
        // Where the task has none the clock is its agent's, which is not known here.
        let wall_clock = self.wall_clock_ms.map_or(CLOCK_MAX, Duration::from_millis);
        let most = wall_clock.saturating_sub(Duration::from_millis(1));
        Ok(clocks::check(
            "wrap_up.before_ms",
            Some(wrap_up.before_ms),
            CLOCK_MIN,
            most,
        )?)
    }

    fn check_references(&self) -> Result<(), InvalidCommand> {
        for (variable, value) in &self.env {
            if let Some(Err(why)) = secret_reference(value) {
                let variable = variable.clone();
                return Err(InvalidCommand::Reference { variable, why });
            }
        }
        Ok(())
    }

    fn check_nul(&self) -> Result<(), InvalidCommand> {
        if self.argv.iter().any(|a| a.contains('\0')) {
            return Err(InvalidCommand::Nul { field: "argv" });
        }
        if self
            .env
            .iter()
            .any(|(k, v)| k.contains(['\0', '=']) || v.contains('\0'))
        {
            return Err(InvalidCommand::Nul { field: "env" });
        }
        Ok(())
    }
}

fn check_opened(field: &'static str, paths: &[PathBuf]) -> Result<(), InvalidCommand> {
    if paths.len() > OPENED_MAX {
        return Err(InvalidCommand::TooManyOpened {
            field,
            found: paths.len(),
        });
    }
    if paths.iter().any(|path| !path.is_absolute()) {
        return Err(InvalidCommand::NotAbsolute { field });
    }
    if paths
        .iter()
        .any(|path| path.as_os_str().as_encoded_bytes().contains(&0))
    {
        return Err(InvalidCommand::Nul { field });
    }
    Ok(())
}
