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
        let write: Vec<PathBuf> = spec.write.iter().filter_map(|p| p.canonicalize().ok()).collect();
        let own = own.iter().map(|file| gate_of(file, &write));
        let resolver = Path::new(RESOLVER).canonicalize().ok();
        let read = system
            .chain(own)
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

/// A program's gate: its folder, for what it loads from beside itself. A folder that also holds what this run
/// writes holds other runs' folders too, perhaps the store, perhaps everything: then the file alone.
fn gate_of(program: &Path, write: &[PathBuf]) -> PathBuf {
    let opens_too_much = |folder: &Path| match folder.canonicalize() {
        Ok(folder) => folder.parent().is_none() || write.iter().any(|ours| ours.starts_with(&folder)),
        Err(_) => true,
    };
    match program.parent() {
        Some(folder) if !opens_too_much(folder) => folder.to_owned(),
        Some(_) | None => program.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_beside_our_own_folders_opens_only_itself() {
        let home = tempfile::tempdir().unwrap();
        let [workspace, bin] = ["dormouse/workspaces/a", "bin"].map(|f| home.path().join(f));
        for folder in [&workspace, &bin] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let spec = WallSpec {
            read: Vec::new(),
            write: vec![workspace],
        };
        let [beside, apart] = ["script", "bin/program"].map(|f| home.path().join(f));
        for file in [&beside, &apart] {
            std::fs::write(file, "").unwrap();
        }
        let reads = |program: &Path, what: &Path| Wall::round(program, &spec).read.contains(&what.to_owned());
        assert!(reads(&beside, &beside) && !reads(&beside, home.path()));
        assert!(reads(&apart, &bin));
    }

    #[test]
    fn the_root_is_never_a_gate() {
        let wall = Wall::round(Path::new("/program"), &WallSpec::default());
        assert!(!wall.read.contains(&PathBuf::from("/")));
    }
}
