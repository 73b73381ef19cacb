//! Making the index durable beside the committer: commits go on while the tree is flushed and its files are synced.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use sled::Db;

use super::drain::Leaving;
use super::trees::{guarded, sync_files};
use crate::embedded::index::{Patience, Settled};

/// A flush under way, if any. Only the committer looks at it.
#[derive(Debug, Default)]
pub(super) struct Flushing(Mutex<Option<JoinHandle<io::Result<()>>>>);

impl Flushing {
    fn under_way(&self) -> MutexGuard<'_, Option<JoinHandle<io::Result<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to flush, or looks whether it has ended; with patience, waits until it has. What it covers is what was in
    /// the index when it began, and perhaps more.
    pub(super) fn go_on(
        &self,
        flush: impl FnOnce() -> io::Result<Flush>,
        patience: Patience,
    ) -> io::Result<Settled> {
        let mut under_way = self.under_way();
        if under_way.is_none() {
            *under_way = Some(begin(flush()?)?);
        }
        let has_ended = under_way.as_ref().is_some_and(JoinHandle::is_finished);
        if patience == Patience::None && !has_ended {
            return Ok(Settled::Part);
        }
        match under_way.take().map(JoinHandle::join) {
            Some(Ok(flushed)) => flushed.map(|()| Settled::All),
            Some(Err(_)) | None => Err(io::Error::other("the flush of the index panicked")),
        }
    }

    /// Waits until nothing is under way.
    pub(super) fn abandon(&self) {
        if let Some(flushing) = self.under_way().take() {
            // Without a checkpoint behind it, how it ended does not matter.
            drop(flushing.join());
        }
    }
}

/// What is to be flushed.
#[derive(Debug)]
pub(super) struct Flush {
    /// Waited for first: the trees lack it.
    pub(super) behind: Option<Arc<Leaving>>,
    pub(super) db: Db,
    pub(super) path: PathBuf,
}

fn begin(Flush { behind, db, path }: Flush) -> io::Result<JoinHandle<io::Result<()>>> {
    std::thread::Builder::new()
        .name("dormouse-index".to_owned())
        .spawn(move || {
            behind
                .map_or(Ok(()), |behind| behind.wait())
                .map_err(io::Error::other)?;
            guarded(|| Ok(db.flush().map(drop)?)).map_err(io::Error::other)?;
            sync_files(&path)
        })
}
