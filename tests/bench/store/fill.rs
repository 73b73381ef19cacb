//! Many records, each a commit of its own as a store's work is: what is read later is as long as a record.

use std::ops::Range;
use std::sync::Arc;

use dormouse_filesystem::{Expected, GET_MANY_MAX, Key, RecordStore};
use futures::{StreamExt, stream};
use tokio::task::JoinSet;

use crate::load;

/// Tasks that write.
const TASKS: u64 = 8;
/// Commits of a task on the way at once.
const AT_ONCE: usize = 64;

/// The key of a record, in the order of their numbers.
pub(crate) fn key(record: u64) -> Key {
    load::key(&format!("{record:07}"))
}

/// Creates so many records.
pub(crate) async fn fill(store: &Arc<dyn RecordStore>, count: u64) {
    in_tasks(store, count, |store, records| async move {
        let commits = stream::iter(records).map(|record| load::put(&*store, key(record), Expected::Absent));
        commits.buffer_unordered(AT_ONCE).collect::<()>().await;
    })
    .await;
}

/// Replaces so many.
pub(crate) async fn rewrite(store: &Arc<dyn RecordStore>, count: u64) {
    in_tasks(store, count, |store, records| async move {
        let records: Vec<u64> = records.collect();
        for records in records.chunks(GET_MANY_MAX) {
            let keys: Vec<Key> = records.iter().copied().map(key).collect();
            let read = store.get_many(&keys).await.expect("the store can be read");
            let commits = stream::iter(keys.into_iter().zip(read)).map(|(key, entry)| {
                let expected = entry.map_or(Expected::Absent, |entry| Expected::At(entry.version));
                load::put(&*store, key, expected)
            });
            commits.buffer_unordered(AT_ONCE).collect::<()>().await;
        }
    })
    .await;
}

/// Shares the records among tasks, and waits for them.
async fn in_tasks<F>(
    store: &Arc<dyn RecordStore>,
    count: u64,
    write: impl Fn(Arc<dyn RecordStore>, Range<u64>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let share = count.div_ceil(TASKS);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let records = (task * share).min(count)..((task + 1) * share).min(count);
        tasks.spawn(write(Arc::clone(store), records));
    }
    tasks.join_all().await;
}
