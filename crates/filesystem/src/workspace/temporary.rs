//! Temporary files: new content on its way to a name, or old content on its way out.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;
use rand::TryRng;
use rustix::fs::{AtFlags, Mode, OFlags};

use super::place::Target;
use super::usage::walk;
use super::{TEMPORARY_AGE_MAX, WorkspaceError, beneath};

const BEGIN: &str = ".dormouse-";
const END: &str = ".tmp";
/// What a new file may be read and written by: its owner.
pub(super) const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Whether a name is one of a temporary file.
pub(super) fn is_temporary(name: &[u8]) -> bool {
    name.starts_with(BEGIN.as_bytes()) && name.ends_with(END.as_bytes())
}

/// A name for a temporary file. It collides with none; if it did, that one would not be overwritten.
pub(super) fn name(target: &Target<'_>) -> Result<OsString, WorkspaceError> {
    Ok(format!("{BEGIN}{}{END}", random(target)?).into())
}

/// Sixteen digits of the machine's randomness.
pub(super) fn random(target: &Target<'_>) -> Result<String, WorkspaceError> {
    let number = rand::rngs::SysRng.try_next_u64();
    let number = number.map_err(|error| target.failed(io::Error::other(error)))?;
    Ok(format!("{number:016x}"))
}

/// New content under a temporary name. It is removed when dropped, unless the name was given away.
#[derive(Debug)]
pub(super) struct Temporary<'a> {
    target: &'a Target<'a>,
    pub(super) name: OsString,
    is_given_away: bool,
}

impl<'a> Temporary<'a> {
    /// A new file with these bytes, synced; like the one it will replace, if it replaces one.
    pub(super) fn written(
        target: &'a Target<'a>,
        bytes: &[u8],
        like: Option<&File>,
    ) -> Result<Self, WorkspaceError> {
        let name = name(target)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file =
            beneath::name(&target.folder, &name, flags, PRIVATE).map_err(|error| target.failed(error))?;
        let temporary = Self {
            target,
            name,
            is_given_away: false,
        };
        fill(File::from(file), bytes, like).map_err(|error| target.failed(error))?;
        Ok(temporary)
    }

    /// The name holds something else from here on, or nothing: it is not this value's to remove.
    pub(super) fn give_away(mut self) -> OsString {
        self.is_given_away = true;
        std::mem::take(&mut self.name)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.is_given_away {
            // What cannot be removed now is swept later.
            let _ = self.target.unlink(&self.name);
        }
    }
}

fn fill(mut file: File, bytes: &[u8], like: Option<&File>) -> io::Result<()> {
    if let Some(like) = like {
        keep_mode(&file, like)?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// Owner first, for a change of owner takes bits from the mode.
fn keep_mode(file: &File, like: &File) -> io::Result<()> {
    let (new, old) = (file.metadata()?, like.metadata()?);
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        // Only the system's owner may give files away; replaced by another, the file becomes theirs.
        let _ = std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()));
    }
    file.set_permissions(old.permissions())
}

/// Removes temporaries that were left behind, and tells how many. Their age is that of their name, not of their
/// content: old content on its way out may be of any age.
pub(super) fn sweep(root: &File, below: &Path, now: Timestamp) -> io::Result<u64> {
    let mut swept = 0;
    walk(root, below, |met| {
        if is_temporary(met.name.as_bytes()) && is_old(met.folder, met.name, now) {
            let removed = rustix::fs::unlinkat(met.folder, met.name, AtFlags::empty());
            swept += u64::from(removed.is_ok());
        }
        true
    })?;
    Ok(swept)
}

fn is_old(folder: &File, name: &OsStr, now: Timestamp) -> bool {
    let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
        return false;
    };
    let seconds = now.as_second().saturating_sub(stat.st_ctime);
    u64::try_from(seconds).is_ok_and(|seconds| seconds >= TEMPORARY_AGE_MAX.as_secs())
}
