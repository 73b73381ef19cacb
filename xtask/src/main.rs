//! The workspace's own commands: `cargo xtask test | ci | tidy | bench | crash | sim | fuzz`.
//!
//! They need nothing but Rust and a C compiler. What makes them quicker (`cargo-nextest`) or stricter
//! (`cargo-deny`) is used where it is installed, and said where it is not.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod bench;
mod crash;
mod fuzz;
mod peers;
mod postgres;
mod shell;
mod sim;
mod stopwatch;
mod tally;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The workspace's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every check and every test; goes on after a failure and ends with `N passed, N failed`
    Test(test::Options),
    /// The same with CI=true, under which a test that lacks something it needs fails instead of being skipped
    Ci(test::Options),
    /// The rules of the house that no compiler checks
    Tidy,
    /// Measures, beside the physical limit of the same disk in the same run
    Bench(bench::Options),
    /// Kills a writing process again and again, and looks whether anything acknowledged is gone
    Crash(crash::Options),
    /// Lives through made-up histories in which everything goes wrong, and looks whether the engine kept its promises
    Sim(sim::Options),
    /// Feeds what reads the bytes of others with whatever reaches new code, for a minute each
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Test(options) => test::run(&options, test::Place::Home),
        Command::Ci(options) => test::run(&options, test::Place::Ci),
        Command::Tidy => tidy::run(),
        Command::Bench(options) => bench::run(&options),
        Command::Crash(options) => crash::run(&options),
        Command::Sim(options) => sim::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
    }
}
