//! `cargo xtask bench`: durable commits beside the physical limit of the same disk, in the same run.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::shell;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which figures; all without it
    #[arg(value_enum)]
    suite: Option<Suite>,
    /// One JSON object a line on standard output: figure, value, unit, against, against_value, ratio, target, met
    #[arg(long)]
    json: bool,
    /// The criterion benches of the record store too
    #[arg(long)]
    criterion: bool,
}

/// A set of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// The record store: filesystem.md section 17
    Store,
}

/// Builds the benches with optimisation and runs them.
pub(crate) fn run(options: &Options) -> ExitCode {
    let suites = options
        .suite
        .map_or(Suite::value_variants().to_vec(), |suite| vec![suite]);
    let mut is_ok = suites.into_iter().all(|suite| run_suite(suite, options.json));
    if options.criterion {
        is_ok &= shell::run(&mut shell::cargo(CRITERION)).is_ok;
    }
    if is_ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

const CRITERION: &[&str] = &["bench", "--package", "dormouse-filesystem", "--all-features"];

fn run_suite(suite: Suite, json: bool) -> bool {
    let target = match suite {
        Suite::Store => "store",
    };
    let mut arguments = vec![
        "bench",
        "--quiet",
        "--package",
        "dormouse-tests",
        "--bench",
        target,
    ];
    if json {
        arguments.extend(["--", "--json"]);
    }
    shell::run(&mut shell::cargo(&arguments)).is_ok
}
