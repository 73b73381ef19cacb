//! The sled backend against the contract, and what only an embedded store can do wrong.

mod cleaner;
mod ends;
mod exports;
mod forgetful;
mod group;
mod idle;
mod kit;
mod known;
mod place;
mod processes;
mod repair;

use std::path::PathBuf;
use std::sync::Arc;

use dormouse_filesystem::contract::{Harness, suite};
use dormouse_filesystem::{RecordStore, Sled, SledOptions};
use jiff::{Timestamp, ToSpan};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

/// A folder of its own, gone with the test.
struct InFolder {
    folder: TempDir,
}

impl Default for InFolder {
    fn default() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }
}

impl InFolder {
    fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    async fn at(&self, now: Timestamp) -> Arc<dyn RecordStore> {
        let store = Sled::open(&self.path(), SledOptions::new(now)).await;
        Arc::new(store.unwrap())
    }
}

impl Harness for InFolder {
    async fn open(&self) -> Arc<dyn RecordStore> {
        self.at(NOW).await
    }

    async fn reopen(&self) -> Option<Arc<dyn RecordStore>> {
        Some(self.at(NOW).await)
    }

    async fn anew(&self) -> Arc<dyn RecordStore> {
        std::fs::remove_dir_all(self.path()).unwrap();
        self.at(NOW + 1.second()).await
    }
}

suite!(contract, InFolder);
