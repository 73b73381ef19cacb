//! Which programs of providers there are, in which version, and with which versions their adapters were tested.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use dormouse_engine::adapter::Provider;
use dormouse_engine::worker::find_program;
use tokio::process::Command;
use tokio::time::timeout;

use super::doctor::Check;
use crate::environment::Environment;
use crate::output::visible;

/// How long a program may take to say its version.
const VERSION_MAX: Duration = Duration::from_secs(10);
/// A home that is not there.
const NO_HOME: &str = "/nonexistent";
/// Longest version that is shown, in bytes.
const VERSION_BYTES_MAX: usize = 80;

/// Each program of a provider that workers would find. One that is not there is no fault: nobody needs all.
pub(super) async fn look_at_clis(environment: &Environment, checks: &mut Vec<Check>) {
    let path = environment.get("PATH").and_then(|path| path.to_str());
    for provider in Provider::ALL {
        let Some(program) = provider.program() else {
            continue;
        };
        let found = path.and_then(|path| find_program(program, path, Path::new("/")).ok());
        let tested = provider.versions_tested();
        checks.push(match found {
            None => Check::ok("agent cli", format!("{program} is not installed")),
            Some(file) => {
                let shown = file.display();
                match version(&file, path.unwrap_or_default()).await {
                    Some(version) => Check::ok(
                        "agent cli",
                        format!("{program} {version} ({shown}); tested with {tested}"),
                    ),
                    None => Check::warn(
                        "agent cli",
                        format!("{program} does not say its version ({shown}); tested with {tested}"),
                        format!("try {shown} --version"),
                    ),
                }
            }
        });
    }
}

/// What it says of its version. It has no home to write in: looking changes nothing.
async fn version(file: &Path, path: &str) -> Option<String> {
    let child = Command::new(file)
        .arg("--version")
        .env_clear()
        .env("PATH", path)
        .env("HOME", NO_HOME)
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(VERSION_MAX, child).await.ok()?.ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty())?;
    let end = line.floor_char_boundary(VERSION_BYTES_MAX);
    output.status.success().then(|| visible::one_line(&line[..end]))
}
