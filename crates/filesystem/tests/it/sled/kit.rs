//! What the tests of the sled store share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{
    Batch, CommitError, Committed, Deadline, Expected, Key, Lane, OpenError, Page, Position, Prefix,
    RecordKind, RecordStore, Segment, Sled, SledOptions, Stream, Version,
};
use tempfile::TempDir;

use super::NOW;
use crate::sim_files::SimFiles;

pub(crate) const KIND: RecordKind = RecordKind::of("test");
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A store's folder with a simulated disk under its log.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) disk: SimFiles,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            disk: SimFiles::default(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The trees of the index, while nobody has the store open.
    pub(crate) fn trees(&self) -> ::sled::Db {
        let config = ::sled::Config::new().path(self.path().join("index"));
        config.use_compression(false).open().unwrap()
    }

    pub(crate) async fn open(&self) -> Sled {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<Sled, OpenError> {
        Sled::open_on(&self.path(), options(), Arc::new(self.disk.clone())).await
    }
}

/// Small segments and no reserve.
pub(crate) fn options() -> SledOptions {
    let mut options = SledOptions::new(NOW);
    options.program = "dormouse test".to_owned();
    options.segment_bytes = 16 * 1024;
    options.reserve_bytes = 0;
    options
}

pub(crate) async fn open_at(path: &Path) -> Result<Sled, OpenError> {
    Sled::open(path, options()).await
}

pub(crate) fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

pub(crate) fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

pub(crate) fn log() -> Stream {
    Stream::new(key("log"))
}

pub(crate) fn lane(name: &str) -> Lane {
    Lane::Tenant(Segment::parse(name).unwrap())
}

/// A create, and an append that says so.
pub(crate) fn create(name: &str, value: &str) -> Batch {
    let mut batch = Batch::new(Lane::System);
    batch.put(key(name), Expected::Absent, KIND, value.to_owned());
    batch.append(log(), name.to_owned());
    batch
}

pub(crate) async fn commit(store: &Sled, batch: Batch) -> Result<Committed, CommitError> {
    store.commit(batch, soon()).await
}

pub(crate) async fn created(store: &Sled, name: &str, value: &str) -> Version {
    commit(store, create(name, value)).await.unwrap().version.unwrap()
}

/// Records and log entries, all of them, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) records: Vec<(String, String, Version)>,
    pub(crate) entries: Vec<(Position, Version, String)>,
}

pub(crate) async fn content(store: &dyn RecordStore) -> Content {
    try_content(store).await.expect("the store answers")
}

/// None when a read was refused.
pub(crate) async fn try_content(store: &dyn RecordStore) -> Option<Content> {
    use dormouse_filesystem::Item;
    let mut page = Page::of(Prefix::root());
    let mut records = Vec::new();
    loop {
        let listed = store.list(&page).await.ok()?;
        for item in listed.items {
            let Item::Entry(entry) = item else { return None };
            let value = String::from_utf8(entry.value.to_vec()).unwrap();
            records.push((entry.key.to_string(), value, entry.version));
        }
        page.after = listed.next;
        if page.after.is_none() {
            break;
        }
    }
    let mut entries = Vec::new();
    let mut after = Position::new(store.head(&log()).await.ok()?.first.get() - 1);
    loop {
        let tail = store.tail(&log(), after, 1000).await.ok()?;
        let Some(last) = tail.last() else { break };
        after = last.position;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        entries.extend(tail.iter().map(|e| (e.position, e.version, text(&e.entry))));
    }
    Some(Content { records, entries })
}
