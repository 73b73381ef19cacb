//! Lives of stores, most of them ended by the power: whatever it leaves, all that was acknowledged is there, no half of
//! anything else, and the store opens.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{
    CommitError, Deadline, Local, LocalOptions, LogError, OpenError, Position, RecordStore, Sled, SledOptions,
};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::model::{Known, LOGS, log, next, shown};
use crate::sim_files::SimFiles;

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
/// Small: a life fills several.
const SEGMENT_BYTES: u64 = 16 * 1024;
const LIVES: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    Sled,
    Local,
}

impl Backend {
    pub(super) async fn open(self, path: &Path, disk: &SimFiles) -> Result<Arc<dyn RecordStore>, OpenError> {
        let files = Arc::new(disk.clone());
        Ok(match self {
            Self::Sled => {
                let options = SledOptions {
                    segment_bytes: SEGMENT_BYTES,
                    reserve_bytes: 0,
                    ..SledOptions::new(NOW)
                };
                Arc::new(Sled::open_on(path, options, files).await?)
            }
            Self::Local => {
                let options = LocalOptions {
                    segment_bytes: SEGMENT_BYTES,
                    reserve_bytes: 0,
                    ..LocalOptions::new(NOW)
                };
                Arc::new(Local::open_on(path, options, files).await?)
            }
        })
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// A store's lives, and what is certain of it.
struct Lives {
    backend: Backend,
    random: StdRng,
    disk: SimFiles,
    path: PathBuf,
    sure: Known,
    /// What was tried last, if it may have been done.
    maybe: Option<Known>,
}

impl Lives {
    /// A life: opened, looked at, written to until it ends in one of many ways.
    async fn live(&mut self, what: &str) {
        self.disk.rest();
        let store = self.backend.open(&self.path, &self.disk).await;
        let store = store.unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = shown(&*store).await;
        let is_done = self.maybe.take().is_some_and(|maybe| maybe.is(&found));
        assert!(
            is_done || found == self.sure,
            "{what}: it is not what was acknowledged: {}",
            self.sure.differences(&found)
        );
        self.sure = found;
        match self.random.random_range(0..8_u8) {
            0 => self.disk.fail_sync(self.random.random_range(0..60)),
            1..=6 => self.disk.light_fuse(self.random.random_range(0..500)),
            _ => {}
        }
        let writes = self.random.random_range(0..120);
        for _ in 0..writes {
            let goes_on = if self.random.random_range(0..20) == 0 {
                self.truncate(&*store).await
            } else {
                self.commit(&*store).await
            };
            if !goes_on {
                break;
            }
        }
        if self.random.random_range(0..3_u8) == 0 {
            // Often the power fails in it.
            drop(store.close(soon()).await);
        }
    }

    async fn commit(&mut self, store: &dyn RecordStore) -> bool {
        let (batch, mut after) = next(&mut self.random, &self.sure, 40);
        match store.commit(batch, soon()).await {
            Ok(committed) => {
                after.fill_in(committed.version.unwrap());
                self.sure = after;
                true
            }
            Err(CommitError::Indeterminate { .. }) => {
                self.maybe = Some(after);
                false
            }
            Err(CommitError::Closed { .. } | CommitError::Unavailable { .. }) => false,
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn truncate(&mut self, store: &dyn RecordStore) -> bool {
        let n = self.random.random_range(0..LOGS);
        let Some((first, entries)) = self.sure.logs.get(&n) else {
            return true;
        };
        let before = first + self.random.random_range(0..=entries.len() as u64);
        let kept = entries[usize::try_from(before - first).unwrap()..].to_vec();
        let mut after = self.sure.clone();
        after.logs.insert(n, (before, kept));
        match store.truncate(&log(n), Position::new(before)).await {
            Ok(_) => {
                self.sure = after;
                true
            }
            Err(LogError::Commit(_)) => {
                self.maybe = Some(after);
                false
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// What becomes of the disk between two lives, and of the index that lies on another.
    fn end(&mut self) {
        if self.random.random_range(0..4_u8) > 0 {
            self.disk.cut_power(self.random.random());
        }
        let index = self.path.join("index");
        if self.backend == Backend::Sled {
            match self.random.random_range(0..6_u8) {
                0 => std::fs::remove_dir_all(&index).unwrap(),
                1 => self.garble(&index.join("db")),
                2 => self.roll_back(&index),
                _ => {}
            }
        }
    }

    fn garble(&mut self, file: &Path) {
        let mut bytes = std::fs::read(file).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        let at = self.random.random_range(0..=used);
        let end = (at + self.random.random_range(1..2000)).min(bytes.len());
        bytes[at..end].fill(self.random.random());
        std::fs::write(file, bytes).unwrap();
    }

    /// Puts an index in place that was kept before, and keeps this one for a later life.
    fn roll_back(&self, index: &Path) {
        let (old, aside) = (self.path.with_file_name("old"), self.path.with_file_name("aside"));
        std::fs::rename(index, &aside).unwrap();
        if old.exists() {
            std::fs::rename(&old, index).unwrap();
        }
        std::fs::rename(&aside, &old).unwrap();
    }
}

async fn live_through(backend: Backend, seed: u64) {
    // The folder has little of the store: it need not cost flushes of a real disk.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.unwrap();
    let mut lives = Lives {
        backend,
        random: StdRng::seed_from_u64(seed),
        disk: SimFiles::default(),
        path: folder.path().join("store"),
        sure: Known::default(),
        maybe: None,
    };
    for life in 0..LIVES {
        lives.live(&format!("{backend:?} seed {seed} life {life}")).await;
        lives.end();
    }
    lives.live(&format!("{backend:?} seed {seed} at the end")).await;
}

/// `SIM_SEED` begins elsewhere, `SIM_ROUNDS` makes it longer: `cargo xtask crash --power` runs a thousand of each.
async fn live_through_all(backend: Backend, part: u64) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|number| number.parse::<u64>().ok())
    };
    let rounds = number("SIM_ROUNDS").unwrap_or(80).div_ceil(2);
    let begin = number("SIM_SEED").unwrap_or(0) + part * rounds;
    for seed in begin..begin + rounds {
        live_through(backend, seed).await;
    }
}

/// FS-54 at the sled store, with the cleaner at work.
#[tokio::test(flavor = "multi_thread")]
async fn a_sled_store_loses_nothing_acknowledged_1() {
    live_through_all(Backend::Sled, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sled_store_loses_nothing_acknowledged_2() {
    live_through_all(Backend::Sled, 1).await;
}

/// FS-54 at the local store.
#[tokio::test(flavor = "multi_thread")]
async fn a_local_store_loses_nothing_acknowledged_1() {
    live_through_all(Backend::Local, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_store_loses_nothing_acknowledged_2() {
    live_through_all(Backend::Local, 1).await;
}
