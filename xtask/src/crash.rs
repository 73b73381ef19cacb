//! `cargo xtask crash`: the crash test with more rounds and with optimisation, as a release needs it.

use std::process::ExitCode;

use clap::Args;

use crate::shell;

/// How long and from where.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often the child is killed
    #[arg(long, default_value_t = 1000)]
    rounds: u32,
    /// Repeats an earlier run, whose seed the test printed
    #[arg(long)]
    seed: Option<u64>,
}

/// Builds the crash test with optimisation and runs it.
pub(crate) fn run(options: &Options) -> ExitCode {
    let mut command = shell::cargo(&[
        "test",
        "--release",
        "--package",
        "dormouse-tests",
        "--test",
        "crash",
        "--",
        "--nocapture",
    ]);
    command.env("DORMOUSE_CRASH_ROUNDS", options.rounds.to_string());
    if let Some(seed) = options.seed {
        command.env("DORMOUSE_CRASH_SEED", seed.to_string());
    }
    if shell::run(&mut command).is_ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
