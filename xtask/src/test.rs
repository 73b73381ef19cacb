//! `cargo xtask test`: every check and every test, to the end, with one line that counts them.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Args, ValueEnum};

use crate::shell::{self, Ran};
use crate::stopwatch::{Stopwatch, Took};
use crate::tally::Tally;
use crate::{postgres, tidy, workspace};

/// What to leave out.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Leaves a step out; may be given several times
    #[arg(long = "no", value_name = "STEP", value_enum)]
    without: Vec<Step>,
}

/// Where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a developer's machine.
    Home,
    /// On a machine that nobody looks at: `CI=true`, and tests have longer.
    Ci,
}

/// The steps, in the order in which they run: the quickest answer first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// `cargo fmt --check`
    Format,
    /// The rules of the house
    Tidy,
    /// Licences, bans and sources of dependencies, where `cargo-deny` is installed
    Deny,
    /// Lints of every target with every feature
    Clippy,
    /// The documentation, private items included, without a warning
    Docs,
    /// Every test of every package, against the program as users build it
    Tests,
    /// The tests of a build without age, which encrypts no export
    Ageless,
    /// The examples in the documentation
    Doctests,
}

/// What a step came to.
#[derive(Debug)]
enum Report {
    /// It ran.
    Ran(Tally),
    /// It did not, and why.
    Skipped(&'static str),
}

/// Runs every step, says how each ended, and ends with `N passed, N failed`.
pub(crate) fn run(options: &Options, place: Place) -> ExitCode {
    let all = Stopwatch::start();
    let mut total = Tally::default();
    let mut lines = Vec::new();
    for step in Step::value_variants() {
        if options.without.contains(step) {
            lines.push(format!("{:<9} left out by --no", step.name()));
            continue;
        }
        println!("\n=== {}", step.name());
        let watch = Stopwatch::start();
        let report = step.run(place);
        lines.push(line(*step, &report, watch.read()));
        if let Report::Ran(tally) = report {
            total += tally;
        }
    }
    print_summary(&lines, total, all.read());
    if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn line(step: Step, report: &Report, took: Took) -> String {
    match report {
        Report::Ran(tally) => format!("{:<9} {tally} in {took}", step.name()),
        Report::Skipped(why) => format!("{:<9} SKIPPED: {why}", step.name()),
    }
}

fn print_summary(lines: &[String], total: Tally, took: Took) {
    println!("\n=== summary, after {took}");
    for line in lines {
        println!("{line}");
    }
    println!("\n{total}");
}

impl Report {
    fn check(ran: &Ran) -> Self {
        Self::Ran(Tally::check(ran.is_ok))
    }

    fn tests(ran: &Ran) -> Self {
        let lines = ran.stdout.iter().chain(&ran.stderr).map(String::as_str);
        Self::Ran(Tally::of_tests(lines, ran.is_ok))
    }
}

impl Step {
    fn name(self) -> String {
        let value = self.to_possible_value().expect("no step is hidden");
        value.get_name().to_owned()
    }

    fn run(self, place: Place) -> Report {
        match self {
            Self::Format => Report::check(&cargo(place, &["fmt", "--all", "--check"])),
            Self::Tidy => Report::Ran(tidy::check()),
            Self::Deny => deny(place),
            Self::Clippy => Report::check(&cargo(place, CLIPPY)),
            Self::Docs => Report::check(&run_said(docs(place))),
            Self::Tests => tests(place),
            Self::Ageless => ageless(place),
            Self::Doctests => Report::tests(&cargo(place, DOCTESTS)),
        }
    }
}

const CLIPPY: &[&str] = &[
    "clippy",
    "--workspace",
    "--all-targets",
    "--all-features",
    "--",
    "--deny",
    "warnings",
];
const DOCS: &[&str] = &[
    "doc",
    "--workspace",
    "--no-deps",
    "--all-features",
    "--document-private-items",
];
const DOCTESTS: &[&str] = &["test", "--workspace", "--all-features", "--no-fail-fast", "--doc"];

fn command(place: Place, arguments: &[&str]) -> Command {
    let mut command = shell::cargo(arguments);
    if place == Place::Ci {
        command.env("CI", "true");
        // Nothing is built twice there, and what a second build would need takes half of the disk.
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

fn run_said(mut command: Command) -> Ran {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    println!("cargo {}", words.join(" "));
    shell::run(&mut command)
}

fn cargo(place: Place, arguments: &[&str]) -> Ran {
    run_said(command(place, arguments))
}

fn docs(place: Place) -> Command {
    let mut command = command(place, DOCS);
    command.env("RUSTDOCFLAGS", "--deny warnings");
    command
}

fn deny(place: Place) -> Report {
    if !shell::has_cargo("deny") {
        return Report::Skipped("cargo-deny is not installed (cargo install --locked cargo-deny)");
    }
    // Advisories are left to a job with the network: a new one must not break an old commit.
    Report::check(&cargo(
        place,
        &[
            "deny",
            "--all-features",
            "check",
            "--hide-inclusion-graph",
            "bans",
            "licenses",
            "sources",
        ],
    ))
}

fn tests(place: Place) -> Report {
    let Some(program) = program(place) else {
        return Report::Ran(Tally::check(false));
    };
    let mut command = runner(place);
    command.env("DORMOUSE_TEST_PROGRAM", program);
    let server = postgres::Server::for_tests();
    if let Ok(Some(server)) = &server {
        command.env(postgres::VARIABLE, server.url());
    }
    let report = Report::tests(&run_said(command));
    if let Err(why) = server {
        // Behind the tests, where it is read. Under CI=true they failed for it.
        eprintln!("SKIPPED: every test of the PostgreSQL backend: {why}");
    }
    report
}

/// With a server they run on it too, as the others.
fn ageless(place: Place) -> Report {
    let mut command = command(place, AGELESS);
    let server = postgres::Server::for_tests();
    if let Ok(Some(server)) = &server {
        command.env(postgres::VARIABLE, server.url());
    }
    Report::tests(&run_said(command))
}

/// How many tests run at once for each core: most of a durable store's test is waiting for the disk.
const TESTS_PER_CORE: usize = 2;

fn runner(place: Place) -> Command {
    if !shell::has_cargo("nextest") {
        return command(place, TEST);
    }
    let mut command = command(place, NEXTEST);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    command
        .arg("--test-threads")
        .arg((cores * TESTS_PER_CORE).to_string());
    if place == Place::Ci {
        command.args(["--profile", "ci"]);
    }
    command
}

const NEXTEST: &[&str] = &[
    "nextest",
    "run",
    "--workspace",
    "--all-features",
    "--no-fail-fast",
];
const AGELESS: &[&str] = &[
    "test",
    "--package",
    "dormouse-secrets",
    "--no-default-features",
    "--no-fail-fast",
    "--test",
    "it",
    "store::without_age",
];
const TEST: &[&str] = &[
    "test",
    "--workspace",
    "--all-features",
    "--no-fail-fast",
    "--lib",
    "--bins",
    "--tests",
];

/// Builds the program as users do, with its default features, and puts it where building the tests, which unites the
/// features of all packages, does not write over it.
fn program(place: Place) -> Option<PathBuf> {
    let built = run_said(command(place, &["build", "--package", "dormouse-cli"]));
    let folder = built.is_ok.then(workspace::metadata)?.ok()?.target_directory;
    let from = folder.join("debug/dormouse");
    let to = folder.join("xtask/dormouse");
    let copied = std::fs::create_dir_all(folder.join("xtask")).and_then(|()| copy(&from, &to));
    match copied {
        Ok(()) => Some(to.into_std_path_buf()),
        Err(error) => {
            eprintln!("error: {from} cannot be copied to {to}: {error}");
            None
        }
    }
}

/// By rename: a program that still runs from there cannot be written over.
fn copy(
    from: &cargo_metadata::camino::Utf8Path,
    to: &cargo_metadata::camino::Utf8Path,
) -> std::io::Result<()> {
    let fresh = to.with_extension("fresh");
    std::fs::copy(from, &fresh)?;
    std::fs::rename(fresh, to)
}
