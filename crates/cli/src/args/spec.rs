//! The part of a command line that describes a worker, and the command it becomes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use dormouse_engine::command::{CommandSpec, Effects, InvalidCommand, Stdin, Timer, WrapUp};
use dormouse_engine::worker::isolation::Policy;
use dormouse_secrets::SecretName;

use super::value::{self, MaybeOff, Variable};
use crate::config::Config;
use crate::environment::Environment;
use crate::problem::{Code, Problem};

/// Whose exit code `run` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ExitBy {
    /// Of the outcome, by the table.
    #[default]
    Outcome,
    /// The worker's own.
    Worker,
}

/// What `run` does when its worker asks a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GateMode {
    /// Asks at this terminal; who is quicker elsewhere decides it too.
    Ask,
    /// The worker waits until it is decided anywhere.
    Wait,
    /// The worker is stopped and the run waits; exit 5. Decided, the task goes on from its beginning.
    Park,
    /// Every question is rejected at once.
    Reject,
}

/// Clocks and surroundings of a worker.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Worker options")]
pub struct Surroundings {
    /// How long it may take, 1s to 30d [env: DORMOUSE_RUN_WALL_CLOCK]
    #[arg(long, value_name = "DURATION", value_parser = value::clock, allow_hyphen_values = true)]
    pub timeout: Option<Duration>,
    /// How long it may be without progress, or off [env: DORMOUSE_RUN_IDLE_TIMEOUT]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub idle_timeout: Option<MaybeOff>,
    /// Without progress for so long it stalls, or off [env: DORMOUSE_RUN_STALL_AFTER]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub stall_after: Option<MaybeOff>,
    /// How long it has from being asked to stop to being killed [env: DORMOUSE_RUN_GRACE]
    #[arg(long, value_name = "DURATION", value_parser = value::grace, allow_hyphen_values = true)]
    pub grace: Option<Duration>,
    /// A secret it gets; named once, it gets no other. All that its agent sees if nothing is said
    #[arg(long = "secret", value_name = "NAME", value_parser = value::secret)]
    pub secrets: Vec<SecretName>,
    /// A further variable of its environment; of a credential secret:NAME, whose value it then has, and nothing else
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub variables: Vec<String>,
    /// Its working folder, inside the agent's workspace; that workspace if nothing is said
    #[arg(long, value_name = "FOLDER")]
    pub cwd: Option<PathBuf>,
    /// Whether it is walled in: required, best_effort or off; required where the kernel can [env: DORMOUSE_WORKER_ISOLATION]
    #[arg(long, value_name = "POLICY", value_parser = value::policy)]
    pub isolation: Option<Policy>,
    /// A folder or file it may also read; again for each further one
    #[arg(long, value_name = "PATH")]
    pub read: Vec<PathBuf>,
    /// A folder or file it may also read and write; again for each further one
    #[arg(long, value_name = "PATH")]
    pub write: Vec<PathBuf>,
    /// What it reads: null, a file, or stream, what is said to it while it works (runs send)
    #[arg(long, value_name = "null|stream|FILE", default_value = "null")]
    pub stdin: PathBuf,
    /// What is said to it before its time is over, so that it comes to an end of its own
    #[arg(long, value_name = "TEXT")]
    pub wrap_up: Option<String>,
    /// How long before, 1s to less than its time
    #[arg(long, value_name = "DURATION", value_parser = value::clock, default_value = "2m", requires = "wrap_up")]
    pub wrap_up_before: Duration,
    /// It may be run again after a crash: running it twice does no harm
    #[arg(long, conflicts_with = "effects")]
    pub repeatable: bool,
    /// What becomes of it after a crash: opaque fails, repeatable is run again, resumable goes on
    #[arg(long, value_name = "EFFECTS")]
    pub effects: Option<EffectsFlag>,
}

/// What is known of a worker's effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EffectsFlag {
    /// Nothing: after a crash its task fails, and a person decides.
    Opaque,
    /// Running it twice does no harm: it is run again.
    Repeatable,
    /// It asks before each call that has an effect: between two calls it goes on with its session.
    Resumable,
}

impl From<EffectsFlag> for Effects {
    fn from(flag: EffectsFlag) -> Self {
        match flag {
            EffectsFlag::Opaque => Self::Opaque,
            EffectsFlag::Repeatable => Self::Repeatable,
            EffectsFlag::Resumable => Self::Resumable,
        }
    }
}

impl Surroundings {
    /// The command of a task: these flags, and the settings where a flag says nothing.
    ///
    /// # Errors
    /// The first argument that is refused, by name.
    pub fn command(
        &self,
        argv: &[String],
        config: &Config,
        environment: &Environment,
    ) -> Result<CommandSpec, Problem> {
        let cwd = self.cwd.as_deref().map(|cwd| environment.absolute(cwd));
        let program = argv
            .first()
            .map(|program| absolute_program(program, cwd.as_deref(), environment));
        let mut spec = CommandSpec::new(program.into_iter().chain(argv.iter().skip(1).cloned()).collect());
        self.set_clocks(&mut spec, config);
        if let Some(cwd) = &cwd
            && !cwd.is_dir()
        {
            return Err(refused("--cwd", &format!("{} is not a folder", cwd.display()))
                .hint("name a folder inside the agent's workspace, or leave --cwd out"));
        }
        spec.cwd = cwd;
        for variable in &self.variables {
            let variable = Variable::parse(variable).map_err(|why| {
                Problem::new(Code::Usage, why).hint("keep credentials out of command lines: dormouse secret set puts one where the worker finds it, --env NAME=secret:OTHER under another name")
            })?;
            if spec.env.contains_key(&variable.name) {
                return Err(
                    refused("--env", &format!("{} is given twice", variable.name)).hint("give it once")
                );
            }
            spec.env.insert(variable.name, variable.value);
        }
        spec.secrets.clone_from(&self.secrets);
        spec.secrets.sort();
        spec.secrets.dedup();
        spec.stdin = self.stdin(environment)?;
        spec.isolation = self.isolation;
        spec.read = opened("--read", &self.read, environment)?;
        spec.write = opened("--write", &self.write, environment)?;
        spec.wrap_up = self.wrap_up.clone().map(|text| WrapUp {
            text,
            before_ms: milliseconds(self.wrap_up_before),
        });
        spec.effects = match self.repeatable {
            true => Some(Effects::Repeatable),
            false => self.effects.map(Effects::from),
        };
        spec.validate().map_err(|error| {
            let hint = match &error {
                InvalidCommand::NoFollowUps(_) => {
                    "leave --stdin stream and --wrap-up out, or choose another worker"
                }
                InvalidCommand::NotResumable(_) => {
                    "leave --effects resumable out, or choose a worker that asks: codex app-server, or one that speaks ACP"
                }
                InvalidCommand::WrapUp { .. } => "say something that is not too long, or leave --wrap-up out",
                InvalidCommand::Clock(clock) if clock.field == "wrap_up.before_ms" => {
                    "choose --wrap-up-before shorter than --timeout"
                }
                InvalidCommand::Empty
                | InvalidCommand::TooLong { .. }
                | InvalidCommand::TooManySecrets { .. }
                | InvalidCommand::Reference { .. }
                | InvalidCommand::Nul { .. }
                | InvalidCommand::Clock(_)
                | InvalidCommand::TooManyOpened { .. }
                | InvalidCommand::NotAbsolute { .. } => {
                    "write a command after --, as in dormouse run -- make check"
                }
            };
            Problem::new(Code::Usage, error.to_string()).hint(hint)
        })?;
        Ok(spec)
    }

    /// The clocks that its flags set, and what a project's file or a variable says of tasks that are given here. What the
    /// user's file says is the owner's to know, behind what is set of the agent.
    fn set_clocks(&self, spec: &mut CommandSpec, config: &Config) {
        let here = |path| config.is_set_here(path).then(|| config.duration(path));
        let timer = |flag: Option<MaybeOff>, path| match flag {
            Some(MaybeOff::Off) => Some(Timer::Off),
            Some(MaybeOff::After(time)) => Some(Timer::After(milliseconds(time))),
            None => here(path).map(|time| Timer::from(time.map(milliseconds))),
        };
        let time = |flag: Option<Duration>, path| flag.or_else(|| here(path).flatten()).map(milliseconds);
        spec.wall_clock_ms = time(self.timeout, "run.wall_clock");
        spec.idle_timeout_ms = timer(self.idle_timeout, "run.idle_timeout");
        spec.stall_after_ms = timer(self.stall_after, "run.stall_after");
        spec.grace_ms = time(self.grace, "run.grace");
    }

    fn stdin(&self, environment: &Environment) -> Result<Stdin, Problem> {
        match self.stdin.to_str() {
            Some("null") => Ok(Stdin::Null),
            Some("stream") => Ok(Stdin::Stream),
            Some("inherit" | "-") => Err(refused(
                "--stdin",
                "a worker outlives this terminal, so it cannot inherit its input",
            )
            .hint("write the input to a file and pass --stdin FILE")),
            _ => {
                let file = environment.absolute(&self.stdin);
                if file.is_file() {
                    return Ok(Stdin::File(file));
                }
                Err(refused("--stdin", &format!("{} is not a file", file.display()))
                    .hint("pass null, stream, or a file; ./null is a file of that name"))
            }
        }
    }
}

/// What is opened for a worker, absolute; a path that is not there is more likely mistyped than meant.
fn opened(flag: &str, paths: &[PathBuf], environment: &Environment) -> Result<Vec<PathBuf>, Problem> {
    let absolute = paths.iter().map(|path| environment.absolute(path));
    absolute
        .map(|path| match path.exists() {
            true => Ok(path),
            false => Err(refused(flag, &format!("{} is not there", path.display()))
                .hint("name a folder or file that exists, or make it first")),
        })
        .collect()
}

/// A program given by a relative path is meant from where the worker starts if the user said where, else from here.
fn absolute_program(program: &str, cwd: Option<&Path>, environment: &Environment) -> String {
    if program.starts_with('/') || !program.contains('/') {
        return program.to_owned();
    }
    let from = cwd.unwrap_or(environment.working_folder());
    let whole: PathBuf = from.join(program).components().collect();
    whole.to_str().map_or_else(|| program.to_owned(), str::to_owned)
}

/// A duration in milliseconds, as commands have them.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn refused(flag: &str, why: &str) -> Problem {
    Problem::new(Code::Usage, format!("{flag}: {why}"))
}
