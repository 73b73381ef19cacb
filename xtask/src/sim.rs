//! `cargo xtask sim`: the engine under simulation, for any number of seeds, with optimisation.

use std::process::ExitCode;

use clap::Args;

use crate::shell;

/// How many seeds and from which.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The first seed; given alone, that one history is replayed
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds follow from it; 1,000, or 1 where a seed is given
    #[arg(long)]
    rounds: Option<u64>,
}

/// Builds the simulation with optimisation and runs it.
pub(crate) fn run(options: &Options) -> ExitCode {
    let rounds = options
        .rounds
        .unwrap_or(if options.seed.is_some() { 1 } else { 1000 });
    let mut command = shell::cargo(&[
        "test",
        "--release",
        "--package",
        "dormouse-tests",
        "--test",
        "sim",
        "--",
        "whatever_happens",
        "--nocapture",
    ]);
    command.env("DORMOUSE_SIM_ROUNDS", rounds.to_string());
    if let Some(seed) = options.seed {
        command.env("DORMOUSE_SIM_SEED", seed.to_string());
    }
    if shell::run(&mut command).is_ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
