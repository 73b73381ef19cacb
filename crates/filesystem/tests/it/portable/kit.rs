//! Stores of every backend, filled, and what is in them.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::portable::{self, ImportError, Summary};
use dormouse_filesystem::{
    Batch, Deadline, Expected, Item, Key, Lane, LogHead, Memory, PAGE_MAX, Position, Prefix, RecordKind,
    RecordStore, RecordStoreExt, Stream, Want,
};
use futures::StreamExt;
use jiff::Timestamp;

pub(super) const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
pub(super) const LATER: Timestamp = Timestamp::constant(1_790_000_100, 0);
pub(super) const KIND: RecordKind = RecordKind::of("note");

pub(super) fn key(path: &str) -> Key {
    Key::parse(path).unwrap()
}

pub(super) fn log(path: &str) -> Stream {
    Stream::new(key(path))
}

pub(super) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(120))
}

/// A place for a store.
pub(super) enum Place {
    Memory,
    #[cfg(feature = "local")]
    Local(tempfile::TempDir),
    #[cfg(feature = "sled")]
    Sled(tempfile::TempDir),
    #[cfg(feature = "postgres")]
    Postgres(crate::postgres::place::Place),
}

impl Place {
    /// One of each backend that this machine has.
    pub(super) fn each() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut places = vec![Self::Memory];
        #[cfg(feature = "local")]
        places.push(Self::Local(tempfile::tempdir().unwrap()));
        #[cfg(feature = "sled")]
        places.push(Self::Sled(tempfile::tempdir().unwrap()));
        #[cfg(feature = "postgres")]
        if crate::postgres::place::is_here() {
            places.push(Self::Postgres(crate::postgres::place::Place::default()));
        }
        places
    }

    pub(super) async fn open(&self, now: Timestamp) -> Arc<dyn RecordStore> {
        match self {
            Self::Memory => Arc::new(Memory::new(now)),
            #[cfg(feature = "local")]
            Self::Local(folder) => {
                let options = dormouse_filesystem::LocalOptions::new(now);
                let path = folder.path().join("store");
                Arc::new(dormouse_filesystem::Local::open(&path, options).await.unwrap())
            }
            #[cfg(feature = "sled")]
            Self::Sled(folder) => {
                let options = dormouse_filesystem::SledOptions::new(now);
                let path = folder.path().join("store");
                Arc::new(dormouse_filesystem::Sled::open(&path, options).await.unwrap())
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(place) => Arc::new(place.open(now).await),
        }
    }
}

/// Records of all sizes and kinds, and logs begun, truncated, continued and empty.
pub(super) async fn fill(store: &dyn RecordStore) {
    for round in 0..6_usize {
        let mut batch = Batch::new(Lane::System);
        for n in 0..60 {
            let place = ["a/b", "a/b-", "t/acme/a/x", "z"][n % 4];
            let value: Vec<u8> = (0..n * 3).map(|at| (at * 31 + round) as u8).collect();
            let kind = RecordKind::parse(["note", "task_1"][n % 2]).unwrap();
            batch.put(
                key(&format!("{place}/{round}-{n:03}")),
                Expected::Absent,
                kind,
                value,
            );
            batch.append(log(&format!("logs/{}", n % 7)), format!("{round} {n}"));
        }
        batch.append(log("logs/long"), vec![round as u8; 100 * 1024]);
        store.commit(batch, soon()).await.unwrap();
    }
    for n in 0..3_u8 {
        let mut large = Batch::new(Lane::System);
        large.put(
            key(&format!("large/{n}")),
            Expected::Absent,
            KIND,
            vec![n; 768 * 1024],
        );
        large.append(log("logs/long"), vec![n; 200 * 1024]);
        store.commit(large, soon()).await.unwrap();
    }
    let mut begins = Batch::new(Lane::System);
    begins
        .begin(log("logs/begun"), Position::new(40), None)
        .append(log("logs/begun"), "40")
        .begin(log("logs/empty"), Position::new(9), None);
    store.commit(begins, soon()).await.unwrap();
    for (name, before) in [("logs/3", 50), ("logs/4", 100), ("logs/begun", 41)] {
        let next = store.head(&log(name)).await.unwrap().next;
        store
            .truncate(&log(name), Position::new(before).min(next))
            .await
            .unwrap();
    }
    // Something that was there and is gone.
    let gone = store.create(key("gone"), KIND, "", soon()).await.unwrap();
    store.delete(key("gone"), gone, soon()).await.unwrap();
}

/// A log's entries, each at its position.
type Entries = Vec<(Position, Vec<u8>)>;

/// What an import keeps: all but versions and incarnations.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Kept {
    pub(super) records: Vec<(Key, RecordKind, Vec<u8>)>,
    pub(super) logs: Vec<(Stream, Position, Position, Entries)>,
}

/// Everything in a store, read as a reader reads it.
pub(super) async fn kept(store: &dyn RecordStore) -> Kept {
    let items = store.list_all(Prefix::root(), Want::Entries);
    let records = items.map(|item| match item.unwrap() {
        Item::Entry(entry) => (entry.key, entry.kind, entry.value.to_vec()),
        other => panic!("{other:?}"),
    });
    let mut kept = Kept {
        records: records.collect().await,
        logs: Vec::new(),
    };
    for (log, head) in heads(store).await {
        let (mut entries, mut after) = (Vec::new(), Position::new(head.first.get() - 1));
        // Ends at the log's end.
        loop {
            let tail = store.tail(&log, after, PAGE_MAX).await.unwrap();
            let Some(last) = tail.last() else { break };
            after = last.position;
            entries.extend(
                tail.into_iter()
                    .map(|logged| (logged.position, logged.entry.to_vec())),
            );
        }
        kept.logs.push((log, head.first, head.next, entries));
    }
    kept
}

pub(super) async fn heads(store: &dyn RecordStore) -> Vec<(Stream, LogHead)> {
    store.heads(&Prefix::root(), None, PAGE_MAX).await.unwrap()
}

pub(super) async fn export(store: &dyn RecordStore) -> (Vec<u8>, Summary) {
    let mut file = Vec::new();
    let written = portable::export(store, &Prefix::root(), &mut file, NOW)
        .await
        .unwrap();
    (file, written)
}

pub(super) async fn import(file: &[u8], store: &dyn RecordStore) -> Result<Summary, ImportError> {
    portable::import(&mut Cursor::new(file), store).await
}
