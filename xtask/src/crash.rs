//! `cargo xtask crash`: the crash tests with more rounds and with optimisation, as a release needs them.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::shell;

/// How long and from where.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often the child is killed, or the power fails
    #[arg(long, default_value_t = 1000)]
    rounds: u32,
    /// Repeats an earlier run, whose seed the test printed
    #[arg(long)]
    seed: Option<u64>,
    /// Cuts the power of a simulated disk instead, so often for each embedded backend
    #[arg(long)]
    power: bool,
    /// Runs the cases of secrets that are too large for each test run instead: a million leases, and the largest import killed
    /// at each of its commits
    #[arg(long, conflicts_with = "power")]
    secrets: bool,
}

/// Builds the test with optimisation and runs it.
pub(crate) fn run(options: &Options) -> ExitCode {
    let mut command = if options.power {
        power(options)
    } else if options.secrets {
        large()
    } else {
        kills(options)
    };
    if shell::run(&mut command).is_ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Tests that do less in each test run.
fn large() -> Command {
    let mut command = test("dormouse-secrets", "it", &["store::many", "store::large"]);
    command.env("DORMOUSE_TEST_SECRETS_LARGE", "1");
    command
}

fn kills(options: &Options) -> Command {
    let mut command = test("dormouse-tests", "crash", &[]);
    command.env("DORMOUSE_CRASH_ROUNDS", options.rounds.to_string());
    if let Some(seed) = options.seed {
        command.env("DORMOUSE_CRASH_SEED", seed.to_string());
    }
    command
}

fn power(options: &Options) -> Command {
    let mut command = test("dormouse-filesystem", "it", &["power"]);
    command.env("SIM_ROUNDS", options.rounds.to_string());
    command.env("SIM_SEED", options.seed.unwrap_or(0).to_string());
    command
}

fn test(package: &str, test: &str, filter: &[&str]) -> Command {
    let all = ["test", "--release", "--package", package, "--test", test, "--"];
    let all = all.iter().chain(filter).chain(&["--nocapture"]);
    shell::cargo(&all.copied().collect::<Vec<_>>())
}
