//! What the crash test once found, each made small.

use std::path::Path;
use std::time::Duration;

use dormouse_filesystem::{Deadline, Key, RecordKind, RecordStore, RecordStoreExt};
use dormouse_tests::store::{self, SEGMENT_BYTES};

const KIND: RecordKind = RecordKind::of("crash");

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn bytes(size: u64) -> Vec<u8> {
    vec![7; usize::try_from(size).expect("a value is small")]
}

async fn fill(folder: &Path, name: &str, size: u64) {
    let store = store::open(folder).await.expect("the store opens");
    let key = Key::parse(name).expect("a short plain name");
    store
        .create(key, KIND, bytes(size), deadline())
        .await
        .expect("there is room");
    store.close(deadline()).await.expect("an idle store closes");
}

/// A close without a write once said that the log ended with a version that no frame had. A segment begun right after
/// the next opening named it as the one before, and after a kill the log was called damaged.
#[tokio::test]
async fn a_store_opened_for_nothing_and_then_begun_with_a_new_segment_opens_again() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("store");
    fill(&path, "first", SEGMENT_BYTES * 3 / 4).await;
    let idle = store::open(&path).await.expect("the store opens");
    idle.close(deadline()).await.expect("an idle store closes");
    drop(idle);
    // Dropped as if killed, with its first frame in a new segment.
    let killed = store::open(&path).await.expect("the store opens");
    let second = Key::parse("second").unwrap();
    killed
        .create(second.clone(), KIND, bytes(SEGMENT_BYTES / 2), deadline())
        .await
        .expect("there is room");
    drop(killed);
    let store = store::open(&path).await.expect("the store opens after kill -9");
    assert!(store.get(&second).await.unwrap().is_some());
}
