//! The task queues of others that the engine is measured beside: put into a folder of the target, never into what is built.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{shell, workspace};

/// Makes the folder, with what of it can be had, and says what cannot.
pub(crate) fn prepared() -> Option<PathBuf> {
    let folder = workspace::root().join("target/peers");
    let sources = workspace::root().join("tests/peers");
    std::fs::create_dir_all(folder.join("node")).ok()?;
    if let Err(reason) = node(&sources.join("node"), &folder.join("node")) {
        eprintln!("SKIPPED: the peers of the npm registry: {reason}");
    }
    if let Err(reason) = rust(&sources.join("graphile-worker"), &folder) {
        eprintln!("SKIPPED: the crate graphile_worker: {reason}");
    }
    Some(folder)
}

fn node(from: &Path, to: &Path) -> Result<(), String> {
    for file in ["package.json", "graphile.mjs", "restate.mjs"] {
        std::fs::copy(from.join(file), to.join(file)).map_err(|error| format!("{file}: {error}"))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--silent"])
        .current_dir(to);
    match npm.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("npm install: {status}")),
        Err(error) => Err(format!("npm: {error}")),
    }
}

fn rust(from: &Path, to: &Path) -> Result<(), String> {
    let manifest = from.join("Cargo.toml");
    let built = to.join("build");
    let mut build = shell::cargo(&["build", "--quiet", "--release", "--manifest-path"]);
    build.arg(&manifest).arg("--target-dir").arg(&built);
    if !shell::run(&mut build).is_ok {
        return Err("it does not build".to_owned());
    }
    let program = built.join("release/dormouse-peer-graphile-worker");
    std::fs::copy(program, to.join("graphile-worker")).map_err(|error| error.to_string())?;
    Ok(())
}
