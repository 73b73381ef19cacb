//! The local backend against the contract, and what only a store of readable files can do wrong.

mod ends;
mod exports;
mod files;
mod killed;
mod kit;

use std::path::PathBuf;
use std::sync::Arc;

use dormouse_filesystem::contract::{Harness, suite};
use dormouse_filesystem::{Local, LocalOptions, RecordStore};
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
        let store = Local::open(&self.path(), LocalOptions::new(now)).await;
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

/// Small segments: much of it is written behind the log while the clauses run.
#[derive(Default)]
struct Pressed(InFolder);

impl Pressed {
    async fn at(&self, now: Timestamp) -> Arc<dyn RecordStore> {
        let mut options = LocalOptions::new(now);
        options.segment_bytes = 16 * 1024;
        let store = Local::open(&self.0.path(), options).await;
        Arc::new(store.unwrap())
    }
}

impl Harness for Pressed {
    async fn open(&self) -> Arc<dyn RecordStore> {
        self.at(NOW).await
    }

    async fn reopen(&self) -> Option<Arc<dyn RecordStore>> {
        Some(self.at(NOW).await)
    }

    async fn anew(&self) -> Arc<dyn RecordStore> {
        std::fs::remove_dir_all(self.0.path()).unwrap();
        self.at(NOW + 1.second()).await
    }
}

suite!(pressed, Pressed);
