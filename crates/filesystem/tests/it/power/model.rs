//! What a store must hold: records and logs, after random batches.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_filesystem::{
    Batch, Entry, Expected, Item, Key, Page, Position, Prefix, RecordKind, RecordStore, Stream, Version,
};
use rand::RngExt;
use rand::rngs::StdRng;

const KIND: RecordKind = RecordKind::of("test");
pub(crate) const LOGS: usize = 3;

fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

/// Names that lie below one another: `k/1`, `k/1/b`, `k/1/b/c`.
fn name(n: usize) -> String {
    format!("k/{}{}", n / 3, ["", "/b", "/b/c"][n % 3])
}

/// What was acknowledged, and what was tried last and may or may not have been done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) records: BTreeMap<String, (Version, Vec<u8>)>,
    /// First position and entries of each log.
    pub(crate) logs: BTreeMap<usize, (u64, Vec<Vec<u8>>)>,
}

pub(crate) fn log(n: usize) -> Stream {
    Stream::new(key(&format!("log/{n}")))
}

/// All that a store shows.
pub(crate) async fn shown(store: &dyn RecordStore) -> Known {
    let mut known = Known::default();
    let mut page = Page::of(Prefix::root());
    loop {
        let listed = store.list(&page).await.unwrap();
        for item in listed.items {
            let Item::Entry(Entry {
                key, value, version, ..
            }) = item
            else {
                panic!("{item:?}");
            };
            known.records.insert(key.to_string(), (version, value.to_vec()));
        }
        page.after = listed.next;
        if page.after.is_none() {
            break;
        }
    }
    for n in 0..LOGS {
        let head = store.head(&log(n)).await.unwrap();
        if head.incarnation.is_none() {
            continue;
        }
        let mut entries = Vec::new();
        let mut after = Position::new(head.first.get() - 1);
        loop {
            let tail = store.tail(&log(n), after, 100).await.unwrap();
            let Some(last) = tail.last() else { break };
            after = last.position;
            entries.extend(tail.into_iter().map(|logged| logged.entry.to_vec()));
        }
        assert_eq!(
            head.next.get(),
            head.first.get() + entries.len() as u64,
            "log {n}"
        );
        let bytes: usize = entries.iter().map(Vec::len).sum();
        assert_eq!(head.bytes, bytes as u64, "log {n}");
        known.logs.insert(n, (head.first.get(), entries));
    }
    known
}

/// A batch over what is known, and what is known after it.
pub(crate) fn next(random: &mut StdRng, known: &Known, keys: usize) -> (Batch, Known) {
    let (mut batch, mut after) = (Batch::default(), known.clone());
    let mut names: Vec<String> = (0..keys).map(name).collect();
    for _ in 0..random.random_range(1..5) {
        let name = names.swap_remove(random.random_range(0..names.len()));
        let value = vec![random.random::<u8>(); random.random_range(0..900)];
        match known.records.get(&name) {
            Some((version, _)) if random.random_range(0..8) == 0 => {
                batch.delete(key(&name), *version);
                after.records.remove(&name);
            }
            at => {
                let expected = at.map_or(Expected::Absent, |(version, _)| Expected::At(*version));
                batch.put(key(&name), expected, KIND, value.clone());
                // Its version is filled in once it is known.
                after.records.insert(name, (Version::new(0), value));
            }
        }
    }
    let n = random.random_range(0..LOGS);
    let entry = vec![random.random::<u8>(); random.random_range(0..300)];
    batch.append(log(n), entry.clone());
    after.logs.entry(n).or_insert((1, Vec::new())).1.push(entry);
    (batch, after)
}

impl Known {
    /// What was tried was done, at this version.
    pub(crate) fn fill_in(&mut self, version: Version) {
        for (found, _) in self.records.values_mut() {
            if found.get() == 0 {
                *found = version;
            }
        }
    }

    /// Where a store shows something else, in words.
    pub(crate) fn differences(&self, shown: &Self) -> String {
        let mut words = Vec::new();
        let names: BTreeSet<&String> = self.records.keys().chain(shown.records.keys()).collect();
        for name in names {
            let [known, shown] = [&self.records, &shown.records].map(|records| records.get(name));
            if known != shown {
                let of = |record: Option<&(Version, Vec<u8>)>| {
                    record.map(|(version, value)| (version.get(), value.len(), value.first().copied()))
                };
                words.push(format!("{name}: {:?}, shown {:?}", of(known), of(shown)));
            }
        }
        let logs: BTreeSet<&usize> = self.logs.keys().chain(shown.logs.keys()).collect();
        for n in logs {
            let [known, shown] = [&self.logs, &shown.logs].map(|logs| logs.get(n));
            if known != shown {
                let of =
                    |log: Option<&(u64, Vec<Vec<u8>>)>| log.map(|(first, entries)| (*first, entries.len()));
                words.push(format!("log {n}: {:?}, shown {:?}", of(known), of(shown)));
            }
        }
        words.join("; ")
    }

    /// Whether a store shows this, whatever version what was tried last was given.
    pub(crate) fn is(&self, shown: &Self) -> bool {
        let same = |(name, (version, value)): (&String, &(Version, Vec<u8>))| {
            let there = shown.records.get(name);
            there.is_some_and(|(at, found)| found == value && (at == version || version.get() == 0))
        };
        self.logs == shown.logs && self.records.len() == shown.records.len() && self.records.iter().all(same)
    }
}
