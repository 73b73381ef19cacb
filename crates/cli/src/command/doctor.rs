//! `doctor`: looks, and changes nothing.

use std::path::Path;

use bytes::Bytes;
use dormouse_engine::worker::isolation::Policy;
use serde::Serialize;
use serde_json::json;

use super::doctor_clis::look_at_clis;
use super::doctor_keys::in_system;
use super::listing;
use crate::api::{CapabilitiesView, HealthView, IsolationView, VaultView};
use crate::args::Global;
use crate::client::{Call, Client, Server};
use crate::context::Context;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::{Table, Ui};
use crate::owner::lock::{self, Holder};
use crate::owner::store;
use crate::owner::token::ControlToken;
use crate::place::{self, Refusal};
use crate::problem::{Problem, Result};

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warn,
    Fail,
}

/// What was looked at, what was found, and what mends it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Check {
    check: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            found: found.into(),
            fix: None,
        }
    }

    pub(super) fn warn(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Warn,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }

    pub(super) fn fail(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Fail,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }

    fn refused(check: &'static str, problem: &Problem) -> Self {
        let fix = problem.hint.as_deref().unwrap_or("see dormouse help config");
        Self::fail(check, problem.detail.as_str(), fix)
    }
}

/// Looks at everything there is, and says what is wrong.
pub(crate) async fn doctor(global: &Global, environment: Environment, ui: &Ui) -> Result<Exit> {
    let mut checks = Vec::new();
    let mut policy = None;
    let variables = environment.clone();
    match Context::find(global, environment, ui.clone()) {
        Ok(context) => {
            checks.push(Check::ok("config", context.config_file.display().to_string()));
            checks.extend(
                context
                    .config
                    .warnings
                    .iter()
                    .map(|w| Check::warn("config", w.clone(), "unset it")),
            );
            look_at_folders(&context, &mut checks);
            look_at_store(&context, &mut checks).await;
            look_at_owner(&context, &mut checks).await;
            policy = store::isolation(&context);
            let vault = vault_of_owner(&context).await;
            checks.push(key_file(&context, vault.as_ref()));
            checks.extend(vault.as_ref().and_then(in_system));
        }
        Err(problem) => checks.push(Check::refused("config", &problem)),
    }
    checks.push(of_isolation(IsolationView::of_host(policy)));
    look_at_clis(&variables, &mut checks).await;
    print(ui, &checks)
}

fn look_at_folders(context: &Context, checks: &mut Vec<Check>) {
    if let Err(problem) = context.places.check_socket() {
        checks.push(Check::refused("socket", &problem));
    }
    for folder in context.places.folders() {
        checks.push(match place::check_folder(folder) {
            Ok(()) => writable(folder),
            Err(refusal) if refusal.is_missing() => Check::ok(
                "folder",
                format!(
                    "{} is not there yet; it is made when it is needed",
                    folder.display()
                ),
            ),
            Err(refusal) => Check::refused("folder", &refusal.into()),
        });
    }
}

fn writable(folder: &Path) -> Check {
    use rustix::fs::{Access, access};
    let shown = folder.display();
    match access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Check::ok("folder", shown.to_string()),
        Err(_) => Check::fail(
            "folder",
            format!("{shown} cannot be written"),
            format!("chmod 700 {shown}"),
        ),
    }
}

/// What keeps the store, whether this build can open it, and what it promises. Opening it would write, so it is only
/// looked at.
async fn look_at_store(context: &Context, checks: &mut Vec<Check>) {
    let url = &context.places.url;
    let options = match store::options(context) {
        Ok(options) => options,
        Err(problem) => return checks.push(Check::refused("store", &problem)),
    };
    let found = match url.inspect(&options).await {
        Ok(found) => found,
        Err(error) => return checks.push(Check::refused("store", &store::refused(&error))),
    };
    let server = found
        .server
        .as_ref()
        .map(|version| format!(", PostgreSQL {version}, schema {}", options.schema))
        .unwrap_or_default();
    checks.push(match (found.format, found.pending()) {
        (None, _) => Check::ok(
            "store",
            format!("{url}{server} is empty; the first command that needs a store makes it"),
        ),
        (Some(format), 0) => Check::ok(
            "store",
            format!("{url}{server}, format {format}, no migration pending"),
        ),
        (Some(format), pending) => Check::warn(
            "store",
            format!("{url}{server}, format {format}, {pending} migrations pending"),
            "nothing is to be done: the next command that needs the store makes them",
        ),
    });
    let promised = CapabilitiesView::of(&found.capabilities).to_string();
    checks.push(match found.capabilities.satisfy(&store::needed(context)) {
        Ok(()) => Check::ok("promises", promised),
        Err(error) => {
            let problem = store::lacking(&error, url);
            let fix = problem.hint.as_deref().unwrap_or("see dormouse help config");
            Check::fail("promises", format!("{promised}: {}", problem.detail), fix)
        }
    });
}

async fn look_at_owner(context: &Context, checks: &mut Vec<Check>) {
    let places = &context.places;
    let holder = lock::holder(&places.lock);
    match holder {
        Holder::Nobody if places.lock.exists() => {
            checks.push(Check::ok("owner", "nobody owns the store at the moment"));
        }
        Holder::Nobody => checks.push(Check::ok(
            "owner",
            "there is no store yet; the first command that needs one makes it",
        )),
        Holder::Process(note) => checks.push(health(context, &note).await),
        Holder::Unknown(problem) => checks.push(Check::refused("owner", &problem)),
    }
    match ControlToken::read(&places.token) {
        Ok(_) => checks.push(Check::ok("token", places.token.display().to_string())),
        Err(refusal) if refusal.is_missing() => {}
        Err(refusal @ Refusal::Kind { .. }) => checks.push(Check::fail(
            "token",
            refusal.to_string(),
            "remove the file; the next owner makes a new one",
        )),
        Err(refusal) => checks.push(Check::refused("token", &refusal.into())),
    }
}

/// What the owner answers. None when there is no token, or no answer.
async fn asked(context: &Context, path: &str) -> Option<Bytes> {
    let token = ControlToken::read(&context.places.token).ok()?;
    let client = Client::to(
        Server::Unix(context.places.socket.clone()),
        Some(token),
        context.tenant_header(),
    );
    let deadline = context
        .config
        .duration("client.attach_timeout")
        .unwrap_or_default();
    let call = Call::get(path);
    let asked = async { client.send(&call).await.ok()?.bytes().await.ok() };
    tokio::time::timeout(deadline, asked).await.ok().flatten()
}

/// Asks the owner. Never by becoming it: opening a store writes.
async fn health(context: &Context, holder: &str) -> Check {
    let fix = format!("wait for {holder} or stop it");
    if ControlToken::read(&context.places.token).is_err() {
        return Check::fail(
            "owner",
            format!("{holder} owns the store, and there is no token to ask it with"),
            fix,
        );
    }
    let answer = asked(context, "/v1/health").await;
    match answer.and_then(|body| listing::read::<HealthView>(&body).ok()) {
        Some(health) if health.store == "open" => {
            let notices: String = health
                .notices
                .iter()
                .map(|notice| format!("; {notice}"))
                .collect();
            Check::ok(
                "owner",
                format!(
                    "process {} (version {}), {} runs at work, {} store open{notices}",
                    health.pid, health.version, health.live_runs, health.backend
                ),
            )
        }
        Some(health) => Check::fail(
            "owner",
            format!("process {}: the store is {}", health.pid, health.store),
            fix,
        ),
        None => Check::fail(
            "owner",
            format!("{holder} owns the store and does not answer"),
            fix,
        ),
    }
}

/// The wall round workers, and what stands open without it.
fn of_isolation(isolation: IsolationView) -> Check {
    let policy = isolation.policy;
    if isolation.exposes.is_empty() {
        return if isolation.is_degraded {
            let fix =
                "set worker.isolation to best_effort, or use a kernel with Landlock (Linux 5.13 or later)";
            Check::fail("isolation", format!("{}: no worker starts", isolation.level), fix)
        } else {
            Check::ok("isolation", isolation.level)
        };
    }
    let fix = match policy {
        Some(Policy::Off) => "unset worker.isolation",
        _ => "use a kernel with Landlock (Linux 5.13 or later) that has it enabled",
    };
    let exposed = isolation.exposes.join("; ");
    Check::warn(
        "isolation",
        format!("{}: a worker can read {exposed}", isolation.level),
        fix,
    )
}

/// The vault, as the owner has it who is there. None where there is none: nobody else knows what is in the store.
async fn vault_of_owner(context: &Context) -> Option<VaultView> {
    match lock::holder(&context.places.lock) {
        Holder::Process(_) => listing::read(&asked(context, "/v1/secrets/status").await?).ok(),
        Holder::Nobody | Holder::Unknown(_) => None,
    }
}

/// The file with the key that opens the secrets, and whether it does, where the vault is known. It is looked at here, and
/// not read.
pub(super) fn key_file(context: &Context, vault: Option<&VaultView>) -> Check {
    let path = &context.key_file;
    let shown = path.display();
    let opens = vault.and_then(|vault| vault.key_file_opens);
    let is_needed = vault.is_some_and(|vault| vault.opens_by_itself == Some(false));
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && is_needed => {
            return Check::fail(
                "key file",
                format!("{shown} is not there: the vault is sealed in each process that starts"),
                "put it back, or dormouse secret unlock --passphrase --restore-key-file",
            );
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let what = match opens {
                Some(_) => format!("{shown} is not there, and not needed: the vault opens without it"),
                None => format!("{shown} is not there; the first secret of a store makes it"),
            };
            return Check::ok("key file", what);
        }
        Err(error) => {
            return Check::fail(
                "key file",
                format!("{shown}: {error}"),
                "make its folder your own",
            );
        }
    };
    if !found.is_file() {
        let fix = "put a regular file there: a link is not followed";
        return Check::fail("key file", format!("{shown} is no regular file"), fix);
    }
    let opened = std::fs::File::open(path).map_err(|source| Refusal::System {
        path: path.clone(),
        source,
    });
    match opened.and_then(|file| place::check_file(path, &file)) {
        Ok(()) if opens == Some(false) && is_needed => Check::fail(
            "key file",
            format!("{shown} opens nothing: the vault is sealed in each process that starts"),
            "move it away, then dormouse secret unlock --passphrase --restore-key-file",
        ),
        Ok(()) => Check::ok(
            "key file",
            match opens {
                Some(true) => format!(
                    "{shown} opens the secrets: a backup without it opens none, and one with it opens all"
                ),
                Some(false) => format!("{shown} opens nothing; the vault opens without it"),
                None if vault.is_some() => {
                    format!("{shown} is there, and opens the vault that is made first")
                }
                None => format!("{shown} is there; dormouse secret doctor says whether it opens the secrets"),
            },
        ),
        Err(refusal) => Check::refused("key file", &refusal.into()),
    }
}

pub(super) fn print(ui: &Ui, checks: &[Check]) -> Result<Exit> {
    let mut table = Table::new(&["check", "state", "found"]);
    for check in checks {
        let state = match check.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        };
        let fix = check
            .fix
            .as_ref()
            .map(|fix| format!("   fix: {fix}"))
            .unwrap_or_default();
        table.rows.push(vec![
            check.check.to_owned(),
            state.to_owned(),
            format!("{}{fix}", check.found),
        ]);
    }
    listing::local(ui, checks.iter().map(|check| json!(check)).collect(), &table)?;
    let has_failed = checks.iter().any(|check| check.state == State::Fail);
    Ok(if has_failed { Exit::Failed } else { Exit::Done })
}

#[cfg(test)]
mod tests {
    use dormouse_engine::worker::isolation::Offered;

    use super::*;

    /// With `a_wall_that_is_missing_is_said_by_the_log_and_by_health`.
    #[test]
    fn a_wall_that_is_missing_is_a_warning_and_one_that_was_required_a_failure() {
        let found = |policy, offered| of_isolation(IsolationView::of(policy, offered));
        let missing = found(None, Offered::Nothing);
        assert!(matches!(missing.state, State::Warn), "{missing:?}");
        assert!(
            missing.found.contains("this kernel has no Landlock"),
            "{missing:?}"
        );
        assert!(
            missing.found.contains("the workspaces of other agents"),
            "{missing:?}"
        );
        let required = found(Some(Policy::Required), Offered::Nothing);
        assert!(matches!(required.state, State::Fail), "{required:?}");
        let there = found(None, Offered::Landlock { abi: 9 });
        assert!(matches!(there.state, State::Ok), "{there:?}");
    }
}
