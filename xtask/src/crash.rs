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
        test("dormouse-secrets", "it", LARGE)
    } else {
        kills(options)
    };
    if shell::run(&mut command).is_ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Ignored in each test run.
const LARGE: &[&str] = &[
    "--ignored",
    "store::many::a_million_leases_that_were_used_and_purged_leave_nothing",
    "store::large::the_largest_import_killed_at_each_of_its_commits_is_all_or_none_and_a_repeat_ends_with_all",
];

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
