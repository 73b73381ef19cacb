//! The sled store: the embedded default. Values lie in our own commit log; a sled tree is the ordered index.
//!
//! A commit goes to the queue; the committer, one thread, judges a group of them, writes it to the log, flushes once,
//! and only then shows, hints and acknowledges it. Reads look up the index at one point and read the log, on a few
//! reader threads; a `get` of a record that is known and in memory is answered by who asks, and so is one that is known to
//! be nowhere. `docs/FORMAT.md` draws the bytes.

mod block;
mod blocks;
mod drain;
mod flushing;
mod gaps;
mod index;
mod known;
mod layer;
mod merged;
mod now;
#[cfg(test)]
mod pace;
#[cfg(test)]
mod proofs;
mod sum;
mod together;
mod trees;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::index::Index;
use crate::commit_log::FileLayer;
use crate::embedded::check::{Checked, Look, Then};
use crate::embedded::folder::Opener;
use crate::embedded::index::Index as _;
use crate::embedded::{self, Embedded, MIB, Options, embedded_store, folder};
use crate::{EXPORT_IDLE, OpenError};

/// How a sled store is opened.
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// The time: versions are above its [floor](crate::Version::floor).
    pub now: jiff::Timestamp,
    /// The program that opens it, for those who find it in use.
    pub program: String,
    /// Bytes of a segment of the log, at most 1 GiB; while less is live they are shorter, down to 16 MiB. 64 MiB.
    pub segment_bytes: u64,
    /// Bytes of memory for the index: half of it for pages of the trees, half, of which at most 256 MiB, for where records
    /// lie that were read or written of late. 64 MiB.
    pub cache_bytes: u64,
    /// Bytes of the disk that only deletes and truncations may use. 64 MiB.
    pub reserve_bytes: u64,
    /// How many of a hundred bytes written may be what is live and moves, so that the oldest segment of the log can
    /// go. 1 to 99. 50.
    pub cleaner_share: u8,
    /// How long an export is held of which nobody takes an item. [`EXPORT_IDLE`], 60 s.
    pub export_idle: Duration,
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
            cleaner_share: 50,
            export_idle: EXPORT_IDLE,
        }
    }
}

/// A store in a folder of this machine, for one process at a time.
///
/// Dropped without [`close`](crate::RecordStore::close) it ends as if the process had died: nothing acknowledged is
/// lost, the next opening replays. The drop waits a moment for that; the next opening in this process waits until it has
/// ended.
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
pub struct Sled(Embedded<Index>);

embedded_store!(Sled);

impl Sled {
    /// Looks whether a folder holds a store that this build can open; false where there is none yet. Changes
    /// nothing, takes no lock. Blocks for one small read.
    ///
    /// # Errors
    /// `TooNew`, `Foreign`, `Refused`, as [`open`](Self::open) would say.
    pub fn inspect(path: &Path) -> Result<bool, OpenError> {
        folder::check_format(path, Index::BACKEND).map(|id| id.is_some())
    }

    /// Opens the store in a folder, making it if there is nothing.
    ///
    /// # Errors
    /// `InUse` by another process (or this one), `TooNew`, `Foreign`, `Refused` for the place, `Damaged` for a log
    /// that must not be cut; in each of these nothing was changed. `Unavailable` when the system failed.
    pub async fn open(path: &Path, options: SledOptions) -> Result<Self, OpenError> {
        Self::open_with(path, options, None).await
    }

    /// Looks through the whole log of a store that nobody has open. Changes nothing but the text in `LOCK`.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for `Damaged`, which is what it tells; `Refused` where there is no store.
    pub async fn check(path: &Path, options: SledOptions) -> Result<Checked, OpenError> {
        Self::look(path, options, Then::Tell).await
    }

    /// Makes a store whose log is damaged open again: each segment with bytes that cannot be read is copied aside as it
    /// is, then commits that cannot be read are cut out of it. All others stay.
    ///
    /// A record whose last commit is lost has the value before again, at its version, or is missing; a log has no
    /// entries where they are lost, and reading one of those says `Corrupt`.
    ///
    /// # Errors
    /// As [`check`](Self::check). Killed, it is begun again.
    pub async fn repair(path: &Path, options: SledOptions) -> Result<Checked, OpenError> {
        Self::look(path, options, Then::Repair).await
    }

    async fn look(path: &Path, options: SledOptions, then: Then) -> Result<Checked, OpenError> {
        let look = Look {
            path: path.to_owned(),
            backend: Index::BACKEND,
            opener: Opener {
                program: options.program,
                now: options.now,
            },
            needs_first: true,
            then,
        };
        look.run().await
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
        let cache_bytes = options.cache_bytes;
        let options = Options {
            now: options.now,
            program: options.program,
            segment_bytes: options.segment_bytes,
            reserve_bytes: options.reserve_bytes,
            cleaner_share: Some(options.cleaner_share),
            export_idle: options.export_idle,
        };
        let opened = embedded::open(path, options, files, move |folder, files| {
            together::bring_together(folder, files, cache_bytes)
        });
        opened.await.map(Self)
    }
}
