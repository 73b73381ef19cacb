//! What a run was asked for, and where it measures.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::commit_log::FileLayer;
use dormouse_filesystem::{RecordStore, Sled, SledOptions};
use dormouse_tests::measure::Heading;

use crate::disk::Disk;

/// A part of the run, chosen by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// Durable commits on the machine's own disk.
    Own,
    /// The same on a disk whose flush takes 2 ms.
    Slow,
    /// A quiet lane beside a flooding one.
    Lanes,
    /// Reads of few and of many records.
    Reads,
    /// Opening and holding a million records.
    Million,
    /// Commits on a PostgreSQL server.
    Postgres,
    /// From a commit to its reader.
    Hints,
    /// Export and import.
    Portable,
    /// The local store and workspace folders.
    Files,
}

impl Section {
    pub(crate) const ALL: [Self; 9] = [
        Self::Own,
        Self::Slow,
        Self::Lanes,
        Self::Reads,
        Self::Million,
        Self::Postgres,
        Self::Hints,
        Self::Portable,
        Self::Files,
    ];

    /// What they are called, in the same order.
    pub(crate) const HEADINGS: [Heading; 9] = {
        let mut headings = [Heading { name: "", title: "" }; 9];
        let mut at = 0;
        while at < headings.len() {
            headings[at] = Self::ALL[at].heading();
            at += 1;
        }
        headings
    };

    pub(crate) const fn heading(self) -> Heading {
        let (name, title) = match self {
            Self::Own => ("own", "Durable commits, the machine's own disk"),
            Self::Slow => (
                "slow",
                "Durable commits, a disk whose flush takes 2 ms (simulated)",
            ),
            Self::Lanes => ("lanes", "A quiet lane beside a flooding one"),
            Self::Reads => ("reads", "Reads"),
            Self::Million => ("million", "A million records"),
            Self::Postgres => ("postgres", "PostgreSQL"),
            Self::Hints => ("hints", "From a commit to its reader"),
            Self::Portable => ("portable", "Export and import"),
            Self::Files => ("files", "The local store and workspace folders"),
        };
        Heading { name, title }
    }

    pub(crate) fn of(heading: Heading) -> Self {
        Self::ALL
            .into_iter()
            .find(|section| section.heading() == heading)
            .expect("headings are those of the sections")
    }
}

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// An empty folder on the disk that is measured.
    pub(crate) folder: PathBuf,
    /// How often each thing is measured, in turns with what it is held against.
    pub(crate) rounds: usize,
    /// Less of everything: to see that it runs. Its figures say little.
    pub(crate) is_quick: bool,
}

impl Context {
    /// How many records a million are.
    pub(crate) fn million(&self) -> u64 {
        if self.is_quick { 50_000 } else { 1_000_000 }
    }

    /// A measurement that should take so long.
    pub(crate) fn time(&self, milliseconds: u64) -> Duration {
        Duration::from_millis(if self.is_quick {
            milliseconds / 4
        } else {
            milliseconds
        })
    }

    /// A new folder below the one that is measured on.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).expect("the target folder can be written");
        folder
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: here the time comes from")]
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A sled store in a folder, on this disk.
pub(crate) async fn sled(folder: &Path, disk: Disk) -> Arc<dyn RecordStore> {
    let options = SledOptions::new(now());
    std::fs::create_dir_all(folder).expect("the target folder can be written");
    let opened = match files(folder, disk) {
        None => Sled::open(folder, options).await,
        Some(files) => Sled::open_on(folder, options, files).await,
    };
    Arc::new(opened.expect("a store opens in a folder of its own"))
}

/// What a store's log is put on, where it is not the system's files.
pub(crate) fn files(folder: &Path, disk: Disk) -> Option<Arc<dyn FileLayer>> {
    match disk {
        Disk::Own => None,
        Disk::Slow => Some(Arc::new(crate::disk::SlowFiles::new(folder))),
    }
}
