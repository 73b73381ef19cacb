//! The sled store: the embedded default. Values lie in our own commit log; a sled tree is the ordered index.
//!
//! A commit goes to the queue; the committer, one thread, judges a group of them, writes it to the log, flushes once,
//! and only then shows, hints and acknowledges it. Reads look up the index at one point and read the log, on a few
//! reader threads. `docs/FORMAT.md` draws the bytes.

mod apply;
mod committer;
mod decide;
mod filesystem;
mod folder;
mod index;
mod open;
mod queue;
mod read;
mod shared;
mod spot;
mod store;
mod tally;
mod together;
mod work;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, watch};

use self::queue::Ending;
use self::shared::Shared;
use crate::OpenError;
use crate::capability::Durability;
use crate::commit_log::FileLayer;

/// Most threads that read at once.
const READERS_MAX: usize = 4;
/// Longest segment: offsets in it are 32 bits.
const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const MIB: u64 = 1024 * 1024;

/// How a sled store is opened.
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// The time: versions are above its [floor](crate::Version::floor).
    pub now: jiff::Timestamp,
    /// The program that opens it, for those who find it in use.
    pub program: String,
    /// Bytes of a segment of the log, at most 1 GiB. 64 MiB.
    pub segment_bytes: u64,
    /// Bytes of the index kept in memory. 64 MiB.
    pub cache_bytes: u64,
    /// Bytes of the disk that only deletes and truncations may use. 64 MiB.
    pub reserve_bytes: u64,
}

impl SledOptions {
    /// The defaults at this time.
    #[must_use]
    pub fn new(now: jiff::Timestamp) -> Self {
        Self {
            now,
            program: "dormouse".to_owned(),
            segment_bytes: 64 * MIB,
            cache_bytes: 64 * MIB,
            reserve_bytes: 64 * MIB,
        }
    }
}

/// A store in a folder of this machine, for one process at a time.
///
/// Dropped without [`close`](crate::RecordStore::close) it ends as if the process had died: nothing acknowledged is
/// lost, the next opening replays. The drop waits for a flush that is under way.
///
/// ```
/// use dormouse_filesystem::{Batch, Deadline, Expected, Key, Lane, RecordKind, RecordStore, Sled, SledOptions};
/// # use std::time::Duration;
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("store");
/// let store = Sled::open(&path, SledOptions::new(jiff::Timestamp::UNIX_EPOCH)).await?;
/// let mut batch = Batch::new(Lane::System);
/// batch.put(Key::parse("a")?, Expected::Absent, RecordKind::of("note"), "hello");
/// store.commit(batch, Deadline::after(Duration::from_secs(10))).await?;
/// assert_eq!(store.get(&Key::parse("a")?).await?.unwrap().value, "hello");
/// # store.close(Deadline::after(Duration::from_secs(10))).await?;
/// # Ok(())
/// # }
/// ```
pub struct Sled {
    path: PathBuf,
    shared: Arc<Shared>,
    durability: Durability,
    readers: Arc<Semaphore>,
    has_ended: watch::Receiver<bool>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl Sled {
    /// Looks whether a folder holds a store that this build can open; false where there is none yet. Changes
    /// nothing, takes no lock. Blocks for one small read.
    ///
    /// # Errors
    /// `TooNew`, `Foreign`, `Refused`, as [`open`](Self::open) would say.
    pub fn inspect(path: &Path) -> Result<bool, OpenError> {
        folder::check_format(path).map(|id| id.is_some())
    }

    /// Opens the store in a folder, making it if there is nothing.
    ///
    /// # Errors
    /// `InUse` by another process (or this one), `TooNew`, `Foreign`, `Refused` for the place, `Damaged` for a log
    /// that must not be cut; in each of these nothing was changed. `Unavailable` when the system failed.
    pub async fn open(path: &Path, options: SledOptions) -> Result<Self, OpenError> {
        Self::open_with(path, options, None).await
    }

    /// As [`open`](Self::open), with another file layer under the log. For tests; outside semver.
    ///
    /// # Errors
    /// As `open`.
    #[doc(hidden)]
    pub async fn open_on(
        path: &Path,
        options: SledOptions,
        files: Arc<dyn FileLayer>,
    ) -> Result<Self, OpenError> {
        Self::open_with(path, options, Some(files)).await
    }

    async fn open_with(
        path: &Path,
        options: SledOptions,
        files: Option<Arc<dyn FileLayer>>,
    ) -> Result<Self, OpenError> {
        if !(1..=SEGMENT_BYTES_MAX).contains(&options.segment_bytes) {
            return Err(OpenError::Refused {
                path: path.display().to_string(),
                reason: "a segment has 1 byte to 1 GiB".to_owned(),
            });
        }
        let path = path.to_owned();
        let opening = tokio::task::spawn_blocking(move || open::open(&path, &options, files));
        opening.await.unwrap_or_else(|error| {
            Err(OpenError::Unavailable {
                reason: "opening it failed".to_owned(),
                source: Some(Box::new(error)),
            })
        })
    }

    fn of(
        path: &Path,
        shared: Arc<Shared>,
        durability: Durability,
        has_ended: watch::Receiver<bool>,
        committer: JoinHandle<()>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            shared,
            durability,
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            has_ended,
            committer: Mutex::new(Some(committer)),
        }
    }

    fn join(&self) {
        let committer = self
            .committer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(committer) = committer {
            // Its panics are caught within.
            drop(committer.join());
        }
    }
}

impl Drop for Sled {
    fn drop(&mut self) {
        self.shared.queue.end(Ending::Dropped);
        self.join();
    }
}

impl fmt::Debug for Sled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sled({:?})", self.shared.state())
    }
}

impl fmt::Display for Sled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sled:{}", self.path.display())
    }
}
