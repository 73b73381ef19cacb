//! The index: a sled tree from keys to places in the log. It can be rebuilt, so nothing depends on it but speed.
//!
//! Only the committer writes it, after the flush. Every call into sled is guarded: a panic of it is an error.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sled::{Db, IVec, Tree};

use super::flushing::Flushing;
use crate::commit_log::Reader;
use crate::embedded::fetch::LogFetch;
use crate::embedded::folder::close_to_others;
use crate::embedded::index::{self, IndexError, Patience, Settled, Spotted, Walk};
use crate::embedded::shared::Shared;
use crate::embedded::spot::{Head, Spot};
use crate::{Batch, CommitError, Order, Stream};

/// Format of the trees. Another one is removed and rebuilt.
const FORMAT: u32 = 2;
/// What a page in sled's memory takes for each byte that sled counts of it, as measured.
const PAGE_OVERHEAD: u64 = 4;
/// How many changes are worth opening the trees again at the end: reading them once more takes about as long.
const NOTED_CHANGES_MIN: u64 = 200_000;
/// Between a stream and a position: below every byte of a stream's name.
const ENTRY_SEPARATOR: u8 = 0;

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// The index of a store.
#[derive(Debug)]
pub(super) struct Index {
    place: Place,
    /// None only where opening them again failed.
    trees: Option<Trees>,
    /// How many changes since they were opened.
    changes: u64,
}

/// Where trees lie, and whose they are.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    store: [u8; 16],
    cache_bytes: u64,
}

#[derive(Debug)]
struct Trees {
    db: Db,
    records: Tree,
    heads: Tree,
    entries: Tree,
    meta: Tree,
}

/// Runs something of sled's. What a panic leaves behind is not used again: the store closes.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(IndexError::Panicked))
}

impl Index {
    /// Opens or makes the trees of a store.
    pub(super) fn open(path: &Path, store: [u8; 16], cache_bytes: u64) -> Result<Self, IndexError> {
        // Sled makes folders and files for everyone to read: the folder above them is closed first.
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            Ok(()) | Err(_) => close_to_others(path)?,
        }
        let place = Place {
            path: path.to_owned(),
            store,
            cache_bytes,
        };
        Ok(Self {
            trees: Some(Trees::open(&place)?),
            place,
            changes: 0,
        })
    }

    /// Removes the trees, for building them anew.
    pub(super) fn remove(path: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn trees(&self) -> Result<&Trees, IndexError> {
        self.trees.as_ref().ok_or(IndexError::Other)
    }

    /// The trees, to be changed.
    fn changing(&mut self) -> Result<&Trees, IndexError> {
        self.changes += 1;
        self.trees()
    }

    /// Opens the trees again after many changes, which makes sled write down where all of it is: the next opening need
    /// not find out.
    fn note_down(&mut self) -> Result<(), IndexError> {
        if self.changes < NOTED_CHANGES_MIN {
            return Ok(());
        }
        drop(self.trees.take());
        self.trees = Some(Trees::open(&self.place)?);
        self.changes = 0;
        self.sync()
    }

    /// The highest version it may hold something of.
    pub(super) fn version(&self) -> Result<u64, IndexError> {
        guarded(|| {
            let found = self.trees()?.meta.get("version")?;
            let Some(found) = found else { return Ok(0) };
            let bytes = found.as_ref().try_into().map_err(|_| IndexError::Garbled)?;
            Ok(u64::from_le_bytes(bytes))
        })
    }

    /// Makes all of it durable: the tree's buffers, then the files beneath it.
    pub(super) fn sync(&self) -> Result<(), IndexError> {
        guarded(|| {
            self.trees()?.db.flush()?;
            Ok(())
        })?;
        sync_files(&self.place.path)?;
        Ok(())
    }
}

impl Trees {
    fn open(place: &Place) -> Result<Self, IndexError> {
        guarded(|| {
            let db = sled::Config::new()
                .path(&place.path)
                .cache_capacity(place.cache_bytes / PAGE_OVERHEAD)
                .flush_every_ms(None)
                .use_compression(false)
                .open()?;
            let trees = Self {
                records: db.open_tree("records")?,
                heads: db.open_tree("heads")?,
                entries: db.open_tree("entries")?,
                meta: db.open_tree("meta")?,
                db,
            };
            trees.check_format(place.store)?;
            close_files(&place.path)?;
            Ok(trees)
        })
    }

    fn check_format(&self, store: [u8; 16]) -> Result<(), IndexError> {
        let mut ours = FORMAT.to_le_bytes().to_vec();
        ours.extend_from_slice(&store);
        match self.meta.get("index")? {
            Some(found) if *found == *ours => Ok(()),
            Some(_) => Err(IndexError::Other),
            None if self.records.is_empty() && self.heads.is_empty() => {
                self.meta.insert("index", ours)?;
                Ok(())
            }
            None => Err(IndexError::Other),
        }
    }
}

impl Spotted for Spot {
    fn version(&self) -> u64 {
        self.version
    }

    fn weight(&self) -> usize {
        self.weight as usize
    }

    fn in_log(&self) -> Option<Spot> {
        Some(*self)
    }
}

impl index::Index for Index {
    type Spot = Spot;
    type Beside = Flushing;
    type Fetch<'a> = LogFetch<'a>;
    type Changing<'a> = ();
    const BACKEND: &'static str = "sled";
    /// It goes on beside: this is how late its end may be seen.
    const BETWEEN_STEPS: Duration = Duration::from_millis(5);
    const REPLACES_FILES: bool = false;

    fn begin(&mut self, version: u64) -> Result<(), IndexError> {
        guarded(|| {
            self.changing()?.meta.insert("version", &version.to_le_bytes())?;
            Ok(())
        })
    }

    fn record(&self, key: &str) -> Result<Option<Spot>, IndexError> {
        guarded(|| {
            self.trees()?
                .records
                .get(key)?
                .map(|found| spot(&found))
                .transpose()
        })
    }

    fn put_record(&mut self, key: &str, at: &Spot) -> Result<Option<Spot>, IndexError> {
        guarded(|| {
            let old = self.changing()?.records.insert(key, at.encode().as_slice())?;
            old.map(|old| spot(&old)).transpose()
        })
    }

    fn remove_record(&mut self, key: &str) -> Result<Option<Spot>, IndexError> {
        guarded(|| {
            let old = self.changing()?.records.remove(key)?;
            old.map(|old| spot(&old)).transpose()
        })
    }

    fn head(&self, log: &str) -> Result<Option<Head>, IndexError> {
        guarded(|| {
            self.trees()?
                .heads
                .get(log)?
                .map(|found| head(&found))
                .transpose()
        })
    }

    fn put_head(&mut self, log: &str, head: &Head) -> Result<bool, IndexError> {
        guarded(|| {
            Ok(self
                .changing()?
                .heads
                .insert(log, head.encode().as_slice())?
                .is_none())
        })
    }

    fn put_entry(&mut self, log: &str, position: u64, at: &Spot) -> Result<Option<Spot>, IndexError> {
        guarded(|| {
            let key = entry_key(log, position);
            let old = self.changing()?.entries.insert(key, at.encode().as_slice())?;
            old.map(|old| spot(&old)).transpose()
        })
    }

    fn entry(&self, log: &str, position: u64) -> Result<Option<Spot>, IndexError> {
        guarded(|| {
            let found = self.trees()?.entries.get(entry_key(log, position))?;
            found.map(|found| spot(&found)).transpose()
        })
    }

    fn remove_entry(&mut self, log: &str, position: u64) -> Result<(), IndexError> {
        guarded(|| {
            self.changing()?.entries.remove(entry_key(log, position))?;
            Ok(())
        })
    }

    fn walk_records(
        &self,
        walk: Walk<'_>,
        mut visit: impl FnMut(&str, Spot) -> bool,
    ) -> Result<(), IndexError> {
        guarded(|| {
            each(&self.trees()?.records, walk, |key, value| {
                Ok(visit(text(key)?, spot(value)?))
            })
        })
    }

    fn walk_heads(
        &self,
        walk: Walk<'_>,
        mut visit: impl FnMut(&str, Head) -> bool,
    ) -> Result<(), IndexError> {
        guarded(|| {
            each(&self.trees()?.heads, walk, |key, value| {
                Ok(visit(text(key)?, head(value)?))
            })
        })
    }

    fn walk_entries(
        &self,
        log: &str,
        from: u64,
        to: u64,
        mut visit: impl FnMut(u64, Spot) -> bool,
    ) -> Result<(), IndexError> {
        let (low, high) = (entry_key(log, from), entry_key(log, to));
        let walk = Walk {
            low: Bound::Included(&low),
            high: Bound::Excluded(&high),
            order: Order::Up,
        };
        guarded(|| {
            each(&self.trees()?.entries, walk, |key, value| {
                let position = key.last_chunk().ok_or(IndexError::Garbled)?;
                Ok(visit(u64::from_be_bytes(*position), spot(value)?))
            })
        })
    }

    fn walk_all_entries(
        &self,
        after: Option<(&str, u64)>,
        mut visit: impl FnMut(&str, u64, Spot) -> bool,
    ) -> Result<(), IndexError> {
        let after = after.map(|(log, position)| entry_key(log, position));
        let walk = Walk {
            low: after.as_deref().map_or(Bound::Unbounded, Bound::Excluded),
            ..Walk::ALL
        };
        guarded(|| {
            each(&self.trees()?.entries, walk, |key, value| {
                let (log, position) = key.split_last_chunk().ok_or(IndexError::Garbled)?;
                let log = log.strip_suffix(&[ENTRY_SEPARATOR]).ok_or(IndexError::Garbled)?;
                Ok(visit(text(log)?, u64::from_be_bytes(*position), spot(value)?))
            })
        })
    }

    fn bytes(&self) -> Result<u64, IndexError> {
        guarded(|| Ok(self.trees()?.db.size_on_disk()?))
    }

    fn admits(&self, _batch: &Batch, _growth: i64) -> Result<(), CommitError> {
        Ok(())
    }

    fn admits_truncation(&self, _log: &Stream) -> Result<(), CommitError> {
        Ok(())
    }

    fn fetch(shared: &Shared<Self>) -> LogFetch<'_> {
        let reader: &Reader = &shared.reader;
        LogFetch::of(reader)
    }

    fn settle(shared: &Shared<Self>, patience: Patience) -> io::Result<Settled> {
        let tree = || {
            let found = shared.with_index(|index| Ok((index.trees()?.db.clone(), index.place.path.clone())));
            found.map_err(io::Error::other)
        };
        shared.beside.go_on(tree, patience)
    }

    fn abandon(shared: &Shared<Self>) {
        shared.beside.abandon();
    }

    fn sum(shared: &Shared<Self>) -> io::Result<u64> {
        shared.change_index(Self::note_down).map_err(io::Error::other)?;
        let path = shared.with_index(|index| Ok(index.place.path.clone()));
        super::sum::of(&path.map_err(io::Error::other)?)
    }

    /// Segments that go are kept open for who reads them.
    fn change_files(_flushing: &Flushing) {}
}

/// Sled's own flush reaches neither the device's cache nor the files' metadata.
pub(super) fn sync_files(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_files(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

/// Sled makes its files for everyone to read.
fn close_files(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            close_to_others(&entry.path())?;
        } else if entry.metadata()?.permissions().mode() & 0o077 != 0 {
            std::fs::set_permissions(entry.path(), Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

fn each(
    tree: &Tree,
    walk: Walk<'_>,
    mut visit: impl FnMut(&[u8], &IVec) -> Result<bool, IndexError>,
) -> Result<(), IndexError> {
    if walk.is_nothing() {
        return Ok(());
    }
    let mut items = tree.range::<&[u8], _>((walk.low, walk.high));
    loop {
        let item = match walk.order {
            Order::Up => items.next(),
            Order::Down => items.next_back(),
        };
        let Some(item) = item else { return Ok(()) };
        let (key, value) = item?;
        if !visit(&key, &value)? {
            return Ok(());
        }
    }
}

fn entry_key(log: &str, position: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(log.len() + 9);
    key.extend_from_slice(log.as_bytes());
    key.push(ENTRY_SEPARATOR);
    key.extend_from_slice(&position.to_be_bytes());
    key
}

fn text(key: &[u8]) -> Result<&str, IndexError> {
    std::str::from_utf8(key).map_err(|_| IndexError::Garbled)
}

fn spot(value: &IVec) -> Result<Spot, IndexError> {
    Spot::decode(value).ok_or(IndexError::Garbled)
}

fn head(value: &IVec) -> Result<Head, IndexError> {
    Head::decode(value).ok_or(IndexError::Garbled)
}
