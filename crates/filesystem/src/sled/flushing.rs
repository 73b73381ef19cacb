//! Making the index durable beside the committer: commits go on while the tree is flushed and its files are synced.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use sled::Db;

use super::index::{guarded, sync_files};
use crate::embedded::index::{Patience, Settled};

/// A flush under way, if any. Only the committer looks at it.
#[derive(Debug, Default)]
pub(super) struct Flushing(Mutex<Option<JoinHandle<io::Result<()>>>>);

impl Flushing {
    fn under_way(&self) -> MutexGuard<'_, Option<JoinHandle<io::Result<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to flush, or looks whether it has ended; with patience, waits until it has. What it covers is what was in
    /// the tree when it began, and perhaps more.
    pub(super) fn go_on(
        &self,
        tree: impl FnOnce() -> io::Result<(Db, PathBuf)>,
        patience: Patience,
    ) -> io::Result<Settled> {
        let mut under_way = self.under_way();
        if under_way.is_none() {
            *under_way = Some(begin(tree()?)?);
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

fn begin((db, path): (Db, PathBuf)) -> io::Result<JoinHandle<io::Result<()>>> {
    std::thread::Builder::new()
        .name("dormouse-index".to_owned())
        .spawn(move || {
            guarded(|| Ok(db.flush().map(drop)?)).map_err(io::Error::other)?;
            sync_files(&path)
        })
}
