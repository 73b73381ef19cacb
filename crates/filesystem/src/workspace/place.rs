//! Where a handle stands: its folder, whether that is still at its place, and the folder of each path asked for.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, FlockOperation, OFlags, RenameFlags};
use rustix::io::Errno;

use super::path::WorkspacePath;
use super::usage::{Total, Usage};
use super::{DEPTH_MAX, LOCK_WAIT_MAX, WorkspaceError, beneath};

/// Between two looks at a folder that another process changes.
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// The workspace itself, shared by all handles into it.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    pub(super) folder: File,
    pub(super) usage: Usage,
    /// Until a filesystem says that it cannot exchange two names.
    pub(super) can_exchange: AtomicBool,
}

/// A folder of the workspace: what one handle reaches.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) root: Arc<Root>,
    folder: File,
    /// From the root; empty for the root itself.
    pub(super) below: PathBuf,
}

/// One path's folder, opened beneath, and the name in it.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) place: &'a Place,
    pub(super) path: &'a WorkspacePath,
    pub(super) folder: File,
    pub(super) name: OsString,
}

impl Root {
    pub(super) fn open(path: &Path, usage: Usage) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let folder = beneath::root(&path)?;
        Ok(Self {
            path,
            folder: folder.into(),
            usage,
            can_exchange: AtomicBool::new(true),
        })
    }

    fn is_there(&self) -> bool {
        let there = std::fs::metadata(&self.path);
        matches!((there, self.folder.metadata()), (Ok(there), Ok(held)) if is_same(&there, &held))
    }
}

fn is_same(a: &std::fs::Metadata, b: &std::fs::Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

impl Place {
    pub(super) fn of_root(root: Root) -> io::Result<Self> {
        let folder = root.folder.try_clone()?;
        Ok(Self {
            root: Arc::new(root),
            folder,
            below: PathBuf::new(),
        })
    }

    /// A narrower place, at a path whose folder was opened.
    pub(super) fn narrowed(&self, path: &WorkspacePath, folder: OwnedFd) -> Self {
        Self {
            root: Arc::clone(&self.root),
            folder: folder.into(),
            below: self.below.join(path),
        }
    }

    /// Whether the handle's folder is still the one at its place.
    pub(super) fn check(&self, path: &str) -> Result<(), WorkspaceError> {
        let moved = || WorkspaceError::Moved {
            path: path.to_owned(),
        };
        if !self.root.is_there() {
            return Err(moved());
        }
        if self.below.as_os_str().is_empty() {
            return Ok(());
        }
        let there = beneath::folder(&self.root.folder, &self.below).map_err(|_| moved())?;
        match (File::from(there).metadata(), self.folder.metadata()) {
            (Ok(there), Ok(held)) if is_same(&there, &held) => Ok(()),
            _ => Err(moved()),
        }
    }

    /// The folder of a path, which exists, and the name in it.
    pub(super) fn target<'a>(&'a self, path: &'a WorkspacePath) -> Result<Target<'a>, WorkspaceError> {
        self.check_depth(path, path.parts() - 1)?;
        self.check(&path.shown())?;
        let (folder, name) = path.split();
        let folder =
            beneath::folder(&self.folder, folder).map_err(|error| WorkspaceError::of(path, error))?;
        Ok(Target {
            place: self,
            path,
            folder: folder.into(),
            name: name.to_owned(),
        })
    }

    /// Folders are counted from the workspace's root, whatever handle is asked.
    pub(super) fn check_depth(&self, path: &WorkspacePath, folders: usize) -> Result<(), WorkspaceError> {
        if self.depth() + folders <= DEPTH_MAX {
            return Ok(());
        }
        Err(WorkspaceError::TooLarge {
            path: path.shown(),
            limit: "DEPTH_MAX",
        })
    }

    /// How many folders below the root this handle's folder is.
    pub(super) fn depth(&self) -> usize {
        self.below.components().count()
    }

    /// Counts what is about to be added to the workspace.
    pub(super) fn admit(&self, path: &WorkspacePath, more: Total) -> Result<(), WorkspaceError> {
        self.root.usage.admit(&self.root.folder, path, more)
    }

    pub(super) fn folder(&self) -> &File {
        &self.folder
    }
}

impl Target<'_> {
    /// Opens the file for reading: a regular file, or nothing is opened at all.
    pub(super) fn open(&self, flags: OFlags) -> Result<File, WorkspaceError> {
        self.open_name(&self.name, flags)
    }

    /// As [`open`](Self::open), of another name in the same folder.
    pub(super) fn open_name(&self, name: &OsStr, flags: OFlags) -> Result<File, WorkspaceError> {
        let failed = |error: io::Error| WorkspaceError::of(self.path, error);
        // Looked at before it is opened: opening a device may already do something.
        let stat = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed(error.into()))?;
        self.check_type(FileType::from_raw_mode(stat.st_mode))?;
        let file = beneath::name(&self.folder, name, flags, rustix::fs::Mode::empty()).map_err(failed)?;
        let file = File::from(file);
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(WorkspaceError::NotAFile {
                path: self.path.shown(),
            });
        }
        Ok(file)
    }

    fn check_type(&self, found: FileType) -> Result<(), WorkspaceError> {
        match found {
            FileType::RegularFile => Ok(()),
            FileType::Symlink => Err(WorkspaceError::Outside {
                path: self.path.shown(),
            }),
            _ => Err(WorkspaceError::NotAFile {
                path: self.path.shown(),
            }),
        }
    }

    /// Keeps other changes of this crate out of the folder, of this process and others, until it is dropped.
    ///
    /// People's editors know nothing of it; against them the digests stand. Where a folder cannot be locked, changes
    /// go on without.
    pub(super) fn lock(&self) -> Result<Option<OwnedFd>, WorkspaceError> {
        let lock = beneath::folder(&self.folder, Path::new("")).map_err(|error| self.failed(error))?;
        let pauses = LOCK_WAIT_MAX.as_millis() / LOCK_PAUSE.as_millis();
        for _ in 0..pauses {
            match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(lock)),
                Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(LOCK_PAUSE),
                Err(_) => return Ok(None),
            }
        }
        Err(WorkspaceError::Busy {
            path: self.path.shown(),
        })
    }

    /// Whether the handle's folder is still there, and the path's folder still in it.
    pub(super) fn check(&self) -> Result<(), WorkspaceError> {
        let path = self.path.shown();
        self.place.check(&path)?;
        let moved = || WorkspaceError::Moved { path: path.clone() };
        let (folder, _) = self.path.split();
        let there = beneath::folder(&self.place.folder, folder).map_err(|_| moved())?;
        match (File::from(there).metadata(), self.folder.metadata()) {
            (Ok(there), Ok(held)) if is_same(&there, &held) => Ok(()),
            _ => Err(moved()),
        }
    }

    pub(super) fn unlink(&self, name: &OsStr) -> Result<(), WorkspaceError> {
        rustix::fs::unlinkat(&self.folder, name, AtFlags::empty()).map_err(|error| self.failed(error))
    }

    /// Renames what is at one name of the folder to another, which nothing may have: of several one wins.
    pub(super) fn rename_unused(&self, from: &OsStr, to: &OsStr) -> Result<(), WorkspaceError> {
        let folder = &self.folder;
        match rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
            // A filesystem without it: a second name, then the first one goes.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                let linked = rustix::fs::linkat(folder, from, folder, to, AtFlags::empty());
                linked.map_err(|error| self.failed(error))?;
                self.unlink(from)
            }
            renamed => renamed.map_err(|error| self.failed(error)),
        }
    }

    /// Makes the names in the folder durable.
    pub(super) fn sync(&self) -> Result<(), WorkspaceError> {
        self.folder.sync_all().map_err(|error| self.failed(error))
    }

    pub(super) fn failed(&self, error: impl Into<io::Error>) -> WorkspaceError {
        WorkspaceError::of(self.path, error.into())
    }
}
