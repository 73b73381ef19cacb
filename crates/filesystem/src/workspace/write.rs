//! Writes that need no reading before: creation and appending.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use super::place::{Place, Target};
use super::temporary::{PRIVATE, Temporary};
use super::usage::Total;
use super::{APPEND_MAX, Digest, FILE_MAX, WorkspaceError, WorkspacePath, beneath};

pub(super) fn check_size(path: &WorkspacePath, bytes: u64) -> Result<(), WorkspaceError> {
    if bytes <= FILE_MAX {
        return Ok(());
    }
    Err(WorkspaceError::TooLarge {
        path: path.shown(),
        limit: "FILE_MAX",
    })
}

/// A name for whole content, or none: the file is written beside, and named when it is synced.
pub(super) fn create(place: &Place, path: &WorkspacePath, bytes: &[u8]) -> Result<Digest, WorkspaceError> {
    check_size(path, bytes.len() as u64)?;
    let target = place.target(path)?;
    if rustix::fs::statat(&target.folder, &target.name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        return Err(WorkspaceError::Exists { path: path.shown() });
    }
    place.admit(
        path,
        Total {
            files: 1,
            bytes: bytes.len() as u64,
        },
    )?;
    let temporary = Temporary::written(&target, bytes, None)?;
    target.check()?;
    target.rename_unused(&temporary.name, &target.name)?;
    temporary.give_away();
    target.sync()?;
    Ok(Digest::of(bytes))
}

/// One write at the file's end, which is made if there is none. Nothing is read.
pub(super) fn append(place: &Place, path: &WorkspacePath, bytes: &[u8]) -> Result<(), WorkspaceError> {
    if bytes.len() > APPEND_MAX {
        return Err(WorkspaceError::TooLarge {
            path: path.shown(),
            limit: "APPEND_MAX",
        });
    }
    let target = place.target(path)?;
    // A replacement meanwhile would take the file away under the write.
    let _lock = target.lock()?;
    let more = bytes.len() as u64;
    let (mut file, is_new) = open_to_append(&target, more)?;
    let written = write_behind(&target, &mut file, bytes);
    if is_new && written.is_err() {
        take_back(&target, &file);
    }
    written?;
    if is_new { target.sync() } else { Ok(()) }
}

fn write_behind(target: &Target<'_>, file: &mut File, bytes: &[u8]) -> Result<(), WorkspaceError> {
    let (path, more) = (target.path, bytes.len() as u64);
    let failed = |error| target.failed(error);
    let metadata = file.metadata().map_err(failed)?;
    if metadata.nlink() > 1 {
        return Err(WorkspaceError::Linked { path: path.shown() });
    }
    check_size(path, metadata.size() + more)?;
    reserve(file, metadata.size(), more).map_err(|error| target.failed(error))?;
    let written = file.write(bytes).map_err(failed)?;
    if written < bytes.len() {
        return Err(failed(std::io::ErrorKind::WriteZero.into()));
    }
    file.sync_all().map_err(failed)
}

/// A file that was made for what could not be written goes again, while it is the one that was made and empty.
fn take_back(target: &Target<'_>, file: &File) {
    let Ok(made) = file.metadata() else { return };
    let there = rustix::fs::statat(&target.folder, &target.name, AtFlags::SYMLINK_NOFOLLOW);
    if made.size() == 0 && there.is_ok_and(|there| there.st_ino == made.ino() && there.st_dev == made.dev()) {
        // What cannot be removed stays, empty; the error that is told is the first one.
        let _ = target.unlink(&target.name);
    }
}

/// The file, and whether it was made.
fn open_to_append(target: &Target<'_>, more: u64) -> Result<(File, bool), WorkspaceError> {
    let flags = OFlags::WRONLY | OFlags::APPEND;
    let found = match target.open(flags) {
        Err(WorkspaceError::Missing { .. }) => None,
        found => Some(found?),
    };
    let files = u64::from(found.is_none());
    target.place.admit(target.path, Total { files, bytes: more })?;
    if let Some(found) = found {
        return Ok((found, false));
    }
    let made = beneath::name(
        &target.folder,
        &target.name,
        flags | OFlags::CREATE | OFlags::EXCL,
        PRIVATE,
    );
    match made {
        Ok(made) => Ok((made.into(), true)),
        // Another appender was first, and its file is as good.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::EXIST) => Ok((target.open(flags)?, false)),
        Err(error) => Err(target.failed(error)),
    }
}

/// Space for the write before it is made, so that a full disk leaves no half of it.
#[cfg(target_os = "linux")]
fn reserve(file: &File, from: u64, bytes: u64) -> rustix::io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, from, bytes) {
        Err(Errno::NOTSUP | Errno::NOSYS | Errno::INTR) => Ok(()),
        reserved => reserved,
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _from: u64, _bytes: u64) -> rustix::io::Result<()> {
    Ok(())
}
