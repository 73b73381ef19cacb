//! Folders and files that are ours alone: 0700 and 0600 from creation, refused when wider or another's.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::problem::{Code, Problem};

/// Bits that let others in.
const OTHERS: u32 = 0o077;

/// Why a folder or file was refused, and what mends it.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It belongs to another user.
    #[error("{} belongs to user {owner}, not to {us}", path.display())]
    Owner {
        /// The path.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Our effective user.
        us: u32,
    },
    /// Others may enter or read it.
    #[error("{} has mode {mode:04o}: others may use it", path.display())]
    Mode {
        /// The path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it should have.
        should: u32,
    },
    /// It is a symbolic link.
    #[error("{} is a symbolic link", path.display())]
    Link {
        /// The path.
        path: PathBuf,
    },
    /// It is something else than it should be.
    #[error("{} is not a {should}", path.display())]
    Kind {
        /// The path.
        path: PathBuf,
        /// What it should be.
        should: &'static str,
    },
    /// More bytes than are read.
    #[error("{} has more than {max} bytes", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// How many are read.
        max: u64,
    },
    /// The system refused.
    #[error("{}: {source}", path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Refusal {
    /// What mends it.
    #[must_use]
    pub fn fix(&self) -> String {
        match self {
            Self::Mode { path, should, .. } => format!("chmod {should:o} {}", path.display()),
            Self::Owner { path, .. } => {
                format!(
                    "choose another folder with DORMOUSE_HOME, or make {} your own",
                    path.display()
                )
            }
            Self::Link { path } => format!("name the place it points to, or remove {}", path.display()),
            Self::Kind { path, .. } => format!("move {} away", path.display()),
            Self::TooLarge { .. } => "make it smaller".to_owned(),
            Self::System { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                format!(
                    "make {} writable for you, or choose another folder with DORMOUSE_HOME",
                    path.display()
                )
            }
            Self::System { .. } => "choose another folder with DORMOUSE_HOME".to_owned(),
        }
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::System { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(Code::Config, refusal.to_string()).hint(refusal.fix())
    }
}

fn system(path: &Path) -> impl FnOnce(io::Error) -> Refusal + use<'_> {
    move |source| Refusal::System {
        path: path.to_owned(),
        source,
    }
}

/// Makes a folder where none is, 0700, with its parents; checks one that is there.
///
/// # Errors
/// As [`check_folder`], or what the system refuses.
pub fn ensure_folder(path: &Path) -> Result<(), Refusal> {
    match check_folder(path) {
        Err(refusal) if refusal.is_missing() => {
            let mut builder = DirBuilder::new();
            // Recursive also takes a folder that another process made meanwhile, which is then checked like any.
            builder
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(system(path))?;
            check_folder(path)
        }
        checked => checked,
    }
}

/// Checks that a folder is a folder, ours, 0700 or narrower, and no symbolic link.
///
/// # Errors
/// What it is instead.
pub fn check_folder(path: &Path) -> Result<(), Refusal> {
    let found = std::fs::symlink_metadata(path).map_err(system(path))?;
    if found.is_symlink() {
        return Err(Refusal::Link {
            path: path.to_owned(),
        });
    }
    if !found.is_dir() {
        return Err(Refusal::Kind {
            path: path.to_owned(),
            should: "folder",
        });
    }
    check_ours(path, &found, 0o700)
}

/// Checks that an open file is a regular file, ours, 0600 or narrower.
///
/// # Errors
/// What it is instead.
pub fn check_file(path: &Path, file: &File) -> Result<(), Refusal> {
    let found = file.metadata().map_err(system(path))?;
    if !found.is_file() {
        return Err(Refusal::Kind {
            path: path.to_owned(),
            should: "regular file",
        });
    }
    check_ours(path, &found, 0o600)
}

fn check_ours(path: &Path, found: &Metadata, should: u32) -> Result<(), Refusal> {
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us {
        return Err(Refusal::Owner {
            path: path.to_owned(),
            owner: found.uid(),
            us,
        });
    }
    let mode = found.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(Refusal::Mode {
            path: path.to_owned(),
            mode,
            should,
        });
    }
    Ok(())
}

/// Reads a regular file of at most `max` bytes, through no symbolic link in its last part; also bounded when it grows
/// meanwhile, and never waiting for a writer of a pipe.
///
/// # Errors
/// What it is instead.
pub fn read_bounded(
    path: &Path,
    max: u64,
    check: fn(&Path, &File) -> Result<(), Refusal>,
) -> Result<Vec<u8>, Refusal> {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).expect("two flags of open(2) fit"))
        .open(path)
        .map_err(system(path))?;
    check(path, &file)?;
    let mut bytes = Vec::new();
    let read = file.take(max + 1).read_to_end(&mut bytes).map_err(system(path))?;
    if read as u64 > max {
        return Err(Refusal::TooLarge {
            path: path.to_owned(),
            max,
        });
    }
    Ok(bytes)
}

/// Writes a file that is not there yet, whole or not at all: 0600 under a temporary name, flushed, then renamed.
///
/// # Errors
/// What the system refuses.
pub fn write_new_file(path: &Path, temporary: &Path, bytes: &[u8]) -> Result<(), Refusal> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(temporary, path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    write().map_err(system(path))
}
