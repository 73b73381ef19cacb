//! `cargo xtask fuzz`: every function that reads bytes of others, under libFuzzer, for a minute each.
//!
//! Stable Rust and a C++ compiler are all it needs: what tells libFuzzer which code an input reached is made by LLVM
//! passes that any rustc runs when it is told to. Inputs are kept below `target/fuzz`; those of `fuzz/corpus`, which the
//! tests run too, are begun with.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;

use crate::{shell, workspace};

/// The packages, each a workspace of its own.
const PACKAGES: [&str; 2] = ["crates/filesystem/fuzz", "crates/secrets/fuzz"];
/// What cargo-fuzz tells rustc, without a sanitizer: nothing in the crate is unsafe.
const FLAGS: &str = "--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0";
/// Longest time for one input, in seconds.
const INPUT_SECONDS_MAX: u32 = 10;
/// Most memory, in MiB.
const MEMORY_MAX: u32 = 2048;

/// What to run, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only these targets: the names of the folders in crates/*/fuzz/corpus; `secrets:keys` is that of one crate
    targets: Vec<String>,
    /// How long each is run
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Builds the targets and runs them one after the other; exits with 1 if any found something.
pub(crate) fn run(options: &Options) -> ExitCode {
    let mut all = Vec::new();
    for package in PACKAGES {
        match targets(&workspace::root().join(package).join("targets")) {
            Ok(names) => all.extend(names.into_iter().map(|name| Target { package, name })),
            Err(error) => return failed(&format!("{package}/targets cannot be read: {error}")),
        }
    }
    if let Some(unknown) = options
        .targets
        .iter()
        .find(|said| !all.iter().any(|target| target.is(said)))
    {
        let all: Vec<String> = all.iter().map(Target::said).collect();
        return failed(&format!(
            "there is no target {unknown}; there are {}",
            all.join(", ")
        ));
    }
    let is_chosen =
        |target: &Target| options.targets.is_empty() || options.targets.iter().any(|said| target.is(said));
    all.retain(is_chosen);
    let (Some(folder), Some(triple)) = (target_folder(), host()) else {
        return failed("cargo and rustc do not say where and for what they build");
    };
    for package in PACKAGES
        .iter()
        .filter(|package| all.iter().any(|target| target.package == **package))
    {
        let (root, folder) = (workspace::root().join(package), folder.join(crate_of(package)));
        if !shell::run(&mut build(&root, &folder, &triple)).is_ok {
            return failed("the targets cannot be built (libFuzzer is C++: a C++ compiler has to be there)");
        }
    }
    let failures = all
        .iter()
        .filter(|target| !is_clean(target, &folder, &triple, options.seconds))
        .count();
    println!("\n{} passed, {failures} failed", all.len() - failures);
    if failures == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One of them.
struct Target {
    package: &'static str,
    name: String,
}

impl Target {
    /// As it is said: `secrets:keys`.
    fn said(&self) -> String {
        format!("{}:{}", crate_of(self.package), self.name)
    }

    fn is(&self, said: &str) -> bool {
        self.name == said || self.said() == said
    }
}

/// The crate of a package: `secrets`.
fn crate_of(package: &str) -> &str {
    package.split('/').nth(1).unwrap_or(package)
}

fn failed(why: &str) -> ExitCode {
    eprintln!("error: {why}");
    ExitCode::FAILURE
}

/// Their names, in order.
fn targets(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

fn target_folder() -> Option<PathBuf> {
    let folder = workspace::metadata().ok()?.target_directory;
    Some(folder.join("fuzz").into_std_path_buf())
}

/// With a target named, build scripts and macros are left without the flags.
fn host() -> Option<String> {
    let output = Command::new("rustc")
        .args(["--print", "host-tuple"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// With the versions of the workspace's own lock file: what is fuzzed is what is built.
fn build(package: &Path, folder: &Path, triple: &str) -> Command {
    if let Err(error) = std::fs::copy(workspace::root().join("Cargo.lock"), package.join("Cargo.lock")) {
        eprintln!("warning: the lock file is not copied: {error}");
    }
    let mut command = shell::cargo(&["build", "--release", "--target", triple]);
    command
        .current_dir(package)
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_DIR", folder);
    command
}

fn is_clean(target: &Target, folder: &Path, triple: &str, seconds: u32) -> bool {
    println!("\n=== {}", target.said());
    let (name, folder) = (&target.name, folder.join(crate_of(target.package)));
    let program = &folder.join(triple).join("release").join(name);
    let package = workspace::root().join(target.package);
    let (inputs, found) = (folder.join("inputs").join(name), folder.join("found").join(name));
    if let Err(error) = std::fs::create_dir_all(&inputs).and_then(|()| std::fs::create_dir_all(&found)) {
        eprintln!("error: {error}");
        return false;
    }
    let mut command = Command::new(program);
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MAX}"))
        .arg(format!("-artifact_prefix={}/", found.display()))
        .args(["-print_final_stats=1", "-verbosity=1"])
        .arg(&inputs)
        .arg(package.join("corpus").join(name));
    let is_clean = shell::run(&mut command).is_ok;
    if !is_clean {
        eprintln!(
            "{name} found something: {} INPUT says it again; the input belongs into {}/corpus/{name}, \
             so that the tests keep it",
            program.display(),
            target.package
        );
    }
    is_clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_inputs_to_begin_with() {
        for package in PACKAGES {
            let package = workspace::root().join(package);
            let targets = targets(&package.join("targets")).unwrap();
            assert!(!targets.is_empty());
            for target in targets {
                assert!(package.join("corpus").join(&target).is_dir(), "{target}");
            }
        }
    }
}
