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
    /// Folders and files to read that the run needs.
    pub read: Vec<PathBuf>,
    /// Folders to read and write that the run needs: workspace, run folder, provider state.
    pub write: Vec<PathBuf>,
    /// What its user opens beside them, to read.
    pub more_read: Vec<PathBuf>,
    /// What its user opens beside them, to read and write.
    pub more_write: Vec<PathBuf>,
    /// What stays closed even where it lies in something that is open to every worker: the store, the key and the
    /// configuration, state, the workspaces of others. What the run needs in there is open all the same.
    pub closed: Vec<PathBuf>,
}

/// What a run's user opened would open what must stay closed. Nothing ran.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a worker that reaches {} would reach {}, which stays closed", path.display(), closed.display())]
pub struct IsolationConflict {
    /// What was to be opened.
    pub path: PathBuf,
    /// What it meets.
    pub closed: PathBuf,
}

impl WallSpec {
    /// Whether what its user opened meets nothing that stays closed, links resolved. Blocks.
    ///
    /// # Errors
    /// The first path that does.
    pub fn check(&self) -> Result<(), IsolationConflict> {
        let (own, closed) = (resolved(&self.write), resolved_or_to_be(&self.closed));
        for path in self.more_read.iter().chain(&self.more_write) {
            let Ok(found) = path.canonicalize() else { continue };
            if own.iter().any(|own| found.starts_with(own)) {
                continue;
            }
            let meets = |closed: &&PathBuf| found.starts_with(closed) || closed.starts_with(&found);
            if let Some(closed) = closed.iter().find(meets) {
                return Err(IsolationConflict {
                    path: path.clone(),
                    closed: closed.clone(),
                });
            }
        }
        Ok(())
    }
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
    /// The wall round a program. Blocks to resolve links.
    #[must_use]
    pub fn round(program: &Path, spec: &WallSpec) -> Self {
        let closed = resolved_or_to_be(&spec.closed);
        let system = READ
            .iter()
            .map(Path::new)
            .flat_map(|gate| open_but(gate, &closed));
        let devices = DEVICES_READ.iter().map(PathBuf::from);
        let own = [program.to_owned(), program.canonicalize().unwrap_or_default()];
        let kept: Vec<PathBuf> = resolved(&spec.write).into_iter().chain(closed.clone()).collect();
        let own = own.iter().map(|file| gate_of(file, &kept));
        let resolver = Path::new(RESOLVER).canonicalize().ok();
        let read = system
            .chain(devices)
            .chain(own)
            .chain(resolver)
            .chain(spec.read.iter().chain(&spec.more_read).cloned())
            .collect();
        let devices = DEVICES_WRITE.iter().map(PathBuf::from);
        Self {
            read,
            write: devices
                .chain(spec.write.iter().chain(&spec.more_write).cloned())
                .collect(),
        }
    }
}

fn resolved(paths: &[PathBuf]) -> Vec<PathBuf> {
    paths.iter().filter_map(|path| path.canonicalize().ok()).collect()
}

/// The same, where what is not there yet is where it will be: a key may be made while a worker runs.
fn resolved_or_to_be(paths: &[PathBuf]) -> Vec<PathBuf> {
    let to_be = |path: &PathBuf| {
        path.ancestors().find_map(|there| {
            let rest = path.strip_prefix(there).ok()?;
            Some(there.canonicalize().ok()?.join(rest))
        })
    };
    paths.iter().filter_map(to_be).collect()
}

/// A gate of every worker, without what stays closed: the kernel can only add, so where something in a folder stays
/// closed its other entries are gates, and the folder is none. Links are not among them: a link opens what it points at.
fn open_but(gate: &Path, closed: &[PathBuf]) -> Vec<PathBuf> {
    let Ok(found) = gate.canonicalize() else {
        return Vec::new();
    };
    if closed.iter().any(|closed| found.starts_with(closed)) {
        return Vec::new();
    }
    if !closed.iter().any(|closed| closed.starts_with(&found)) {
        return vec![gate.to_owned()];
    }
    let entries = std::fs::read_dir(&found).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
        .flat_map(|entry| open_but(&entry.path(), closed))
        .collect()
}

/// A program's gate: its folder, for what it loads from beside itself. A folder that also holds what this run
/// writes, or lies in what stays closed, holds other runs' folders too, perhaps the store, perhaps everything: then the file
/// alone.
fn gate_of(program: &Path, kept: &[PathBuf]) -> PathBuf {
    let opens_too_much = |folder: &Path| match folder.canonicalize() {
        Ok(folder) => {
            let meets = |kept: &PathBuf| kept.starts_with(&folder) || folder.starts_with(kept);
            folder.parent().is_none() || kept.iter().any(meets)
        }
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
            write: vec![workspace],
            ..WallSpec::default()
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

    /// A home with what stays closed, the own workspace in it, and something else.
    fn home() -> (tempfile::TempDir, WallSpec) {
        let home = tempfile::tempdir().unwrap();
        for folder in [
            "data/workspaces/a",
            "data/workspaces/b",
            "data/store",
            "config",
            "other",
        ] {
            std::fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        let at = |path: &str| home.path().join(path);
        let spec = WallSpec {
            write: vec![at("data/workspaces/a")],
            closed: vec![at("data/workspaces"), at("data/store"), at("config/secrets.key")],
            ..WallSpec::default()
        };
        (home, spec)
    }

    #[test]
    fn what_would_open_what_stays_closed_is_refused_links_resolved() {
        let (home, spec) = home();
        std::os::unix::fs::symlink(home.path().join("data/store"), home.path().join("link")).unwrap();
        for (path, refused) in [
            ("other", false),
            ("data/workspaces/a", false),
            ("not there", false),
            ("data/workspaces/b", true),
            ("data/store", true),
            ("config", true),
            ("data", true),
            ("", true),
            ("link", true),
        ] {
            let more = vec![home.path().join(path)];
            let (read, write) = (spec.clone(), spec.clone());
            let read = WallSpec {
                more_read: more.clone(),
                ..read
            };
            let write = WallSpec {
                more_write: more,
                ..write
            };
            assert_eq!(read.check().is_err(), refused, "{path:?}");
            assert_eq!(write.check().is_err(), refused, "{path:?}");
        }
    }

    #[test]
    fn a_gate_round_something_closed_is_its_other_entries_and_no_link() {
        let (home, spec) = home();
        std::os::unix::fs::symlink("/", home.path().join("data/everything")).unwrap();
        std::fs::write(home.path().join("data/file"), "").unwrap();
        let mut gates = open_but(home.path(), &resolved_or_to_be(&spec.closed));
        gates.sort();
        let home = home.path().canonicalize().unwrap();
        assert_eq!(gates, [home.join("data/file"), home.join("other")]);
        assert_eq!(open_but(&home, &[]), std::slice::from_ref(&home));
        assert!(open_but(&home.join("data/store/x"), &resolved_or_to_be(&spec.closed)).is_empty());
    }
}
