//! What the tests of both embedded stores share.

use std::time::Duration;

use dormouse_filesystem::{
    Batch, CommitError, Committed, Deadline, Expected, Item, Key, Lane, Page, Position, Prefix, RecordKind,
    RecordStore, Stream, Version,
};

pub(crate) const KIND: RecordKind = RecordKind::of("test");
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

pub(crate) fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

pub(crate) fn log() -> Stream {
    Stream::new(key("log"))
}

/// A create, and an append that says so.
pub(crate) fn create(name: &str, value: &str) -> Batch {
    let mut batch = Batch::new(Lane::System);
    batch.put(key(name), Expected::Absent, KIND, value.to_owned());
    batch.append(log(), name.to_owned());
    batch
}

pub(crate) async fn commit(store: &dyn RecordStore, batch: Batch) -> Result<Committed, CommitError> {
    store.commit(batch, soon()).await
}

pub(crate) async fn created(store: &dyn RecordStore, name: &str, value: &str) -> Version {
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

/// A place for one of them, and how it is opened in tests.
macro_rules! place {
    ($store:ident, $options:ident, $now:expr) => {
        /// A store's folder with a simulated disk under its log.
        pub(crate) struct Place {
            pub(crate) folder: tempfile::TempDir,
            pub(crate) disk: crate::sim_files::SimFiles,
        }

        impl Place {
            pub(crate) fn new() -> Self {
                Self {
                    folder: tempfile::tempdir().unwrap(),
                    disk: crate::sim_files::SimFiles::default(),
                }
            }

            pub(crate) fn path(&self) -> std::path::PathBuf {
                self.folder.path().join("store")
            }

            pub(crate) async fn open(&self) -> $store {
                self.try_open().await.unwrap()
            }

            pub(crate) async fn try_open(&self) -> Result<$store, dormouse_filesystem::OpenError> {
                let files = std::sync::Arc::new(self.disk.clone());
                $store::open_on(&self.path(), options(), files).await
            }
        }

        /// Small segments and no reserve.
        pub(crate) fn options() -> $options {
            $options {
                program: "dormouse test".to_owned(),
                segment_bytes: 16 * 1024,
                reserve_bytes: 0,
                ..$options::new($now)
            }
        }

        pub(crate) async fn open_at(
            path: &std::path::Path,
        ) -> Result<$store, dormouse_filesystem::OpenError> {
            $store::open(path, options()).await
        }
    };
}
pub(crate) use place;
