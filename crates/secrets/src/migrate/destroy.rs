//! Destroying a source: its bytes are overwritten, then it is unlinked.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

/// What is written over it at a time.
const BLOCK: usize = 64 * 1024;

/// A source that is still there, or of which nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum DestroyError {
    /// A link, a folder or a device: nothing was touched.
    #[error("it is no regular file")]
    NotRegular,
    /// It may be overwritten in part; it is still there.
    #[error("it cannot be destroyed: {0}")]
    File(#[source] io::Error),
}

/// Overwrites a file and unlinks it; the caller has seen that [all of it](crate::Secrets::not_taken_over) came back.
/// Snapshots, backups and the file system's own journal may hold it still: say so to whoever asked.
///
/// # Errors
/// [`DestroyError`].
pub async fn destroy_source(path: PathBuf) -> Result<(), DestroyError> {
    let destroyed = tokio::task::spawn_blocking(move || destroy(&path));
    destroyed
        .await
        .unwrap_or_else(|ended| Err(DestroyError::File(io::Error::other(ended))))
}

fn destroy(path: &Path) -> Result<(), DestroyError> {
    let file = |error: io::Error| DestroyError::File(error);
    let about = std::fs::symlink_metadata(path).map_err(file)?;
    if !about.is_file() {
        return Err(DestroyError::NotRegular);
    }
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| file(error.into()))?;
    let mut opened = File::from(opened);
    let mut left = opened.metadata().map_err(file)?.len();
    let block = vec![0; BLOCK];
    while left > 0 {
        let some = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        opened.write_all(&block[..some]).map_err(file)?;
        left -= some as u64;
    }
    opened.sync_all().map_err(file)?;
    std::fs::remove_file(path).map_err(file)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))
        .and_then(|folder| folder.sync_all())
        .map_err(file)
}
