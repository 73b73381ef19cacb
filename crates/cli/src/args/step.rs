//! `step`.

use clap::{Args, ValueEnum};
use dormouse_engine::step::{Effect, StepName};

/// `step`.
#[derive(Debug, Args)]
pub struct Step {
    /// Its name: a-z 0-9 _ . -, up to 63. The calls of one name are counted, in the order they come
    #[arg(value_name = "NAME")]
    pub name: StepName,
    /// Which call it is, instead of its number: for calls that go on at once
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// What it is done with: JSON, @FILE, or - for stdin; the command if nothing is said. Another input is refused, exit 7
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub input: Option<String>,
    /// What doing it twice would do
    #[arg(long, value_name = "EFFECT", value_enum, default_value_t)]
    pub effect: StepEffect,
    /// An exit code that says: certainly not done. Again for each further one
    #[arg(long, value_name = "CODE")]
    pub not_done_code: Vec<u8>,
    /// An exit code that says: failed, and would again. It is remembered. Again for each further one
    #[arg(long, value_name = "CODE")]
    pub permanent_code: Vec<u8>,
    /// The command and its arguments; no shell is added
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What doing a step twice would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum StepEffect {
    /// Nothing outside: it is done again after a crash.
    #[default]
    Pure,
    /// The same as once, under DORMOUSE_STEP_KEY: it is done again with the same key.
    Idempotent,
    /// It would happen twice: after a crash in the middle the task fails, and a person decides.
    External,
}

impl StepEffect {
    /// The engine's word.
    #[must_use]
    pub fn effect(self) -> Effect {
        match self {
            Self::Pure => Effect::Pure,
            Self::Idempotent => Effect::Idempotent,
            Self::External => Effect::External,
        }
    }
}
