//! Workspaces: plain files that people edit too, reached through a folder handle that cannot be left.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! use std::path::Path;
//! use dormouse_filesystem::workspace::{Workspace, WorkspaceError, WorkspaceOptions};
//!
//! let workspace = Workspace::open(folder.path(), WorkspaceOptions::new(jiff::Timestamp::UNIX_EPOCH)).await?;
//! let memory = Path::new("MEMORY.md");
//! workspace.create(memory, "# Memory\n").await?;
//! let read = workspace.read(memory, 1024).await?;
//! // Somebody saves it in an editor meanwhile:
//! std::fs::write(folder.path().join(memory), "# Mine\n")?;
//! let replaced = workspace.replace(memory, "# Ours\n", read.digest).await;
//! assert!(matches!(replaced, Err(WorkspaceError::Changed { .. })));
//! # Ok(())
//! # }
//! ```
//!
//! **Nothing outside is reached.** A path is relative, with one spelling. A symbolic link anywhere on it, a mount,
//! `..`: [`Outside`](WorkspaceError::Outside), whether or not it would lead back in. A device, fifo or socket:
//! [`NotAFile`](WorkspaceError::NotAFile), and it is not opened.
//!
//! **A file is old or new, whole**, through a kill at any moment, and a replacement or removal says which content it
//! has read: the new file takes the name by an exchange, and what came out is compared. Content that another wrote
//! meanwhile goes back. Two things no system call gives, and so this does not promise: an editor that holds the old
//! file open and writes into it *after* the comparison writes into a file without a name; and a kill in the moment of
//! an append's one write may leave the first part of it.
//!
//! Extended attributes and access lists are not carried over by a replacement; mode is, and owner where allowed.
//! Calls block on threads that may; a call whose future is dropped still ends whole.

mod beneath;
mod error;
mod folders;
mod list;
mod path;
mod place;
mod read;
mod replace;
mod temporary;
mod usage;
mod write;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

pub use crate::Digest;
pub use error::WorkspaceError;
pub use list::{FileKind, FilesListed, ListedFile};
pub use path::WorkspacePath;
pub use read::FileRead;

use place::{Place, Root};
use usage::{Total, Usage};

/// Largest file that is read, created or replaced, in bytes; none grows past it by appending.
pub const FILE_MAX: u64 = 4 * 1024 * 1024;
/// Longest append, in bytes.
pub const APPEND_MAX: usize = 64 * 1024;
/// Most folders on the way to a file, and deepest list.
pub const DEPTH_MAX: usize = 8;
/// Most names of a page.
pub const LIST_MAX: usize = 1000;
/// Longest name of a file or folder, in bytes.
pub const NAME_MAX: usize = 255;
/// Longest path, in bytes.
pub const PATH_MAX: usize = 1024;
/// Most bytes in all, unless the options say otherwise.
pub const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most files and folders in all, unless the options say otherwise.
pub const FILES_MAX: u64 = 10_000;
/// A temporary file that was left behind stays so long.
pub const TEMPORARY_AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// How long a change waits for the changes of others of this crate in the same folder.
pub const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
/// What was counted is believed for so long, except for a refusal.
pub const USAGE_FRESH: Duration = Duration::from_secs(1);

/// How a workspace is opened.
#[derive(Debug, Clone)]
pub struct WorkspaceOptions {
    /// The time now: temporaries that are older by [`TEMPORARY_AGE_MAX`] are removed.
    pub now: Timestamp,
    /// Most bytes in all.
    pub bytes_max: u64,
    /// Most files and folders in all.
    pub files_max: u64,
}

impl WorkspaceOptions {
    /// With the usual limits.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            bytes_max: BYTES_MAX,
            files_max: FILES_MAX,
        }
    }
}

/// How a workspace is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceHealth {
    /// Files and folders in it; one more than allowed stands for any number more.
    pub files: u64,
    /// Bytes in it, likewise.
    pub bytes: u64,
    /// What is worth telling an operator, one sentence each.
    pub notices: Vec<&'static str>,
}

/// A folder of files that people edit too. Cloning is cheap; a clone is the same handle.
#[derive(Clone)]
pub struct Workspace {
    place: Arc<Place>,
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workspace({:?})", path::shown(&self.place.below))
    }
}

impl Workspace {
    /// Opens a folder, which exists, and removes the temporaries that were left in it.
    ///
    /// # Errors
    /// `Missing`, `NotAFile` when it is no folder, `Io`; the path in them is empty.
    pub async fn open(folder: &Path, options: WorkspaceOptions) -> Result<Self, WorkspaceError> {
        let folder = folder.to_owned();
        let place = blocking(move || open(&folder, &options)).await?;
        Ok(Self {
            place: Arc::new(place),
        })
    }

    /// A file's bytes as they are, at most `max` and [`FILE_MAX`].
    ///
    /// # Errors
    /// `Missing`, `TooLarge` also when it grows while it is read; nothing is changed.
    pub async fn read(&self, path: &Path, max: u64) -> Result<FileRead, WorkspaceError> {
        self.at(path, move |place, path| read::read(place, path, max))
            .await
    }

    /// One page of the names in a folder, the empty path being this one: up to `depth` folders deep, strictly behind
    /// `after`, which may be gone, at most `limit` (1 to [`LIST_MAX`]). Temporaries are not listed.
    ///
    /// # Errors
    /// `Invalid`, `Missing`, `NotAFile`. What is wrong with one name is that item's own.
    pub async fn list(
        &self,
        folder: &Path,
        depth: usize,
        after: Option<&WorkspacePath>,
        limit: usize,
    ) -> Result<FilesListed, WorkspaceError> {
        let below = if folder.as_os_str().is_empty() {
            None
        } else {
            Some(WorkspacePath::parse(folder)?)
        };
        let asked = list::Asked {
            below,
            depth,
            after: after.cloned(),
            limit,
        };
        self.run(move |place| list::list(place, &asked)).await
    }

    /// Makes a file with these bytes, readable by its owner, where there is none: of several callers one wins.
    ///
    /// # Errors
    /// `Exists`; `Missing` when its folder is; `TooLarge`, `Full`, `Moved`.
    pub async fn create(&self, path: &Path, bytes: impl Into<Bytes>) -> Result<Digest, WorkspaceError> {
        let bytes = bytes.into();
        self.at(path, move |place, path| write::create(place, path, &bytes))
            .await
    }

    /// Replaces a file that still has the content of this digest, keeping its mode. Equal bytes write nothing.
    ///
    /// # Errors
    /// `Changed` when it has another content, which stands; `Linked`, `Missing`, `TooLarge`, `Full`, `Moved`.
    pub async fn replace(
        &self,
        path: &Path,
        bytes: impl Into<Bytes>,
        read: Digest,
    ) -> Result<Digest, WorkspaceError> {
        let bytes = bytes.into();
        self.at(path, move |place, path| {
            replace::replace(place, path, &bytes, read)
        })
        .await
    }

    /// Adds bytes to a file's end, in one write, flushed; makes it, readable by its owner, when there is none.
    ///
    /// # Errors
    /// `TooLarge` over [`APPEND_MAX`], or when the file would be over [`FILE_MAX`]; `Linked`, `Full`, `Moved`.
    pub async fn append(&self, path: &Path, bytes: impl Into<Bytes>) -> Result<(), WorkspaceError> {
        let bytes = bytes.into();
        self.at(path, move |place, path| write::append(place, path, &bytes))
            .await
    }

    /// Removes a file that still has the content of this digest.
    ///
    /// # Errors
    /// `Changed` when it has another content, which stands; `Missing`, `Moved`.
    pub async fn remove(&self, path: &Path, read: Digest) -> Result<(), WorkspaceError> {
        self.at(path, move |place, path| replace::remove(place, path, read))
            .await
    }

    /// A narrower handle: that folder and what is in it.
    ///
    /// # Errors
    /// `Missing`, `NotAFile`, `TooLarge` over [`DEPTH_MAX`] folders from the workspace's root.
    pub async fn open_dir(&self, path: &Path) -> Result<Self, WorkspaceError> {
        let place = self.at(path, folders::open).await?;
        Ok(Self {
            place: Arc::new(place),
        })
    }

    /// As [`open_dir`](Self::open_dir), making each folder that is missing, for its owner alone (0700).
    ///
    /// # Errors
    /// As there, and `Full`.
    pub async fn make_dirs(&self, path: &Path) -> Result<Self, WorkspaceError> {
        let place = self.at(path, folders::make).await?;
        Ok(Self {
            place: Arc::new(place),
        })
    }

    /// Removes the temporaries that a killed process left here longer than [`TEMPORARY_AGE_MAX`] before `now`.
    /// Returns how many.
    ///
    /// # Errors
    /// `Moved`, `Io`.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, WorkspaceError> {
        self.run(move |place| {
            place.check("")?;
            temporary::sweep(&place.root.folder, &place.below, now).map_err(of_itself)
        })
        .await
    }

    /// How the whole workspace is, whichever handle is asked.
    ///
    /// # Errors
    /// `Moved`, `Io`.
    pub async fn health(&self) -> Result<WorkspaceHealth, WorkspaceError> {
        self.run(health).await
    }

    async fn at<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl FnOnce(&Place, &WorkspacePath) -> Result<T, WorkspaceError> + Send + 'static,
    ) -> Result<T, WorkspaceError> {
        let path = WorkspacePath::parse(path)?;
        self.run(move |place| work(place, &path)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> Result<T, WorkspaceError> + Send + 'static,
    ) -> Result<T, WorkspaceError> {
        let place = Arc::clone(&self.place);
        blocking(move || work(&place)).await
    }
}

/// On a thread that may block. A panic goes on in the caller.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WorkspaceError> + Send + 'static,
) -> Result<T, WorkspaceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(ended) => Err(of_itself(std::io::Error::other(ended))),
        },
    }
}

fn open(folder: &Path, options: &WorkspaceOptions) -> Result<Place, WorkspaceError> {
    let max = Total {
        files: options.files_max,
        bytes: options.bytes_max,
    };
    let root = Root::open(folder, Usage::new(max)).map_err(of_itself)?;
    let place = Place::of_root(root).map_err(of_itself)?;
    temporary::sweep(&place.root.folder, &place.below, options.now).map_err(of_itself)?;
    Ok(place)
}

fn health(place: &Place) -> Result<WorkspaceHealth, WorkspaceError> {
    place.check("")?;
    let total = place.root.usage.total(&place.root.folder).map_err(of_itself)?;
    let mut notices = Vec::new();
    if !place.root.can_exchange.load(Ordering::Relaxed) {
        notices.push(
            "the filesystem cannot exchange two names: an edit in the moment of a replacement can be lost",
        );
    }
    Ok(WorkspaceHealth {
        files: total.files,
        bytes: total.bytes,
        notices,
    })
}

/// An error of the workspace's own folder.
fn of_itself(error: std::io::Error) -> WorkspaceError {
    WorkspaceError::of(&WorkspacePath::read("".into()), error)
}
