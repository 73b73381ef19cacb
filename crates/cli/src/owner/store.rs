//! Opening the store and the engine on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dormouse_engine::recovery::Recovery;
use dormouse_engine::session::Sessions;
use dormouse_engine::supervisor::{Supervisor, SupervisorOptions, SystemOrphans};
use dormouse_engine::worker::Boot;
use dormouse_engine::{Engine, EngineOptions, Environment, Epoch, HostIdentity, Random, SystemClock};
use dormouse_filesystem::{
    Namespace, OpenError, Opener, RecordStore, Requirements, Sled, SledOptions, System,
};
use dormouse_secrets::Scrubber;

use crate::context::Context;
use crate::edge;
use crate::problem::{Code, Problem};

/// Where programs are looked for when nobody says where.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// Opens the store at this place, making it where there is none, and ends what a former owner left running.
pub(super) async fn open(place: &Path) -> Result<(Engine, Recovery), Problem> {
    let options = SledOptions {
        program: "dormouse".to_owned(),
        ..SledOptions::new(edge::now())
    };
    let store: Arc<dyn RecordStore> = Arc::new(Sled::open(place, options).await.map_err(|e| refused(&e))?);
    let seed = edge::random_number()?;
    let system = Namespace::<System>::open(store, &Requirements::embedded(), Opener::at(edge::now(), seed))
        .await
        .map_err(|e| refused(&e))?;
    let options = EngineOptions {
        companions: vec![Arc::new(Sessions)],
    };
    let engine = Engine::open(system, environment()?, options);
    let recovery = engine.recover(&SystemOrphans).await?;
    Ok((engine, recovery))
}

/// Time, randomness, and who this process is.
fn environment() -> Result<Environment, Problem> {
    let random = Random::from_system().map_err(|error| {
        Problem::new(
            Code::Internal,
            format!("the system gives no random bytes: {error}"),
        )
    })?;
    let boot = Boot::current().map_err(|error| {
        Problem::new(
            Code::Internal,
            format!("it is not known which boot this is: {error}"),
        )
    })?;
    let epoch = Epoch::make(edge::now(), &random);
    let host = HostIdentity {
        host: boot.host,
        boot_id: boot.boot_id,
        pid: std::process::id(),
        epoch,
    };
    Ok(Environment {
        clock: Arc::new(SystemClock),
        random: Arc::new(random),
        host,
    })
}

/// What runs workers. They get of our environment their search path, user, language and zone, and nothing else.
pub(super) fn supervisor(engine: &Engine, context: &Context) -> Result<Supervisor, Problem> {
    let keeper = this_program()?;
    let text = |name: &str| context.environment.get(name).and_then(|value| value.to_str());
    let or = |names: &[&str], default: &str| {
        names
            .iter()
            .find_map(|name| text(name))
            .unwrap_or(default)
            .to_owned()
    };
    let options = SupervisorOptions {
        keeper,
        workspaces: context.places.workspaces.clone(),
        run_folders: context.places.runs.clone(),
        path: or(&["PATH"], PATH_DEFAULT),
        user: or(&["USER", "LOGNAME"], "dormouse"),
        lang: or(&["LC_ALL", "LANG"], "C.UTF-8"),
        tz: or(&["TZ"], "UTC"),
        isolation: None,
        scrubber: Scrubber::empty(),
    };
    Ok(Supervisor::new(engine, options))
}

/// What starts this very build again. On Linux that is not its path: an upgrade puts another build there, or nothing.
fn this_program() -> Result<PathBuf, Problem> {
    let itself = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && itself.exists() {
        return Ok(itself);
    }
    std::env::current_exe().map_err(|error| {
        Problem::new(
            Code::Internal,
            format!("it is not known where dormouse itself is: {error}"),
        )
    })
}

/// A store that was not opened, with the one thing to do.
pub(crate) fn refused(error: &OpenError) -> Problem {
    let detail = error.to_string();
    match error {
        OpenError::InUse { .. } => {
            Problem::new(Code::Unavailable, detail).hint("wait for that process, or stop it")
        }
        OpenError::TooNew { .. } => {
            Problem::new(Code::TooNew, detail).hint("upgrade dormouse; nothing was changed")
        }
        OpenError::Foreign { .. } => Problem::new(Code::Config, detail)
            .hint("name another place with store.path, or move that folder away"),
        OpenError::Refused { .. } | OpenError::Lacks { .. } => {
            Problem::new(Code::Config, detail).hint("name another place with store.path")
        }
        OpenError::Damaged { .. } | OpenError::Broken { .. } => Problem::new(Code::Corrupt, detail)
            .hint("restore a copy of the folder, or name another place with store.path"),
        OpenError::Unavailable { source, .. } => {
            let cause = source
                .as_ref()
                .map(|source| format!(": {source}"))
                .unwrap_or_default();
            Problem::new(Code::Unavailable, format!("{detail}{cause}"))
                .hint("look at the disk and the folder, then try again")
        }
    }
}
