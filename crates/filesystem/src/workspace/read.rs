//! Reading a file whole, and what names its content.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use bytes::Bytes;
use jiff::Timestamp;
use rustix::fs::OFlags;

use super::place::{Place, Target};
use super::{Digest, FILE_MAX, WorkspaceError, WorkspacePath};

/// A file as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct FileRead {
    /// Its bytes, as they are.
    pub bytes: Bytes,
    /// Their digest.
    pub digest: Digest,
    /// The bits of its mode that can be set: `0o640`.
    pub mode: u32,
    /// When it was last written, by the file's own word.
    pub modified: Timestamp,
}

impl fmt::Debug for FileRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            bytes,
            digest,
            mode,
            modified,
        } = self;
        write!(
            f,
            "FileRead({} bytes, {digest}, {mode:o}, {modified})",
            bytes.len()
        )
    }
}

pub(super) fn read(place: &Place, path: &WorkspacePath, max: u64) -> Result<FileRead, WorkspaceError> {
    let target = place.target(path)?;
    let file = target.open(OFlags::RDONLY)?;
    let bytes = read_to(&target, &file, max)?;
    let metadata = file.metadata().map_err(|error| target.failed(error))?;
    Ok(FileRead {
        digest: Digest::of(&bytes),
        bytes: bytes.into(),
        mode: metadata.mode() & 0o7777,
        modified: timestamp(metadata.mtime(), metadata.mtime_nsec()),
    })
}

/// A file's bytes, its size checked before and while they are read: it may grow meanwhile.
pub(super) fn read_to(target: &Target<'_>, file: &File, max: u64) -> Result<Vec<u8>, WorkspaceError> {
    let (max, limit) = if max < FILE_MAX {
        (max, "the size asked for")
    } else {
        (FILE_MAX, "FILE_MAX")
    };
    let too_large = || WorkspaceError::TooLarge {
        path: target.path.shown(),
        limit,
    };
    let failed = |error| target.failed(error);
    let size = file.metadata().map_err(failed)?.len();
    if size > max {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).expect("it is at most FILE_MAX"));
    file.take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Seconds and nanoseconds of the system, which may be any.
pub(super) fn timestamp(seconds: i64, nanoseconds: i64) -> Timestamp {
    let nanoseconds = i32::try_from(nanoseconds).unwrap_or(0);
    Timestamp::new(seconds, nanoseconds).unwrap_or(if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
