//! What the clauses share.

use std::time::Duration;

use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};

use crate::{
    Batch, CommitError, Committed, Deadline, Failed, Key, Lane, Position, Prefix, RecordKind, RecordStore,
    RecordStoreExt, Stream, Version,
};

pub(super) const KIND: RecordKind = RecordKind::of("contract");

pub(super) fn key(path: &str) -> Key {
    Key::parse(path).expect("the suite's names are legal")
}

pub(super) fn prefix(path: &str) -> Prefix {
    Prefix::parse(path).expect("the suite's names are legal")
}

pub(super) fn log(path: &str) -> Stream {
    Stream::new(key(path))
}

/// How long the suite waits for what must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Later than any commit of the suite takes.
pub(super) fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

pub(super) fn batch() -> Batch {
    Batch::new(Lane::System)
}

pub(super) async fn commit(store: &dyn RecordStore, batch: Batch) -> Result<Committed, CommitError> {
    store.commit(batch, soon()).await
}

pub(super) async fn create(store: &dyn RecordStore, path: &str, value: &str) -> Version {
    try_create(store, path, value).await.expect("the key is absent")
}

pub(super) async fn try_create(
    store: &dyn RecordStore,
    path: &str,
    value: &str,
) -> Result<Version, CommitError> {
    store.create(key(path), KIND, value.to_owned(), soon()).await
}

pub(super) async fn replace(
    store: &dyn RecordStore,
    path: &str,
    at: Version,
    value: &str,
) -> Result<Version, CommitError> {
    store.replace(key(path), at, KIND, value.to_owned(), soon()).await
}

pub(super) async fn delete(store: &dyn RecordStore, path: &str, at: Version) -> Result<Version, CommitError> {
    store.delete(key(path), at, soon()).await
}

pub(super) async fn append(store: &dyn RecordStore, path: &str, entry: &str) -> Position {
    store
        .append(log(path), entry.to_owned(), soon())
        .await
        .expect("an append has no precondition")
}

/// Numbers below a bound, from a seed.
pub(super) fn seeded(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    move |below| random.random_range(0..below)
}

/// A seed of the machine's, which whoever uses it tells in what it asserts.
pub(super) fn fresh_seed() -> u64 {
    SysRng.try_next_u64().expect("the machine has random bytes")
}

/// The value stored, as text; none when there is no record.
pub(super) async fn value(store: &dyn RecordStore, path: &str) -> Option<String> {
    let entry = store.get(&key(path)).await.expect("the store answers")?;
    Some(String::from_utf8(entry.value.to_vec()).expect("the suite's values are text"))
}

pub(super) async fn version(store: &dyn RecordStore, path: &str) -> Option<Version> {
    let entry = store.get(&key(path)).await.expect("the store answers");
    entry.map(|entry| entry.version)
}

/// The keys that a commit was refused for.
pub(super) fn conflict<T: std::fmt::Debug>(answer: Result<T, CommitError>) -> Vec<Failed> {
    match answer {
        Err(CommitError::Conflict { failed }) => failed,
        other => panic!("a conflict was expected: {other:?}"),
    }
}

/// A failed precondition, as the store has to name it.
pub(super) fn failed(path: &str, actual: Option<Version>) -> Failed {
    Failed {
        key: key(path),
        actual,
    }
}
