//! What was seen, held against what is there after a crash: the read rule, where a writer's word is not enough.
//!
//! Writers change records, append and truncate; readers look in every way there is, also while the store fails, and
//! remember the newest that they saw of each thing. Nothing of it may be older, or gone, when the store is opened again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dormouse_filesystem::{
    Batch, CommitError, Deadline, Entry, Expected, Hint, Item, Key, Lane, LogError, Logged, Page, Position,
    Prefix, ReadError, RecordKind, RecordStore, Stream, Version,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const KIND: RecordKind = RecordKind::of("seen");
const WRITERS: usize = 3;
const READERS: usize = 3;
/// Records of one writer.
const RECORDS: usize = 4;
/// How often a writer goes on after it was told that a store is busy.
const BUSY_MAX: u32 = 20;
/// Entries that a log keeps at least when it is truncated.
const KEPT: u64 = 20;

fn key(path: &str) -> Key {
    Key::parse(path).unwrap()
}

fn record(writer: usize, n: usize) -> Key {
    key(&format!("w/{writer}/{n}"))
}

/// A record that is made once and never again changed.
fn single(writer: usize, n: u64) -> String {
    format!("single/{writer}/{n}/made")
}

fn log() -> Stream {
    Stream::new(key("log"))
}

/// As long as a writer asks a server that is gone.
fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}

/// What writers tried that takes something away, said before they try it.
#[derive(Debug, Default)]
struct Tried {
    /// The highest version at which a record was to be removed.
    removals: Mutex<BTreeMap<Key, Version>>,
    /// The highest position up to which the log was to be truncated.
    truncated: AtomicU64,
    /// Single records of which writers were not told whether they were made: a hint at one says no more than "look".
    unknown: Mutex<BTreeSet<String>>,
    /// Commits that writers were told of.
    done: AtomicU64,
    is_over: AtomicBool,
}

/// The newest that one reader saw of each thing.
#[derive(Debug, Default)]
struct Seen {
    records: BTreeMap<Key, (Version, Bytes)>,
    /// Records that were seen, and then seen to be gone.
    gone: BTreeMap<Key, Version>,
    entries: BTreeMap<Position, (Version, Bytes)>,
    first: Option<Position>,
    /// Single records of which something was heard, and those that were read then.
    hinted: BTreeSet<String>,
    read: BTreeSet<String>,
}

impl Seen {
    fn entry(&mut self, entry: Entry) {
        if let Some(gone) = self.gone.remove(&entry.key) {
            assert!(entry.version > gone, "{} came back as it was", entry.key);
        }
        let (key, now) = (entry.key, (entry.version, entry.value));
        if let Some(before) = self.records.insert(key.clone(), now.clone()) {
            assert!(
                before.0 < now.0 || before == now,
                "{key}: {before:?}, then {now:?}"
            );
        }
    }

    fn none(&mut self, key: &Key) {
        if let Some((version, _)) = self.records.remove(key) {
            self.gone.insert(key.clone(), version);
        }
    }

    fn logged(&mut self, logged: Logged) {
        let now = (logged.version, logged.entry);
        let before = self.entries.insert(logged.position, now.clone());
        assert!(before.is_none_or(|before| before == now), "{}", logged.position);
    }

    fn first(&mut self, first: Position) {
        assert!(self.first <= Some(first), "{:?}, then {first}", self.first);
        self.first = Some(first);
    }

    /// Looks once, in one of the ways there are. What is refused tells nothing.
    async fn look(&mut self, store: &dyn RecordStore, random: &mut StdRng) {
        drop(self.try_look(store, random).await);
    }

    async fn try_look(&mut self, store: &dyn RecordStore, random: &mut StdRng) -> Result<(), ReadError> {
        let writer = random.random_range(0..WRITERS);
        match random.random_range(0..5_u8) {
            0 => {
                let name = record(writer, random.random_range(0..RECORDS));
                match store.get(&name).await? {
                    Some(entry) => self.entry(entry),
                    None => self.none(&name),
                }
            }
            1 => {
                let names: Vec<Key> = (0..RECORDS).map(|n| record(writer, n)).collect();
                for (name, found) in names.iter().zip(store.get_many(&names).await?) {
                    match found {
                        Some(entry) => self.entry(entry),
                        None => self.none(name),
                    }
                }
            }
            2 => self.list(store, writer).await?,
            3 => drop(self.head(store).await),
            _ => {
                let last = self.entries.keys().next_back().map_or(0, |last| last.get());
                let after = self.first.map_or(0, |first| first.get() - 1).max(last);
                match store.tail(&log(), Position::new(after), 50).await {
                    Ok(found) => found.into_iter().for_each(|logged| self.logged(logged)),
                    // Somebody truncated it to behind what was seen.
                    Err(LogError::ReplayGap { first, .. }) => self.first(first),
                    Err(_) => {}
                }
            }
        }
        Ok(())
    }

    async fn list(&mut self, store: &dyn RecordStore, writer: usize) -> Result<(), ReadError> {
        let page = Page::of(Prefix::parse(&format!("w/{writer}")).unwrap());
        let mut missing: BTreeSet<Key> = (0..RECORDS).map(|n| record(writer, n)).collect();
        for item in store.list(&page).await?.items {
            let Item::Entry(entry) = item else {
                panic!("{item:?}");
            };
            missing.remove(&entry.key);
            self.entry(entry);
        }
        missing.iter().for_each(|name| self.none(name));
        Ok(())
    }

    async fn head(&mut self, store: &dyn RecordStore) -> Result<(), LogError> {
        let head = store.head(&log()).await?;
        if head.incarnation.is_some() {
            self.first(head.first);
        }
        Ok(())
    }

    /// Holds all of it against a store that was opened again.
    async fn is_there(&self, store: &dyn RecordStore, tried: &Tried, what: &str) {
        let removals = tried.removals.lock().unwrap().clone();
        for (name, (version, value)) in &self.records {
            match store.get(name).await.unwrap() {
                Some(now) if now.version == *version => assert_eq!(now.value, value, "{what}: {name}"),
                Some(now) => assert!(now.version > *version, "{what}: {name} is older than was seen"),
                None => assert!(
                    removals.get(name).is_some_and(|removed| removed >= version),
                    "{what}: {name} was seen, and is gone"
                ),
            }
        }
        for (name, version) in &self.gone {
            let now = store.get(name).await.unwrap();
            assert!(
                now.is_none_or(|now| now.version > *version),
                "{what}: {name} was seen to be gone, and is there again"
            );
        }
        let unknown = tried.unknown.lock().unwrap().clone();
        for name in self.hinted.difference(&unknown).chain(&self.read) {
            let now = store.get(&key(name)).await.unwrap();
            assert!(now.is_some(), "{what}: {name} was hinted, and is not there");
        }
        let head = store.head(&log()).await.unwrap();
        assert!(
            self.first <= Some(head.first),
            "{what}: truncated, and is there again"
        );
        let truncated = tried.truncated.load(Ordering::Acquire);
        assert!(
            head.first.get() <= truncated.max(1),
            "{what}: nobody truncated it to {}",
            head.first
        );
        for (position, seen) in self.entries.range(head.first..) {
            let before = Position::new(position.get() - 1);
            let now = store.tail(&log(), before, 1).await.unwrap();
            assert_eq!(
                (now[0].version, &now[0].entry),
                (seen.0, &seen.1),
                "{what}: {position}"
            );
        }
    }
}

/// Writes until it is refused, or has written enough. Who is told nothing does not know; who saw something does.
async fn write(store: &dyn RecordStore, tried: &Tried, writer: usize, commits: u64, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut known: Vec<Option<Version>> = vec![None; RECORDS];
    let (mut n, mut busy) = (0, 0);
    while n < commits && busy < BUSY_MAX {
        let at = random.random_range(0..RECORDS);
        let name = record(writer, at);
        let mut batch = Batch::new(Lane::System);
        match known[at] {
            Some(version) if random.random_range(0..4) == 0 => {
                tried.removals.lock().unwrap().insert(name.clone(), version);
                batch.delete(name, version);
                known[at] = None;
            }
            version => {
                let expected = version.map_or(Expected::Absent, Expected::At);
                batch.put(
                    name,
                    expected,
                    KIND,
                    format!("{n} {}", "x".repeat(random.random_range(0..900))),
                );
                known[at] = Some(Version::new(0));
            }
        }
        batch.append(log(), format!("{writer} {n}"));
        batch.put(key(&single(writer, n)), Expected::Absent, KIND, "");
        match store.commit(batch, soon()).await {
            Ok(committed) => {
                known[at] = known[at].and(committed.version);
                tried.done.fetch_add(1, Ordering::Relaxed);
            }
            Err(CommitError::Busy { .. }) => {
                known = forget(store, writer).await;
                busy += 1;
                continue;
            }
            Err(error) => {
                if matches!(error, CommitError::Indeterminate { .. }) {
                    tried.unknown.lock().unwrap().insert(single(writer, n));
                }
                return;
            }
        }
        n += 1;
        if n % 16 == 0 && truncate(store, tried).await.is_err() {
            return;
        }
    }
}

/// What is there of its records, where it is not known.
async fn forget(store: &dyn RecordStore, writer: usize) -> Vec<Option<Version>> {
    let names: Vec<Key> = (0..RECORDS).map(|n| record(writer, n)).collect();
    let found = store
        .get_many(&names)
        .await
        .unwrap_or_else(|_| vec![None; RECORDS]);
    found
        .into_iter()
        .map(|entry| entry.map(|entry| entry.version))
        .collect()
}

async fn truncate(store: &dyn RecordStore, tried: &Tried) -> Result<(), LogError> {
    let head = store.head(&log()).await?;
    let before = head.next.get().saturating_sub(KEPT).max(1);
    tried.truncated.fetch_max(before, Ordering::AcqRel);
    store.truncate(&log(), Position::new(before)).await.map(drop)
}

/// Hears of single records, each when it is made.
async fn hear(store: &dyn RecordStore, tried: &Tried, writer: usize) -> Seen {
    let mut seen = Seen::default();
    for n in 0.. {
        let name = single(writer, n);
        let prefix = Prefix::parse(&format!("single/{writer}/{n}")).unwrap();
        let Ok(mut watch) = store.watch(&prefix).await else {
            return seen;
        };
        match store.get(&key(&name)).await {
            Ok(Some(_)) => {
                seen.read.insert(name);
                continue;
            }
            Ok(None) => {}
            Err(_) => return seen,
        }
        // Nothing else is ever made below its prefix.
        loop {
            match tokio::time::timeout(Duration::from_millis(5), watch.next()).await {
                Ok(Some(Hint::Changed)) => {
                    seen.hinted.insert(name);
                    break;
                }
                Ok(Some(Hint::Missed)) => break,
                Ok(None) => return seen,
                Err(_) if tried.is_over.load(Ordering::Acquire) => return seen,
                Err(_) => {}
            }
        }
    }
    seen
}

/// Writers and readers at work on a store until the writers have ended, one way or the other.
pub(crate) struct Work {
    tried: Arc<Tried>,
    seen: Vec<Seen>,
}

impl Work {
    /// Works so many commits a writer, fewer when the store fails. `crash` is run beside, and told how many commits
    /// are done.
    pub(crate) async fn on<C>(
        store: &Arc<dyn RecordStore>,
        commits: u64,
        seed: u64,
        crash: impl FnOnce(Arc<dyn Fn() -> u64 + Send + Sync>) -> C,
    ) -> Self
    where
        C: Future<Output = ()>,
    {
        let tried = Arc::new(Tried::default());
        let mut readers = Vec::new();
        for reader in 0..READERS as u64 {
            let (store, tried) = (Arc::clone(store), Arc::clone(&tried));
            readers.push(tokio::spawn(async move {
                let mut random = StdRng::seed_from_u64(seed ^ (reader + 1) << 32);
                let mut seen = Seen::default();
                while !tried.is_over.load(Ordering::Acquire) {
                    seen.look(&*store, &mut random).await;
                    tokio::task::yield_now().await;
                }
                // What shows only now, behind the failure, counts too.
                for _ in 0..20 {
                    seen.look(&*store, &mut random).await;
                }
                seen
            }));
        }
        for writer in 0..WRITERS {
            let (store, tried) = (Arc::clone(store), Arc::clone(&tried));
            readers.push(tokio::spawn(async move { hear(&*store, &tried, writer).await }));
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, tried) = (Arc::clone(store), Arc::clone(&tried));
                let seed = seed.wrapping_mul(31) + writer as u64;
                tokio::spawn(async move { write(&*store, &tried, writer, commits, seed).await })
            })
            .collect();
        let count = Arc::clone(&tried);
        crash(Arc::new(move || count.done.load(Ordering::Relaxed))).await;
        for writer in writers {
            writer.await.unwrap();
        }
        tried.is_over.store(true, Ordering::Release);
        let mut seen = Vec::new();
        for reader in readers {
            seen.push(reader.await.unwrap());
        }
        Self { tried, seen }
    }

    /// Holds what was seen against the store, opened again.
    pub(crate) async fn is_there(&self, store: &dyn RecordStore, what: &str) {
        for seen in &self.seen {
            seen.is_there(store, &self.tried, what).await;
        }
    }

    /// How many things were seen: so that a test knows that it has tried something.
    pub(crate) fn count(&self) -> usize {
        let count =
            |seen: &Seen| seen.records.len() + seen.entries.len() + seen.hinted.len() + seen.read.len();
        self.seen.iter().map(count).sum()
    }
}
