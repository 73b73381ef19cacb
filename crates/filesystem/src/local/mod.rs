//! The local store: one readable file per record, behind the commit log, for people and small stores.
//!
//! A commit is acknowledged by the log alone. Files are written behind it, a few between two groups of commits and
//! the rest when nobody commits; then the log's segments go. `docs/FORMAT.md` draws the bytes.

mod beside;
mod fetch;
#[cfg(feature = "contract")]
pub(crate) mod fuzz;
mod index;
mod load;
mod part_file;
mod place;
mod record_file;
mod repair;
mod settle;
mod settle_log;
mod together;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::index::LocalIndex;
pub use self::repair::{Repair, Repaired};
use crate::commit_log::FileLayer;
use crate::embedded::check::{Checked, Look, Then};
use crate::embedded::folder::Opener;
use crate::embedded::index::Index as _;
use crate::embedded::{self, Embedded, MIB, Options, embedded_store, folder};
use crate::{EXPORT_IDLE, OpenError};

/// Most records of a local store. More are `TooLarge`: the sled backend holds them.
pub const LOCAL_RECORDS_MAX: usize = 100_000;

/// How a local store is opened.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// The time: versions are above its [floor](crate::Version::floor).
    pub now: jiff::Timestamp,
    /// The program that opens it, for those who find it in use.
    pub program: String,
    /// Bytes of a segment of the log, at most 1 GiB. 64 MiB.
    pub segment_bytes: u64,
    /// Bytes of the disk that only deletes and truncations may use. 64 MiB.
    pub reserve_bytes: u64,
    /// How long an export is held of which nobody takes an item. [`EXPORT_IDLE`], 60 s.
    pub export_idle: Duration,
}

impl LocalOptions {
    /// The defaults at this time.
    #[must_use]
    pub fn new(now: jiff::Timestamp) -> Self {
        Self {
            now,
            program: "dormouse".to_owned(),
            segment_bytes: 64 * MIB,
            reserve_bytes: 64 * MIB,
            export_idle: EXPORT_IDLE,
        }
    }
}

/// A store in a folder of this machine whose records are files that people can read, for one process at a time.
///
/// A file edited by hand is [`Corrupt`](crate::ReadError::Corrupt) until [`repair`](Self::repair) takes it as a new
/// version; its bytes are never overwritten. Dropped without [`close`](crate::RecordStore::close) the store ends as
/// if the process had died: nothing acknowledged is lost, the next opening replays.
///
/// ```
/// use dormouse_filesystem::{Batch, Deadline, Expected, Key, Lane, Local, LocalOptions, RecordKind, RecordStore};
/// # use std::time::Duration;
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("store");
/// let store = Local::open(&path, LocalOptions::new(jiff::Timestamp::UNIX_EPOCH)).await?;
/// let mut batch = Batch::new(Lane::System);
/// batch.put(Key::parse("notes/a")?, Expected::Absent, RecordKind::of("note"), "hello");
/// store.commit(batch, Deadline::after(Duration::from_secs(10))).await?;
/// store.close(Deadline::after(Duration::from_secs(10))).await?;
/// let text = std::fs::read_to_string(path.join("records/notes/a=.rec"))?;
/// assert!(text.starts_with("dormouse-record/1 kind=note ") && text.ends_with("\nhello"));
/// # Ok(())
/// # }
/// ```
pub struct Local(Embedded<LocalIndex>);

embedded_store!(Local);

impl Local {
    /// Looks whether a folder holds a store that this build can open; false where there is none yet. Changes
    /// nothing, takes no lock. Blocks for one small read.
    ///
    /// # Errors
    /// `TooNew`, `Foreign`, `Refused`, as [`open`](Self::open) would say.
    pub fn inspect(path: &Path) -> Result<bool, OpenError> {
        folder::check_format(path, LocalIndex::BACKEND).map(|id| id.is_some())
    }

    /// Opens the store in a folder, making it if there is nothing.
    ///
    /// # Errors
    /// `InUse` by another process (or this one), `TooNew`, `Foreign`, `Refused` for the place, `Damaged` for a log
    /// that must not be cut; in each of these nothing was changed. `Unavailable` when the system failed.
    pub async fn open(path: &Path, options: LocalOptions) -> Result<Self, OpenError> {
        Self::open_with(path, options, None).await
    }

    /// Looks through the whole log of a store that nobody has open. Changes nothing but the text in `LOCK`.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for `Damaged`, which is what it tells; `Refused` where there is no store.
    pub async fn check_log(path: &Path, options: LocalOptions) -> Result<Checked, OpenError> {
        Self::look(path, options, Then::Tell).await
    }

    /// Makes a store whose log is damaged open again: each segment with bytes that cannot be read is copied aside as it
    /// is, then commits that cannot be read are cut out of it. All others stay. Files of records are
    /// [`repair`](Self::repair)'s.
    ///
    /// # Errors
    /// As [`check_log`](Self::check_log). Killed, it is begun again.
    pub async fn repair_log(path: &Path, options: LocalOptions) -> Result<Checked, OpenError> {
        Self::look(path, options, Then::Repair).await
    }

    async fn look(path: &Path, options: LocalOptions, then: Then) -> Result<Checked, OpenError> {
        let look = Look {
            path: path.to_owned(),
            backend: LocalIndex::BACKEND,
            opener: Opener {
                program: options.program,
                now: options.now,
            },
            needs_first: false,
            then,
        };
        look.run().await
    }

    /// As [`open`](Self::open), with another file layer under log and records. For tests; outside semver.
    ///
    /// # Errors
    /// As `open`.
    #[doc(hidden)]
    pub async fn open_on(
        path: &Path,
        options: LocalOptions,
        files: Arc<dyn FileLayer>,
    ) -> Result<Self, OpenError> {
        Self::open_with(path, options, Some(files)).await
    }

    async fn open_with(
        path: &Path,
        options: LocalOptions,
        files: Option<Arc<dyn FileLayer>>,
    ) -> Result<Self, OpenError> {
        let options = Options {
            now: options.now,
            program: options.program,
            segment_bytes: options.segment_bytes,
            reserve_bytes: options.reserve_bytes,
            cleaner_share: None,
            export_idle: options.export_idle,
        };
        let opened = embedded::open(path, options, files, together::bring_together);
        opened.await.map(Self)
    }
}
