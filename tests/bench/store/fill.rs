//! Many records, written quickly: large batches, several on the way at once.

use std::sync::Arc;

use dormouse_filesystem::{Batch, Expected, GET_MANY_MAX, Key, Lane, RecordStore};
use futures::{StreamExt, stream};

use crate::load;

/// Records of a batch.
const BATCH: u64 = 1000;
/// Batches on the way at once.
const AT_ONCE: usize = 4;

/// The key of a record, in the order of their numbers.
pub(crate) fn key(record: u64) -> Key {
    load::key(&format!("{record:07}"))
}

/// Creates so many records.
pub(crate) async fn fill(store: &Arc<dyn RecordStore>, count: u64) {
    put_all(store, count, BATCH, async |keys| {
        vec![Expected::Absent; keys.len()]
    })
    .await;
}

/// Replaces so many.
pub(crate) async fn rewrite(store: &Arc<dyn RecordStore>, count: u64) {
    put_all(store, count, GET_MANY_MAX as u64, async |keys| {
        let read = store.get_many(keys).await.expect("the store can be read");
        let expected = read.into_iter().map(|entry| match entry {
            Some(entry) => Expected::At(entry.version),
            None => Expected::Absent,
        });
        expected.collect()
    })
    .await;
}

async fn put_all(
    store: &Arc<dyn RecordStore>,
    count: u64,
    at_once: u64,
    expect: impl AsyncFn(&[Key]) -> Vec<Expected>,
) {
    let expect = &expect;
    let starts = (0..count).step_by(at_once as usize);
    let commits = stream::iter(starts).map(|start| async move {
        let keys: Vec<Key> = (start..count.min(start + at_once)).map(key).collect();
        let expected = expect(&keys).await;
        let mut batch = Batch::new(Lane::System);
        for (key, expected) in keys.into_iter().zip(expected) {
            batch.put(key, expected, load::KIND, load::record().to_vec());
        }
        let committed = load::commit(&**store, batch).await;
        committed.expect("nobody else writes these keys");
    });
    commits.buffer_unordered(AT_ONCE).collect::<()>().await;
}
