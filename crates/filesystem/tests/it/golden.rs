//! Stores of each format there ever was, as they lay in their folders: they open, with all they had.
//!
//! `DORMOUSE_GOLDEN=write` makes those of this format that are not there; what is there is never written again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::{
    Batch, Deadline, Expected, Item, Key, Local, LocalOptions, Page, Position, Predecessor, Prefix,
    RecordKind, RecordStore, Sled, SledOptions, Stream, Version,
};
use jiff::{Timestamp, ToSpan};

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
const KIND: RecordKind = RecordKind::of("golden");
/// What a store must show, beside its folder.
const SHOWN: &str = "shown.txt";

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

fn log(name: &str) -> Stream {
    Stream::new(key(name))
}

async fn open(backend: &str, path: &Path, now: Timestamp) -> Arc<dyn RecordStore> {
    match backend {
        "sled" => {
            let options = SledOptions {
                segment_bytes: 2048,
                reserve_bytes: 0,
                ..SledOptions::new(now)
            };
            Arc::new(Sled::open(path, options).await.unwrap())
        }
        _ => {
            let options = LocalOptions {
                segment_bytes: 2048,
                reserve_bytes: 0,
                ..LocalOptions::new(now)
            };
            Arc::new(Local::open(path, options).await.unwrap())
        }
    }
}

/// Every kind of operation, and so many that the cleaner works.
async fn fill(store: &dyn RecordStore) {
    let predecessor = Predecessor {
        incarnation: Version::new(7),
        next: Position::new(5),
    };
    let mut batch = Batch::default();
    batch.begin(log("begun"), Position::new(5), Some(predecessor));
    batch.put(key("cold"), Expected::Absent, KIND, "written once");
    batch.put(key("nested/below/it"), Expected::Absent, KIND, vec![0, 1, 2, 255]);
    batch.put(key("gone"), Expected::Absent, KIND, "");
    batch.append(log("log"), "first");
    batch.append(log("begun"), "fifth");
    let mut at = store.commit(batch, soon()).await.unwrap().version.unwrap();
    let mut delete = Batch::default();
    delete.delete(key("gone"), at);
    store.commit(delete, soon()).await.unwrap();
    let mut expected = Expected::Absent;
    for n in 0..60 {
        let mut batch = Batch::default();
        batch.put(key("hot"), expected, KIND, format!("{n} {}", "x".repeat(200)));
        batch.append(log("log"), format!("entry {n}"));
        at = store.commit(batch, soon()).await.unwrap().version.unwrap();
        expected = Expected::At(at);
    }
    store.truncate(&log("log"), Position::new(50)).await.unwrap();
    let mut last = Batch::default();
    last.append(log("log"), "last");
    store.commit(last, soon()).await.unwrap();
}

async fn shown(store: &dyn RecordStore) -> String {
    let mut shown = String::new();
    for item in store.list(&Page::of(Prefix::root())).await.unwrap().items {
        let Item::Entry(entry) = item else {
            panic!("{item:?}")
        };
        let value = String::from_utf8_lossy(&entry.value).into_owned();
        writeln!(
            shown,
            "{} {} {} {value:?}",
            entry.key,
            entry.version,
            entry.kind.as_str()
        )
        .unwrap();
    }
    for (log, head) in store.heads(&Prefix::root(), None, 100).await.unwrap() {
        writeln!(shown, "{} {head:?}", log.key()).unwrap();
        let after = Position::new(head.first.get() - 1);
        for logged in store.tail(&log, after, 1000).await.unwrap() {
            writeln!(
                shown,
                "  {} {} {:?}",
                logged.position, logged.version, logged.entry
            )
            .unwrap();
        }
    }
    shown
}

/// Copies a store but for its index, which is of no format; the zeros ahead in its log are not kept.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name(), entry.path());
        if path.is_dir() {
            if name != "index" {
                copy(&path, &to.join(name));
            }
        } else if name != "LOCK" && name != SHOWN {
            let mut bytes = std::fs::read(&path).unwrap();
            if path.extension().is_some_and(|extension| extension == "seg") {
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
                bytes.truncate(end.next_multiple_of(8));
            }
            std::fs::write(to.join(name), bytes).unwrap();
        }
    }
}

fn golden(backend: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stores/1");
    folder.join(backend)
}

async fn make(backend: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(backend, &path, NOW).await;
    fill(&*store).await;
    let text = shown(&*store).await;
    store.close(soon()).await.unwrap();
    drop(store);
    copy(&path, &golden(backend));
    std::fs::write(golden(backend).join(SHOWN), text).unwrap();
}

/// FS-59, with the newer FORMAT in `sled/place.rs`. There is one format so far.
#[tokio::test(flavor = "multi_thread")]
async fn stores_of_every_format_open_with_all_they_had() {
    for backend in ["sled", "local"] {
        if !golden(backend).exists() && std::env::var("DORMOUSE_GOLDEN").is_ok_and(|what| what == "write") {
            make(backend).await;
        }
        let expected = std::fs::read_to_string(golden(backend).join(SHOWN)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        copy(&golden(backend), &path);
        let store = open(backend, &path, NOW + 1.hour()).await;
        assert_eq!(shown(&*store).await, expected, "{backend}");
        let mut batch = Batch::default();
        batch.put(key("new"), Expected::Absent, KIND, "");
        let version = store.commit(batch, soon()).await.unwrap().version.unwrap();
        assert!(
            !expected.contains(&version.to_string()),
            "{backend}: it is newer than all"
        );
        store.close(soon()).await.unwrap();
    }
}
