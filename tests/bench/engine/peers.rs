//! Task queues of others, on the same server or the same disk, each in a process of its own: it prints how many a second.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder with the programs of the peers, where `cargo xtask bench engine` made one.
fn folder() -> Option<PathBuf> {
    std::env::var_os("DORMOUSE_BENCH_PEERS").map(PathBuf::from)
}

fn url() -> Option<String> {
    std::env::var("DORMOUSE_BENCH_POSTGRES").ok()
}

/// What a command prints; none where it cannot be run.
fn rate(command: &mut Command) -> Option<f64> {
    let output = command.output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let rate = said.lines().last().and_then(|line| line.parse().ok());
    if rate.is_none() {
        eprintln!(
            "SKIPPED: {command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    rate
}

/// graphile-worker of the npm registry: `one` by one or `batched`.
pub(crate) fn graphile_node(count: usize, workers: usize, how: &str) -> Option<f64> {
    let script = folder()?.join("node/graphile.mjs");
    let words = [url()?, count.to_string(), workers.to_string(), how.to_owned()];
    rate(Command::new("node").arg(script).args(words))
}

/// The crate `graphile_worker`.
pub(crate) fn graphile_rust(count: usize, workers: usize, how: &str) -> Option<f64> {
    let program = folder()?.join("graphile-worker");
    let words = [url()?, count.to_string(), workers.to_string(), how.to_owned()];
    program
        .is_file()
        .then(|| rate(Command::new(program).args(words)))?
}

/// Restate's server of the npm registry, with its data in this folder.
pub(crate) fn restate(data: &Path, count: usize, at_once: usize) -> Option<f64> {
    let script = folder()?.join("node/restate.mjs");
    rate(
        Command::new("node")
            .arg(script)
            .arg(data)
            .args([count.to_string(), at_once.to_string()]),
    )
}
