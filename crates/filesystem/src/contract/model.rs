//! Random histories, compared step by step with a model of maps and vectors.
//!
//! The seed is in every assertion; [`history`] runs one again.

use std::collections::BTreeMap;

use super::Harness;
use super::kit::{KIND, batch, commit, fresh_seed, key, log, prefix, seeded};
use crate::{
    Batch, CommitError, Expected, Failed, Item, Key, LogError, LogHead, Logged, Order, Page, Position,
    Predecessor, RecordStore, Version, Want,
};

const STEPS: usize = 300;
const KEYS: u64 = 8;
const LOGS: u64 = 3;

/// Random histories are those of the model.
pub async fn a_random_history_is_the_models<H: Harness>(harness: H) {
    history(&*harness.open().await, fresh_seed()).await;
}

/// One history, over an empty store.
///
/// # Panics
/// When the store differs from the model; the text has the seed.
pub async fn history(store: &dyn RecordStore, seed: u64) {
    let mut random = seeded(seed);
    let mut model = Model::default();
    for step in 0..STEPS {
        model
            .step(store, &mut random, &format!("seed {seed}, step {step}"))
            .await;
    }
}

/// One history, over an empty store, of whatever is chosen, until there is no more to choose from.
pub(super) async fn chosen(
    store: &dyn RecordStore,
    mut choose: impl FnMut(u64) -> u64,
    is_at_end: impl Fn() -> bool,
) {
    let mut model = Model::default();
    for step in (0..STEPS).take_while(|_| !is_at_end()) {
        model.step(store, &mut choose, &format!("step {step}")).await;
    }
}

/// What a store is, in the simplest terms.
#[derive(Default)]
struct Model {
    records: BTreeMap<Key, (Version, Vec<u8>)>,
    /// Every version a key ever had: stale ones to guess with.
    past: BTreeMap<Key, Vec<Version>>,
    logs: BTreeMap<u64, ModelLog>,
    last: Option<Version>,
}

#[derive(Default)]
struct ModelLog {
    incarnation: Option<Version>,
    predecessor: Option<Predecessor>,
    /// The position before that of its first entry ever.
    begin: u64,
    dropped: usize,
    entries: Vec<(Version, Vec<u8>)>,
}

fn record_key(n: u64) -> Key {
    key(["r/a", "r/a/b", "r/a/b/c", "r/a-b", "r/ab", "r/b.c", "q/a", "z"][usize::try_from(n).expect("small")])
}

fn log_name(n: u64) -> crate::Stream {
    log(["r/a", "r/log", "s/log"][usize::try_from(n).expect("small")])
}

fn number_of(log: &crate::Stream) -> u64 {
    (0..LOGS).find(|n| log_name(*n) == *log).expect("one of ours")
}

impl Model {
    async fn step(&mut self, store: &dyn RecordStore, random: &mut impl FnMut(u64) -> u64, at: &str) {
        match random(10) {
            0..=4 => self.commits(store, random, at).await,
            5 => self.reads(store, random, at).await,
            6..=7 => self.lists(store, random, at).await,
            8 => self.tails(store, random, at).await,
            _ => self.truncates(store, random, at).await,
        }
    }

    async fn commits(&mut self, store: &dyn RecordStore, random: &mut impl FnMut(u64) -> u64, at: &str) {
        let batch = self.batch(random);
        if batch.operations() == 0 {
            return;
        }
        let expected_failures = self.failures(&batch);
        match commit(store, batch.clone()).await {
            Ok(committed) => {
                assert_eq!(expected_failures, [], "{at}: done, though {batch:?}");
                self.apply(&batch, committed.version, &committed.positions, at);
            }
            Err(CommitError::Conflict { failed }) => assert_eq!(failed, expected_failures, "{at}"),
            Err(other) => panic!("{at}: {other}"),
        }
    }

    /// A batch of distinct keys, mostly of right expectations.
    fn batch(&self, random: &mut impl FnMut(u64) -> u64) -> Batch {
        let mut batch = batch();
        for n in 0..KEYS {
            let key = record_key(n);
            let expected = self.guess(&key, random);
            match (random(8), expected) {
                (0, expected) => {
                    batch.check(key, expected);
                }
                (1 | 2, expected) => {
                    let length = usize::try_from(random(64)).expect("small");
                    let byte = u8::try_from(random(256)).expect("a byte");
                    batch.put(key, expected, KIND, vec![byte; length]);
                }
                (3, Expected::At(version)) => {
                    batch.delete(key, version);
                }
                _ => {}
            }
        }
        if random(6) == 0 {
            let predecessor = (random(2) == 0).then(|| Predecessor {
                incarnation: Version::new(random(1000) + 1),
                next: Position::new(random(1000) + 1),
            });
            batch.begin(log_name(random(LOGS)), Position::new(random(50) + 1), predecessor);
        }
        for _ in 0..random(3) {
            let entry = random(1 << 40).to_le_bytes();
            batch.append(log_name(random(LOGS)), entry.to_vec());
        }
        batch
    }

    /// The right expectation, or once in ten a wrong one.
    fn guess(&self, key: &Key, random: &mut impl FnMut(u64) -> u64) -> Expected {
        let past = self.past.get(key).map_or(&[][..], Vec::as_slice);
        if random(10) == 0 {
            let some = past.get(usize::try_from(random(past.len() as u64 + 1)).expect("small"));
            return some.map_or(Expected::Absent, |version| Expected::At(*version));
        }
        let current = self.records.get(key);
        current.map_or(Expected::Absent, |(version, _)| Expected::At(*version))
    }

    fn failures(&self, batch: &Batch) -> Vec<Failed> {
        let failed = batch.keys().filter_map(|(key, expected)| {
            let actual = self.records.get(key).map(|(version, _)| *version);
            let holds = match expected {
                Expected::Absent => actual.is_none(),
                Expected::At(version) => actual == Some(version),
            };
            (!holds).then(|| Failed {
                key: key.clone(),
                actual,
            })
        });
        let begun = batch.begins.iter().filter_map(|begin| {
            let actual = self.logs.get(&number_of(&begin.log))?.incarnation?;
            Some(Failed {
                key: begin.log.key().clone(),
                actual: Some(actual),
            })
        });
        failed.chain(begun).collect()
    }

    fn apply(
        &mut self,
        batch: &Batch,
        version: Option<Version>,
        positions: &[(crate::Stream, Position)],
        at: &str,
    ) {
        assert_eq!(version.is_some(), batch.writes(), "{at}");
        let Some(version) = version else { return };
        assert!(self.last < Some(version), "{at}: {version} after {:?}", self.last);
        self.last = Some(version);
        for delete in &batch.deletes {
            self.records.remove(&delete.key);
        }
        for put in &batch.puts {
            self.records
                .insert(put.key.clone(), (version, put.value.to_vec()));
            self.past.entry(put.key.clone()).or_default().push(version);
        }
        let mut expected: Vec<(crate::Stream, Position)> = Vec::new();
        for begin in &batch.begins {
            let model = self.logs.entry(number_of(&begin.log)).or_default();
            model.incarnation = Some(version);
            model.predecessor = begin.predecessor;
            model.begin = begin.first.get() - 1;
        }
        for append in &batch.appends {
            let model = self.logs.entry(number_of(&append.log)).or_default();
            model.incarnation.get_or_insert(version);
            if expected.iter().all(|(log, _)| *log != append.log) {
                expected.push((append.log.clone(), model.head().next));
            }
            model.entries.push((version, append.entry.to_vec()));
        }
        assert_eq!(positions, expected, "{at}");
    }

    async fn reads(&self, store: &dyn RecordStore, random: &mut impl FnMut(u64) -> u64, at: &str) {
        let keys: Vec<Key> = (0..random(12)).map(|_| record_key(random(KEYS))).collect();
        let read = store.get_many(&keys).await.expect("the store answers");
        assert_eq!(read.len(), keys.len(), "{at}");
        for (key, entry) in keys.iter().zip(read) {
            let found = entry.map(|entry| (entry.version, entry.value.to_vec()));
            assert_eq!(found, self.records.get(key).cloned(), "{at}: {key}");
            let one = store.get(key).await.expect("the store answers");
            assert_eq!(
                one.map(|entry| entry.version),
                found.map(|(version, _)| version),
                "{at}: {key}"
            );
        }
    }

    async fn lists(&self, store: &dyn RecordStore, random: &mut impl FnMut(u64) -> u64, at: &str) {
        let under = prefix(["", "r", "r/a", "r/a/b", "unused"][usize::try_from(random(5)).expect("small")]);
        let order = if random(2) == 0 { Order::Up } else { Order::Down };
        let want = if random(2) == 0 { Want::Keys } else { Want::Entries };
        let after = (random(2) == 0).then(|| record_key(random(KEYS)));
        let limit = usize::try_from(random(5) + 1).expect("small");
        let page = Page {
            prefix: under,
            after,
            order,
            want,
            limit,
        };
        let listed = store.list(&page).await.expect("the store answers");
        let expected = self.page(&page);
        let found: Vec<_> = listed
            .items
            .iter()
            .map(|item| (item.key().clone(), version_of(item)))
            .collect();
        assert_eq!(found, expected[..limit.min(expected.len())], "{at}: {page:?}");
        assert_eq!(listed.next.is_none(), expected.len() <= limit, "{at}: {page:?}");
    }

    /// All that a page's question asks for, without its limit.
    fn page(&self, page: &Page) -> Vec<(Key, Version)> {
        let mut held: Vec<(Key, Version)> = self
            .records
            .iter()
            .filter(|(key, _)| page.prefix.holds(key))
            .filter(|(key, _)| match (&page.after, page.order) {
                (None, _) => true,
                (Some(after), Order::Up) => *key > after,
                (Some(after), Order::Down) => *key < after,
            })
            .map(|(key, (version, _))| (key.clone(), *version))
            .collect();
        if page.order == Order::Down {
            held.reverse();
        }
        held
    }

    async fn tails(&self, store: &dyn RecordStore, random: &mut impl FnMut(u64) -> u64, at: &str) {
        let n = random(LOGS);
        let none = ModelLog::default();
        let model = self.logs.get(&n).unwrap_or(&none);
        let head = store.head(&log_name(n)).await.expect("the store answers");
        assert_eq!(head, model.head(), "{at}");
        let after = Position::new(random(model.head().next.get() + 2));
        match store.tail(&log_name(n), after, 4).await {
            Ok(tail) => assert_eq!(Some(tail), model.tail(after, 4), "{at}: after {after}"),
            Err(LogError::ReplayGap { first, next }) => {
                assert_eq!((first, next), (head.first, head.next), "{at}");
                assert_eq!(None, model.tail(after, 4), "{at}: after {after}");
            }
            Err(other) => panic!("{at}: {other}"),
        }
    }

    async fn truncates(&mut self, store: &dyn RecordStore, random: &mut impl FnMut(u64) -> u64, at: &str) {
        let n = random(LOGS);
        let model = self.logs.entry(n).or_default();
        let head = model.head();
        // Mostly a little, so that entries are left to read.
        let before = Position::new(head.first.get() + random(3));
        match store.truncate(&log_name(n), before).await {
            Ok(first) => {
                assert!(before <= head.next, "{at}: truncated before {before} of {head:?}");
                assert_eq!(first, before, "{at}");
                model.dropped = usize::try_from(before.get() - 1 - model.begin).expect("small");
            }
            Err(LogError::ReplayGap { first, next }) => {
                assert_eq!((first, next), (head.first, head.next), "{at}");
                assert!(before > head.next, "{at}: refused before {before} of {head:?}");
            }
            Err(other) => panic!("{at}: {other}"),
        }
    }
}

impl ModelLog {
    fn head(&self) -> LogHead {
        let kept = self.entries[self.dropped..].iter();
        LogHead {
            incarnation: self.incarnation,
            first: Position::new(self.begin + self.dropped as u64 + 1),
            next: Position::new(self.begin + self.entries.len() as u64 + 1),
            bytes: kept.map(|(_, entry)| entry.len() as u64).sum(),
            predecessor: self.predecessor,
        }
    }

    /// None where there is a gap.
    fn tail(&self, after: Position, limit: usize) -> Option<Vec<Logged>> {
        let head = self.head();
        let is_within = after.next() >= head.first && after < head.next;
        let positions = after.get() + 1..head.next.get();
        is_within.then(|| positions.take(limit).map(|position| self.at(position)).collect())
    }

    fn at(&self, position: u64) -> Logged {
        let (version, entry) = &self.entries[usize::try_from(position - 1 - self.begin).expect("small")];
        Logged {
            position: Position::new(position),
            version: *version,
            entry: entry.clone().into(),
        }
    }
}

fn version_of(item: &Item) -> Version {
    match item {
        Item::Entry(entry) => entry.version,
        Item::Key { version, .. } => *version,
        Item::Corrupt { key } => panic!("{key} is damaged"),
    }
}
