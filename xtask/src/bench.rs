//! `cargo xtask bench`: record store and secrets beside the physical limit of the same machine, in the same run.
//!
//! A private PostgreSQL server stands beside it; without its programs those figures are left out, and said.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, ValueEnum};

use crate::postgres::Server;
use crate::{peers, shell, workspace};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which figures; all without it
    #[arg(value_enum)]
    suite: Option<Suite>,
    /// Sections of it; all without any. Of the store: own slow lanes reads million postgres hints portable files. Of the
    /// secrets: scrub verbs many unlock rekey. Of the engine: tasks turns cost hot heartbeats. Of workers: spawn output wakes
    /// sleepers streams detector
    sections: Vec<String>,
    /// Less of everything, to see that it runs; its figures say little
    #[arg(long, conflicts_with = "write")]
    quick: bool,
    /// One JSON object a line on standard output: figure, value, unit, against, against_value, ratio, target, met
    #[arg(long)]
    json: bool,
    /// Writes the tables into docs/BENCHMARKS.md
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
    /// Sealing, lending and scrubbing: secrets.md section 16
    Secrets,
    /// Tasks, runs and leases: stores.md section 16
    Engine,
    /// Workers, wakes and sleeping agents: workers.md section 13
    Workers,
}

impl Suite {
    /// Of the bench, and of its part of the page.
    fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Secrets => "secrets",
            Self::Engine => "engine",
            Self::Workers => "workers",
        }
    }

    /// The packages it is held against, or built on.
    fn peers(self) -> &'static [&'static str] {
        match self {
            Self::Store => &["redb", "rusqlite", "fjall", "sled", "tokio-postgres"],
            Self::Secrets => &["aho-corasick", "argon2", "chacha20poly1305"],
            Self::Engine | Self::Workers => &["sled", "tokio-postgres"],
        }
    }
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
    let mut arguments = vec![
        "bench",
        "--quiet",
        "--package",
        "dormouse-tests",
        "--bench",
        suite.name(),
    ];
    arguments.push("--");
    arguments.extend(options.sections.iter().map(String::as_str));
    if options.json {
        arguments.push("--json");
    }
    if options.quick {
        arguments.push("--quick");
    }
    let mut command = shell::cargo(&arguments);
    let server = server(suite, options);
    if let Some((server, pgbench)) = &server {
        command.env("DORMOUSE_BENCH_POSTGRES", server.url());
        command.env("DORMOUSE_BENCH_PGBENCH", pgbench);
    }
    let wants_peers =
        options.sections.is_empty() || options.sections.iter().any(|section| section == "tasks");
    if suite == Suite::Engine
        && wants_peers
        && let Some(folder) = peers::prepared()
    {
        command.env("DORMOUSE_BENCH_PEERS", folder);
    }
    let ran = shell::run(&mut command);
    let programs = server.as_ref().map(|(_, pgbench)| pgbench.as_path());
    ran.is_ok
        && (!options.write
            || write(
                suite,
                &format!(
                    "{}\n\n{}\n",
                    stood_on(suite, options, programs),
                    ran.stdout.join("\n")
                ),
            ))
}

/// The command, and the versions of what was measured.
fn stood_on(suite: Suite, options: &Options, pgbench: Option<&Path>) -> String {
    let sections: String = options
        .sections
        .iter()
        .map(|section| format!(" {section}"))
        .collect();
    let packages = workspace::metadata()
        .map(|metadata| metadata.packages)
        .unwrap_or_default();
    let peers = suite
        .peers()
        .iter()
        .filter_map(|name| packages.iter().find(|package| package.name == *name))
        .map(|package| format!("{} {}", package.name, package.version));
    let tools = [Some(Path::new("rustc")), pgbench]
        .into_iter()
        .flatten()
        .filter_map(version);
    let versions: Vec<String> = tools.chain(peers).collect();
    format!(
        "`cargo xtask bench {}{sections} --write`; {}\n",
        suite.name(),
        versions.join(", ")
    )
}

/// What a program says about itself, in one line.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    said.lines().next().map(str::to_owned)
}

/// A server, where a section needs it and one can be had, and the program that it is measured with.
fn server(suite: Suite, options: &Options) -> Option<(Server, PathBuf)> {
    let sections: &[&str] = match suite {
        Suite::Store => &["postgres", "hints"],
        Suite::Engine => &["tasks", "turns", "hot"],
        Suite::Workers => &["wakes"],
        Suite::Secrets => return None,
    };
    let needs = |section: &String| sections.contains(&section.as_str());
    let is_needed = options.sections.is_empty() || options.sections.iter().any(needs);
    if !is_needed {
        return None;
    }
    match Server::for_bench() {
        Ok((server, programs)) => {
            let pgbench = programs.join("pgbench");
            let pgbench = if pgbench.is_file() {
                pgbench
            } else {
                "pgbench".into()
            };
            Some((server, pgbench))
        }
        Err(reason) => {
            eprintln!("SKIPPED: no PostgreSQL server: {reason}");
            None
        }
    }
}

/// The page that keeps the last run of each suite.
const PAGE: &str = "docs/BENCHMARKS.md";

/// The lines between which it does: what explains it stands around them.
fn fences(suite: Suite) -> [String; 2] {
    ["begin", "end"].map(|which| format!("<!-- bench {}: {which} -->\n", suite.name()))
}

fn write(suite: Suite, tables: &str) -> bool {
    let path = workspace::root().join(PAGE);
    let [begin, end] = fences(suite);
    let written = std::fs::read_to_string(&path)
        .map_err(|error| error.to_string())
        .and_then(|page| put_between(&page, [&begin, &end], tables).ok_or_else(|| format!("no line {begin}")))
        .and_then(|page| std::fs::write(&path, page).map_err(|error| error.to_string()));
    if let Err(error) = &written {
        eprintln!("error: {PAGE}: {error}");
    }
    written.is_ok()
}

/// The page with this between its two lines, in place of what was there.
fn put_between(page: &str, [begin, end]: [&str; 2], table: &str) -> Option<String> {
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let [begin, end] = fences(Suite::Store);
        let page = format!("a\n{begin}old\n{end}b\n");
        let new = put_between(&page, [&begin, &end], "new").unwrap();
        assert_eq!(new, format!("a\n{begin}new{end}b\n"));
        assert_eq!(put_between("no such lines", [&begin, &end], "new"), None);
    }

    #[test]
    fn the_page_has_a_place_for_every_suite() {
        let page = std::fs::read_to_string(workspace::root().join(PAGE)).unwrap();
        for suite in Suite::value_variants() {
            let [begin, end] = fences(*suite);
            assert!(put_between(&page, [&begin, &end], "").is_some(), "{begin}");
        }
    }
}
