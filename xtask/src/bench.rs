//! `cargo xtask bench`: durable commits beside the physical limit of the same disk, in the same run.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::{shell, workspace};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which figures; all without it
    #[arg(value_enum)]
    suite: Option<Suite>,
    /// One JSON object a line on standard output: figure, value, unit, against, against_value, ratio, target, met
    #[arg(long)]
    json: bool,
    /// Writes the table into docs/ARCHITECTURE.md
    #[arg(long, conflicts_with = "json")]
    write: bool,
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
    let mut is_ok = suites.into_iter().all(|suite| run_suite(suite, options));
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

fn run_suite(suite: Suite, options: &Options) -> bool {
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
    if options.json {
        arguments.extend(["--", "--json"]);
    }
    let ran = shell::run(&mut shell::cargo(&arguments));
    ran.is_ok && (!options.write || write(&ran.stdout))
}

/// The page that says what durability costs, and the lines between which it does.
const PAGE: &str = "docs/ARCHITECTURE.md";
const BEGIN: &str = "<!-- bench: begin -->\n";
const END: &str = "<!-- bench: end -->\n";

fn write(table: &[String]) -> bool {
    let path = workspace::root().join(PAGE);
    let written = std::fs::read_to_string(&path)
        .map_err(|error| error.to_string())
        .and_then(|page| put_between(&page, &table.join("\n")).ok_or_else(|| format!("no line {BEGIN}")))
        .and_then(|page| std::fs::write(&path, page).map_err(|error| error.to_string()));
    if let Err(error) = &written {
        eprintln!("error: {PAGE}: {error}");
    }
    written.is_ok()
}

/// The page with this between its two lines, in place of what was there.
fn put_between(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let page = format!("a\n{BEGIN}old\n{END}b\n");
        let new = put_between(&page, "new").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}new\n{END}b\n"));
        assert_eq!(put_between("no such lines", "new"), None);
    }
}
