//! What a workspace holds in all: counted by looking, believed for a second, adjusted by this process's own changes.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Dir, FileType};
use tokio::time::Instant;

use super::path::WorkspacePath;
use super::{DEPTH_MAX, USAGE_FRESH, WorkspaceError, beneath};

/// Files, folders and bytes of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Total {
    /// Files and folders.
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// What it may hold, and what it held when last looked at.
///
/// Others change it too, so between two looks the limits are exact for this process alone.
#[derive(Debug)]
pub(super) struct Usage {
    max: Total,
    seen: Mutex<Option<(Instant, Total)>>,
}

impl Usage {
    pub(super) fn new(max: Total) -> Self {
        Self {
            max,
            seen: Mutex::new(None),
        }
    }

    /// Counts what is about to be added.
    ///
    /// # Errors
    /// `Full`; never without having looked for it.
    pub(super) fn admit(&self, root: &File, path: &WorkspacePath, more: Total) -> Result<(), WorkspaceError> {
        let mut seen = self.seen();
        let fresh = seen.filter(|(at, _)| at.elapsed() < USAGE_FRESH);
        let (at, total) = match fresh {
            Some((at, total)) if self.over(total, more).is_none() => (at, total),
            _ => (Instant::now(), self.look(root, path)?),
        };
        if let Some(limit) = self.over(total, more) {
            *seen = Some((at, total));
            return Err(WorkspaceError::Full {
                path: path.shown(),
                limit,
            });
        }
        let total = Total {
            files: total.files + more.files,
            bytes: total.bytes + more.bytes,
        };
        *seen = Some((at, total));
        Ok(())
    }

    /// What it holds now.
    pub(super) fn total(&self, root: &File) -> io::Result<Total> {
        count(root, self.max)
    }

    fn look(&self, root: &File, path: &WorkspacePath) -> Result<Total, WorkspaceError> {
        count(root, self.max).map_err(|error| WorkspaceError::of(path, error))
    }

    fn over(&self, total: Total, more: Total) -> Option<&'static str> {
        if more.files > 0 && total.files + more.files > self.max.files {
            Some("files_max")
        } else if total.bytes + more.bytes > self.max.bytes {
            Some("bytes_max")
        } else {
            None
        }
    }

    /// Held for one look at the workspace, on threads that may block.
    fn seen(&self) -> MutexGuard<'_, Option<(Instant, Total)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(root: &File, max: Total) -> io::Result<Total> {
    let mut total = Total::default();
    walk(root, Path::new(""), |found| {
        total.files += 1;
        total.bytes += found.bytes;
        // One more than allowed is as good as any: the rest need not be counted.
        total.files <= max.files && total.bytes <= max.bytes
    })?;
    Ok(total)
}

/// One file or folder met on a walk.
#[derive(Debug)]
pub(super) struct Met<'a> {
    pub(super) folder: &'a File,
    pub(super) name: &'a OsStr,
    pub(super) bytes: u64,
}

/// Meets each file and folder below one, as deep as a workspace goes, until told to stop. What cannot be looked at,
/// or goes while it is looked at, is passed over.
pub(super) fn walk(root: &File, below: &Path, mut meet: impl FnMut(&Met<'_>) -> bool) -> io::Result<()> {
    let mut folders = vec![below.to_owned()];
    let mut is_first = true;
    while let Some(at) = folders.pop() {
        let folder = match beneath::folder(root, &at) {
            Ok(folder) => File::from(folder),
            Err(error) if is_first => return Err(error),
            Err(_) => continue,
        };
        is_first = false;
        for name in names(&folder)? {
            let Ok(stat) = rustix::fs::statat(&folder, name.as_path(), AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if is_folder && at.components().count() < DEPTH_MAX {
                folders.push(at.join(&name));
            }
            let bytes = if is_folder {
                0
            } else {
                u64::try_from(stat.st_size).unwrap_or(0)
            };
            let met = Met {
                folder: &folder,
                name: name.as_os_str(),
                bytes,
            };
            if !meet(&met) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The names in a folder, without `.` and `..`. One at a time: a folder may hold more than memory should.
pub(super) fn names(folder: &File) -> io::Result<impl Iterator<Item = PathBuf>> {
    let entries = Dir::read_from(folder)?;
    Ok(entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().to_bytes();
        (name != b"." && name != b"..").then(|| PathBuf::from(OsStr::from_bytes(name)))
    }))
}
