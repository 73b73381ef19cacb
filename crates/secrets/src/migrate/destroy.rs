//! Destroying a source: its bytes are overwritten, then it is unlinked.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use zeroize::Zeroizing;

use crate::Secret;

/// What is written over it at a time.
const BLOCK: usize = 64 * 1024;

/// A source that is still there, or of which nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum DestroyError {
    /// A link, a folder or a device: nothing was touched.
    #[error("it is no regular file")]
    NotRegular,
    /// It is not what was read, so nobody knows that all of it came back: nothing was touched.
    #[error("it changed since it was read")]
    Changed,
    /// It may be overwritten in part; it is still there.
    #[error("it cannot be destroyed: {0}")]
    File(#[source] io::Error),
}

/// Overwrites a file and unlinks it, when it has the bytes that were `read` of it; the caller has seen that
/// [all of them](crate::Secrets::not_taken_over) came back.
/// Snapshots, backups and the file system's own journal may hold it still: say so to whoever asked.
///
/// # Errors
/// [`DestroyError`].
pub async fn destroy_source(path: PathBuf, read: Secret) -> Result<(), DestroyError> {
    let destroyed = tokio::task::spawn_blocking(move || destroy(&path, &read));
    destroyed
        .await
        .unwrap_or_else(|ended| Err(DestroyError::File(io::Error::other(ended))))
}

fn destroy(path: &Path, read: &Secret) -> Result<(), DestroyError> {
    let file = |error: io::Error| DestroyError::File(error);
    let about = std::fs::symlink_metadata(path).map_err(file)?;
    if !about.is_file() {
        return Err(DestroyError::NotRegular);
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| file(error.into()))?;
    let mut opened = File::from(opened);
    if !is_equal(&opened, read.expose()).map_err(file)? {
        return Err(DestroyError::Changed);
    }
    opened.rewind().map_err(file)?;
    let mut left = read.expose().len();
    let block = vec![0; BLOCK];
    while left > 0 {
        let some = left.min(BLOCK);
        opened.write_all(&block[..some]).map_err(file)?;
        left -= some;
    }
    opened.sync_all().map_err(file)?;
    std::fs::remove_file(path).map_err(file)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))
        .and_then(|folder| folder.sync_all())
        .map_err(file)
}

/// Whether the file has these bytes and no more. It is opened anew nowhere: what is compared is what is overwritten.
fn is_equal(file: &File, bytes: &[u8]) -> io::Result<bool> {
    // With its capacity from the start it never moves and leaves no copy.
    let most = bytes.len() + 1;
    let mut there = Zeroizing::new(Vec::with_capacity(most));
    file.take(most as u64).read_to_end(&mut there)?;
    Ok(there.as_slice() == bytes)
}
