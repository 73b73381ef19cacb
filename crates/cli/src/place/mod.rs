//! Where things lie: folders by purpose, and what belongs to one store.
//!
//! `DORMOUSE_HOME` replaces every other rule with `config/ data/ state/ run/` below it. Otherwise what a service manager
//! gives comes first, then the XDG folders, on macOS too.

mod folder;

use std::path::{Path, PathBuf};

use dormouse_filesystem::{Backend, StoreUrl};
use sha2::{Digest, Sha256};

pub use folder::{Refusal, check_file, check_folder, ensure_folder, read_bounded, write_new_file};

use crate::environment::Environment;
use crate::problem::{Code, Problem};

/// The name of the key file.
const KEY: &str = "secrets.key";

/// Longest path of a socket, in bytes: what every kernel takes, with its closing NUL.
pub const SOCKET_PATH_MAX: usize = 107;

/// The folders of this user or service, before a store is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The configuration file, which need not exist.
    pub config: PathBuf,
    /// The key that opens the secrets, which need not exist: in the configuration folder, never in the store's.
    pub key: PathBuf,
    /// Store and workspaces, unless `store.path` says otherwise.
    pub data: PathBuf,
    /// Tokens, owner locks, reports.
    pub state: PathBuf,
    /// Sockets and run folders; the state folder where the system gives none.
    pub runtime: Option<PathBuf>,
}

impl Places {
    /// Finds them in the environment. Nothing is made or read, but whether a configuration file exists.
    ///
    /// # Errors
    /// When neither `DORMOUSE_HOME` nor `HOME` says where to begin.
    pub fn find(environment: &Environment) -> Result<Self, Problem> {
        if let Some(home) = environment.get("DORMOUSE_HOME") {
            let home = environment.absolute(Path::new(home));
            return Ok(Self {
                config: home.join("config/config.toml"),
                key: home.join("config").join(KEY),
                data: home.join("data"),
                state: home.join("state"),
                runtime: Some(home.join("run")),
            });
        }
        Ok(Self {
            config: find_config(environment)?,
            key: own_config(environment)?.join(KEY),
            data: first_of(environment, "STATE_DIRECTORY", "XDG_DATA_HOME", ".local/share")?,
            state: first_of(environment, "STATE_DIRECTORY", "XDG_STATE_HOME", ".local/state")?,
            runtime: environment
                .folder_of("RUNTIME_DIRECTORY")
                .or_else(|| Some(environment.folder_of("XDG_RUNTIME_DIR")?.join("dormouse"))),
        })
    }

    /// What belongs to a store: the one at this url, or the embedded one below the data folder. A server has one per
    /// schema.
    #[must_use]
    pub fn of_store(&self, data: Option<&Path>, url: Option<&StoreUrl>, schema: &str) -> StorePlaces {
        let data = data.unwrap_or(&self.data).to_owned();
        let own = StoreUrl::of_folder(Backend::Sled, &data.join("store"));
        let url = url.unwrap_or(&own).clone();
        let digest = if url == own {
            digest(&[whole(&data).as_os_str().as_encoded_bytes()])
        } else {
            digest_of(&data, &url, schema)
        };
        let state = self.state.join(&digest);
        let runtime = self
            .runtime
            .as_ref()
            .map_or_else(|| state.clone(), |runtime| runtime.join(&digest));
        StorePlaces {
            store: url.folder().map(Path::to_owned),
            url,
            workspaces: data.join("workspaces"),
            lock: state.join("owner.lock"),
            token: state.join("control.token"),
            socket: runtime.join("control.sock"),
            runs: runtime.join("runs"),
            data,
            state_root: self.state.clone(),
            state,
            runtime_root: self.runtime.clone(),
            runtime,
        }
    }
}

/// Every path that belongs to one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePlaces {
    /// The data folder: workspaces, and the store unless its url says otherwise.
    pub data: PathBuf,
    /// Where the records are.
    pub url: StoreUrl,
    /// The folder of the records, where they are in one.
    pub store: Option<PathBuf>,
    /// One folder per tenant and agent.
    pub workspaces: PathBuf,
    /// The folder that holds the state folders of all stores.
    pub state_root: PathBuf,
    /// The owner lock and the control token.
    pub state: PathBuf,
    /// The owner lock.
    pub lock: PathBuf,
    /// The control token.
    pub token: PathBuf,
    /// The folder that holds the run folders of all stores, where the system gives one.
    pub runtime_root: Option<PathBuf>,
    /// The control socket and the folders of runs.
    pub runtime: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// One folder per live run.
    pub runs: PathBuf,
}

impl StorePlaces {
    /// The folders an owner needs, outermost first, each once.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        // Where the system gives no folder for it, what is of this run time only lies in the state folder.
        let runtime = (self.runtime != self.state).then_some(&self.runtime);
        [
            Some(&self.data),
            self.store.as_ref(),
            Some(&self.workspaces),
            Some(&self.state_root),
            Some(&self.state),
        ]
        .into_iter()
        .chain([self.runtime_root.as_ref(), runtime, Some(&self.runs)])
        .flatten()
        .map(PathBuf::as_path)
    }

    /// Makes what is missing, and refuses what is not ours alone.
    ///
    /// # Errors
    /// The first folder that is refused, with the fix.
    pub fn ensure(&self) -> Result<(), Problem> {
        self.check_socket()?;
        for folder in self.folders() {
            ensure_folder(folder)?;
        }
        Ok(())
    }

    /// Checks that a kernel takes the socket's path.
    ///
    /// # Errors
    /// When it is over [`SOCKET_PATH_MAX`] bytes.
    pub fn check_socket(&self) -> Result<(), Problem> {
        let bytes = self.socket.as_os_str().len();
        if bytes <= SOCKET_PATH_MAX {
            return Ok(());
        }
        let path = self.socket.display();
        Err(Problem::new(
            Code::Config,
            format!("the control socket's path has {bytes} bytes, a socket takes {SOCKET_PATH_MAX}: {path}"),
        )
        .hint("set DORMOUSE_HOME, or XDG_RUNTIME_DIR, to a shorter path"))
    }
}

/// The store's name among others: two stores never share a lock, token or socket.
fn digest(parts: &[&[u8]]) -> String {
    let digest = Sha256::digest(parts.join(&0));
    data_encoding::HEXLOWER.encode(&digest[..8])
}

/// Of a store elsewhere, with the workspaces that are here: the url says which, whatever its password.
fn digest_of(data: &Path, url: &StoreUrl, schema: &str) -> String {
    let data = whole(data);
    let data = data.as_os_str().as_encoded_bytes();
    match url.folder().map(whole) {
        Some(folder) => {
            let scheme = url.backend().scheme().as_bytes();
            digest(&[data, scheme, folder.as_os_str().as_encoded_bytes()])
        }
        None => digest(&[data, url.to_string().as_bytes(), schema.as_bytes()]),
    }
}

/// A path without links, as far down as it is there.
fn whole(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        if let (Ok(whole), Ok(below)) = (std::fs::canonicalize(above), path.strip_prefix(above)) {
            // Joined with nothing a path would end with a separator.
            return if below.as_os_str().is_empty() {
                whole
            } else {
                whole.join(below)
            };
        }
    }
    path.to_owned()
}

/// The folder of this user's or service's configuration, whether or not anything is in it.
fn own_config(environment: &Environment) -> Result<PathBuf, Problem> {
    match environment.folder_of("CONFIGURATION_DIRECTORY") {
        Some(folder) => Ok(folder),
        None => xdg(environment, "XDG_CONFIG_HOME", ".config"),
    }
}

fn find_config(environment: &Environment) -> Result<PathBuf, Problem> {
    let own = own_config(environment)?.join("config.toml");
    if environment.folder_of("CONFIGURATION_DIRECTORY").is_some() {
        return Ok(own);
    }
    let of_system = Path::new("/etc/dormouse/config.toml");
    Ok(if !own.exists() && of_system.exists() {
        of_system.to_owned()
    } else {
        own
    })
}

fn first_of(
    environment: &Environment,
    service: &str,
    variable: &str,
    below_home: &str,
) -> Result<PathBuf, Problem> {
    match environment.folder_of(service) {
        Some(folder) => Ok(folder),
        None => xdg(environment, variable, below_home),
    }
}

fn xdg(environment: &Environment, variable: &str, below_home: &str) -> Result<PathBuf, Problem> {
    if let Some(folder) = environment.folder_of(variable) {
        return Ok(folder.join("dormouse"));
    }
    let home = environment.folder_of("HOME").ok_or_else(|| {
        Problem::new(
            Code::Config,
            "there is no home folder: HOME is not set to an absolute path",
        )
        .hint("set HOME, or DORMOUSE_HOME to the folder that dormouse may use")
    })?;
    Ok(home.join(below_home).join("dormouse"))
}
