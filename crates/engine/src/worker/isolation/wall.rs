//! Which folders a wall has gates for.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Readable by every worker: the system's programs, libraries and settings.
const READ: [&str; 9] = [
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/opt", "/proc",
];
/// Devices without a state of anybody's.
const DEVICES_READ: [&str; 2] = ["/dev/random", "/dev/urandom"];
/// Devices that swallow or produce nothing of anybody's.
const DEVICES_WRITE: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty"];
/// Where names of hosts are looked up; on many systems a link out of `/etc`.
const RESOLVER: &str = "/etc/resolv.conf";

/// The wishes of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WallSpec {
    /// Further folders and files to read.
    pub read: Vec<PathBuf>,
    /// Folders to read and write: workspace, run folder, provider state.
    pub write: Vec<PathBuf>,
}

/// Everything the worker can reach; the rest is refused by the kernel. Paths that do not exist are no gates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wall {
    /// To read and execute.
    pub read: Vec<PathBuf>,
    /// To read, execute and change.
    pub write: Vec<PathBuf>,
}

impl Wall {
    /// The wall round a program. Blocks to resolve a link.
    #[must_use]
    pub fn round(program: &Path, spec: &WallSpec) -> Self {
        let system = READ.iter().chain(&DEVICES_READ).map(PathBuf::from);
        let own = [program.to_owned(), program.canonicalize().unwrap_or_default()];
        let folders = own
            .iter()
            .filter_map(|p| p.parent())
            .filter(|p| !is_root(p))
            .map(Path::to_owned);
        let resolver = Path::new(RESOLVER).canonicalize().ok();
        let read = system
            .chain(folders)
            .chain(resolver)
            .chain(spec.read.iter().cloned())
            .collect();
        let devices = DEVICES_WRITE.iter().map(PathBuf::from);
        Self {
            read,
            write: devices.chain(spec.write.iter().cloned()).collect(),
        }
    }
}

/// A program in `/` or with no folder opens nothing: that gate would be the whole wall.
fn is_root(folder: &Path) -> bool {
    folder.parent().is_none() || folder.as_os_str().is_empty()
}
