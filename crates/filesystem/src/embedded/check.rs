//! Looking through the log of a store that nobody has open, and repairing it.

use std::path::{Path, PathBuf};

use super::ending;
use super::folder::{Folder, Opener, check_format};
use super::opened::Failure;
use crate::OpenError;
use crate::commit_log::checkpoint::Checkpoint;
use crate::commit_log::{FileLayer, Proved, StdFiles, mend, survey};

/// What a look through a store's log found.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// Bytes of the log.
    pub bytes: u64,
    /// Commits that can be read, and steps of truncation and cleaning.
    pub commits: u64,
    /// Where the last group is torn, if it is. Nobody had been told of it; the next opening cuts it.
    pub torn: Option<String>,
    /// What had been acknowledged and cannot be read. A store with any does not open.
    pub damages: Vec<Damage>,
    /// The files in which repair kept the bytes as they were, in the store's folder.
    pub kept: Vec<String>,
}

/// Something of the log that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment's file in the store's folder, and the offset in it.
    pub place: String,
    /// How many bytes, where that can be told.
    pub bytes: u64,
    /// What it is, in words.
    pub what: &'static str,
}

/// What is done with what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is told.
    Tell,
    /// It is moved aside.
    Repair,
}

/// How a store's log is looked through.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) path: PathBuf,
    pub(crate) backend: &'static str,
    pub(crate) opener: Opener,
    /// Whether its first segments are needed.
    pub(crate) needs_first: bool,
    pub(crate) then: Then,
}

impl Look {
    /// Looks, on a thread that may block, with the store's lock held.
    pub(crate) async fn run(self) -> Result<Checked, OpenError> {
        let looking = tokio::task::spawn_blocking(move || self.blocking());
        looking.await.unwrap_or_else(|error| {
            Err(OpenError::Unavailable {
                reason: "looking through it failed".to_owned(),
                source: Some(Box::new(error)),
            })
        })
    }

    fn blocking(&self) -> Result<Checked, OpenError> {
        if check_format(&self.path, self.backend)?.is_none() {
            return Err(no_store(&self.path));
        }
        ending::wait_for(&self.path);
        let folder = Folder::open(&self.path, self.backend, &self.opener)?;
        let files = StdFiles::new(&self.path).map_err(Failure::Io)?;
        Ok(self.look(folder.store, &files)?)
    }

    fn look(&self, store: [u8; 16], files: &dyn FileLayer) -> Result<Checked, Failure> {
        let checkpoint = Checkpoint::read(files)?.filter(|checkpoint| checkpoint.store == store);
        let found = survey(files, store, checkpoint.map(Proved::of), self.needs_first)?;
        let damages = found.damages().into_iter();
        let mut checked = Checked {
            bytes: found.bytes,
            commits: found.frames,
            torn: found.torn.clone(),
            damages: damages
                .map(|(place, bytes, what)| Damage { place, bytes, what })
                .collect(),
            kept: Vec::new(),
        };
        if self.then == Then::Repair && !checked.damages.is_empty() {
            // The index may have what is lost now: it is made anew from what is not.
            Checkpoint::distrust(files)?;
            checked.kept = mend(files, &found)?;
        }
        Ok(checked)
    }
}

fn no_store(path: &Path) -> OpenError {
    OpenError::Refused {
        path: path.display().to_string(),
        reason: "there is no store in it".to_owned(),
    }
}
