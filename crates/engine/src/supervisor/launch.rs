//! From a claimed run to a launch: its folders, its environment, its command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::asking::Asking;
use super::attempt::Parts;
use super::endpoint::Endpoint;
use crate::command::CommandSpec;
use crate::credentials::is_reference;
use crate::worker::environment::{Base, EnvError, Layers, build, create_folders};
use crate::worker::isolation::WallSpec;
use crate::worker::{Feed, Launch, ProcessLimits, SpawnError};

/// Why there is no launch. Nothing ran.
#[derive(Debug)]
pub(super) enum Unlaunchable {
    Environment(EnvError),
    Spawn(SpawnError),
}

/// The agent's workspace: `<workspaces>/<tenant>/<agent>`.
pub(super) fn workspace(parts: &Parts) -> PathBuf {
    let tenant = parts.tenant.space().root().segments().last().unwrap_or_default();
    parts
        .options
        .workspaces
        .join(tenant)
        .join(parts.claimed.run.agent.as_str())
}

/// The run's own folder.
pub(super) fn run_folder(parts: &Parts) -> PathBuf {
    parts.options.run_folders.join(parts.claimed.run.id.to_string())
}

/// Makes the folders, opens the run's endpoint, and describes the process whole.
pub(super) async fn launch(
    parts: &Arc<Parts>,
    command: &CommandSpec,
    argv: &[String],
    feed: Feed,
    leased: BTreeMap<String, String>,
) -> Result<(Launch, Option<Endpoint>), Unlaunchable> {
    let (workspace, run_folder) = (workspace(parts), run_folder(parts));
    let mut layers = layers(parts, command, leased);
    // Their values are among those that are leased.
    layers.profile.retain(|_, value| !is_reference(value));
    let mut environment =
        build(&base(parts, &workspace, &run_folder), &layers).map_err(Unlaunchable::Environment)?;
    make(workspace.clone(), run_folder.clone())
        .await
        .map_err(Unlaunchable::Spawn)?;
    let endpoint = open(parts, &run_folder).await;
    let programs = endpoint.as_ref().and_then(|endpoint| endpoint.programs.clone());
    if let (Some(programs), Some(path)) = (programs, environment.get_mut("PATH")) {
        *path = format!("{}:{path}", programs.display());
    }
    let stdin = super::message::stdin(parts, &command.stdin, &run_folder).await;
    super::saved::write(parts, &run_folder).await;
    let launch = Launch {
        keeper: parts.options.keeper.clone(),
        run: parts.claimed.run.id.to_string(),
        argv: argv.to_vec(),
        workspace,
        cwd: command.cwd.clone(),
        environment,
        stdin,
        feed,
        limits: ProcessLimits::default(),
        isolation: command.isolation.or(parts.options.isolation),
        offered: parts.options.offered,
        wall: WallSpec {
            read: endpoint
                .as_ref()
                .map(|endpoint| endpoint.readable.clone())
                .unwrap_or_default(),
            write: vec![run_folder],
            more_read: command.read.clone(),
            more_write: command.write.clone(),
            closed: parts.options.closed.clone(),
        },
    };
    Ok((launch, endpoint))
}

/// The run's endpoint, if there is to be one. A run whose endpoint cannot be opened goes on: it cannot ask, and says so
/// when it tries.
async fn open(parts: &Arc<Parts>, run_folder: &Path) -> Option<Endpoint> {
    let endpoints = parts.endpoints.as_ref()?;
    match endpoints.open(run_folder, Asking::new(parts)).await {
        Ok(endpoint) => Some(endpoint),
        Err(error) => {
            tracing::warn!(run = %parts.claimed.run.id, %error, "the run's endpoint was not opened");
            None
        }
    }
}

fn base(parts: &Parts, workspace: &Path, run_folder: &Path) -> Base {
    let options = &parts.options;
    Base {
        workspace: workspace.to_owned(),
        run_folder: run_folder.to_owned(),
        run: parts.claimed.run.id.to_string(),
        path: options.path.clone(),
        user: options.user.clone(),
        lang: options.lang.clone(),
        tz: options.tz.clone(),
        traceparent: None,
        provider_state: None,
    }
}

/// What a worker gets above the base.
pub(super) fn layers(parts: &Parts, command: &CommandSpec, leased: BTreeMap<String, String>) -> Layers {
    Layers {
        passed: parts.options.passed.clone(),
        leased,
        profile: command.env.clone(),
    }
}

async fn make(workspace: PathBuf, run_folder: PathBuf) -> Result<(), SpawnError> {
    let made = tokio::task::spawn_blocking(move || {
        create_folders(&workspace, &run_folder).map_err(|source| {
            let folder = if workspace.is_dir() { run_folder } else { workspace };
            SpawnError::Folder { folder, source }
        })
    });
    made.await.expect("making folders does not panic")
}
