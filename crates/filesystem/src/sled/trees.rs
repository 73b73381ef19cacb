//! The trees of sled that the index lies in, and their files. Every call into sled is guarded: a panic of it is an error.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use sled::{Db, Tree};

use super::blocks::Blocks;
use crate::embedded::folder::close_to_others;
use crate::embedded::index::IndexError;
use crate::embedded::spot::{Head, Spot};

/// Format of the trees. Another one is removed and rebuilt.
const FORMAT: u32 = 3;
/// What a page in sled's memory takes for each byte that sled counts of it.
const PAGE_OVERHEAD: u64 = 2;

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// Runs something of sled's. What a panic leaves behind is not used again: the store closes.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(IndexError::Panicked))
}

/// Where trees lie, and whose they are.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) store: [u8; 16],
    pub(super) cache_bytes: u64,
}

impl Place {
    /// Makes the folder, or closes the one that is there to others.
    pub(super) fn prepare(&self) -> Result<(), IndexError> {
        // Sled makes folders and files for everyone to read: the folder above them is closed first.
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            Ok(()) | Err(_) => close_to_others(&self.path)?,
        }
        Ok(())
    }
}

/// Handles of the trees: clones are of the same ones.
#[derive(Debug, Clone)]
pub(super) struct Trees {
    pub(super) db: Db,
    pub(super) records: Blocks,
    pub(super) heads: Blocks,
    pub(super) entries: Blocks,
    meta: Tree,
}

impl Trees {
    pub(super) fn open(place: &Place) -> Result<Self, IndexError> {
        guarded(|| {
            let db = sled::Config::new()
                .path(&place.path)
                .cache_capacity(place.cache_bytes / PAGE_OVERHEAD)
                .flush_every_ms(None)
                .use_compression(false)
                .open()?;
            let trees = Self {
                records: Blocks::of(db.open_tree("records")?),
                heads: Blocks::of(db.open_tree("heads")?),
                entries: Blocks::of(db.open_tree("entries")?),
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

    /// The highest version they may hold something of.
    pub(super) fn version(&self) -> Result<u64, IndexError> {
        let found = guarded(|| Ok(self.meta.get("version")?))?;
        let Some(found) = found else { return Ok(0) };
        let bytes = found.as_ref().try_into().map_err(|_| IndexError::Garbled)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Says that changes up to this version follow.
    pub(super) fn begin(&self, version: u64) -> Result<(), IndexError> {
        self.meta.insert("version", &version.to_le_bytes())?;
        Ok(())
    }
}

/// A value of a tree.
pub(super) trait Value: Copy {
    type Bytes: AsRef<[u8]>;
    /// How many bytes it is.
    const LEN: usize;
    fn encode(&self) -> Self::Bytes;
    fn decode(bytes: &[u8]) -> Option<Self>;
}

impl Value for Spot {
    type Bytes = [u8; 28];
    const LEN: usize = 28;
    fn encode(&self) -> [u8; 28] {
        Spot::encode(self)
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        Spot::decode(bytes)
    }
}

impl Value for Head {
    type Bytes = [u8; 56];
    const LEN: usize = 56;
    fn encode(&self) -> [u8; 56] {
        Head::encode(self)
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        Head::decode(bytes)
    }
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
