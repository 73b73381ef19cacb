//! The cleaner: the log stays within twice what is live, and nothing is lost on the way.

use std::collections::BTreeMap;

use dormouse_filesystem::{
    Batch, CommitError, Entry, Expected, Item, LogError, Page, Position, Prefix, RecordStore, Sled, Stream,
    Version,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::kit::{KIND, Place, commit, key, soon};
use crate::sim_files::SimFiles;

/// Bytes of a segment of the kit's stores.
const SEGMENT_BYTES: usize = 16 * 1024;
const LOGS: usize = 3;

/// What was acknowledged, and what was tried last and may or may not have been done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    records: BTreeMap<String, (Version, Vec<u8>)>,
    /// First position and entries of each log.
    logs: BTreeMap<usize, (u64, Vec<Vec<u8>>)>,
}

fn log(n: usize) -> Stream {
    Stream::new(key(&format!("log/{n}")))
}

async fn shown(store: &Sled) -> Known {
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
fn next(random: &mut StdRng, known: &Known, keys: usize) -> (Batch, Known) {
    let (mut batch, mut after) = (Batch::default(), known.clone());
    let mut names: Vec<String> = (0..keys).map(|n| format!("k/{n:03}")).collect();
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
    fn fill_in(&mut self, version: Version) {
        for (found, _) in self.records.values_mut() {
            if found.get() == 0 {
                *found = version;
            }
        }
    }

    /// Whether a store shows this, whatever version what was tried last was given.
    fn is(&self, shown: &Self) -> bool {
        let same = |(a, b): ((&String, &(Version, Vec<u8>)), (&String, &(Version, Vec<u8>)))| {
            a.0 == b.0 && a.1.1 == b.1.1 && (a.1.0 == b.1.0 || a.1.0.get() == 0)
        };
        self.logs == shown.logs
            && self.records.len() == shown.records.len()
            && self.records.iter().zip(&shown.records).all(same)
    }
}

fn log_bytes(disk: &SimFiles) -> usize {
    disk.bytes()
        .iter()
        .filter(|(name, _)| name.starts_with("log/"))
        .map(|(_, bytes)| bytes.len())
        .sum()
}

fn live_bytes(known: &Known) -> usize {
    let records = known
        .records
        .iter()
        .map(|(name, (_, value))| 20 + name.len() + value.len());
    let entries = known
        .logs
        .values()
        .flat_map(|(_, entries)| entries.iter().map(|entry| 29 + entry.len()));
    records.sum::<usize>() + entries.sum::<usize>()
}

/// Case 60 of filesystem.md, without kills.
#[tokio::test(flavor = "multi_thread")]
async fn ten_overwrites_of_all_stay_within_twice_what_is_live() {
    let place = Place::new();
    let mut random = StdRng::seed_from_u64(60);
    let mut known = Known::default();
    let store = place.open().await;
    let keys = 120;
    let mut most = 0;
    for round in 0..10 {
        for _ in 0..keys / 2 {
            let (batch, mut after) = next(&mut random, &known, keys);
            let committed = commit(&store, batch).await.unwrap();
            after.fill_in(committed.version.unwrap());
            known = after;
            most = most.max(log_bytes(&place.disk));
        }
        for n in 0..LOGS {
            let (first, entries) = known.logs.get_mut(&n).unwrap();
            let before = *first + entries.len() as u64 / 2;
            store.truncate(&log(n), Position::new(before)).await.unwrap();
            entries.drain(..usize::try_from(before - *first).unwrap());
            *first = before;
        }
        assert!(shown(&store).await == known, "round {round}");
    }
    store.close(soon()).await.unwrap();
    let (live, used) = (live_bytes(&known), log_bytes(&place.disk));
    assert!(
        used <= 2 * live + 4 * SEGMENT_BYTES,
        "{used} of {live} live; {most} at most"
    );
    let oldest = &place.disk.bytes()[&place.disk.segments()[0]];
    let number = u32::from_le_bytes(oldest[12..16].try_into().unwrap());
    assert!(number > 10, "the first of the log is segment {number}");
    drop(store);
    let store = place.open().await;
    assert!(shown(&store).await == known, "opened again");
    store.close(soon()).await.unwrap();
    drop(store);
    std::fs::remove_dir_all(place.path().join("index")).unwrap();
    let store = place.open().await;
    assert!(
        shown(&store).await == known,
        "rebuilt from what is left of the log"
    );
    assert!(
        store
            .health()
            .await
            .notices
            .iter()
            .any(|notice| notice.contains("rebuilt"))
    );
    store.close(soon()).await.unwrap();
    drop(store);
    place.disk.damage("checkpoint", |bytes| bytes[50] ^= 1);
    let store = place.open().await;
    assert!(shown(&store).await == known, "without a checkpoint");
}

/// Lives of a store with the cleaner at work, each ended by the power, a failed flush or a kill.
async fn live_through(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let place = Place::in_memory();
    let mut sure = Known::default();
    let mut maybe: Option<Known> = None;
    for life in 0..4 {
        let store = match place.try_open().await {
            Ok(store) => store,
            Err(error) => panic!("seed {seed} life {life}: {error}"),
        };
        let found = shown(&store).await;
        let is_done = maybe.as_ref().is_some_and(|maybe| maybe.is(&found));
        assert!(is_done || found == sure, "seed {seed} life {life}");
        sure = found;
        maybe = None;
        match random.random_range(0..8_u8) {
            0 => place.disk.fail_sync(random.random_range(0..60)),
            1..=6 => place.disk.light_fuse(random.random_range(0..500)),
            _ => {}
        }
        for _ in 0..random.random_range(0..120) {
            if random.random_range(0..20) == 0 {
                let n = random.random_range(0..LOGS);
                let Some((first, entries)) = sure.logs.get(&n).cloned() else {
                    continue;
                };
                let before = first + random.random_range(0..=entries.len() as u64);
                let mut after = sure.clone();
                let kept = entries[usize::try_from(before - first).unwrap()..].to_vec();
                after.logs.insert(n, (before, kept));
                match store.truncate(&log(n), Position::new(before)).await {
                    Ok(_) => sure = after,
                    Err(LogError::Commit(_)) => {
                        maybe = Some(after);
                        break;
                    }
                    Err(error) => panic!("seed {seed}: {error}"),
                }
                continue;
            }
            let (batch, mut after) = next(&mut random, &sure, 40);
            match commit(&store, batch).await {
                Ok(committed) => {
                    after.fill_in(committed.version.unwrap());
                    sure = after;
                }
                Err(CommitError::Indeterminate { .. }) => {
                    maybe = Some(after);
                    break;
                }
                Err(CommitError::Closed { .. }) => break,
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        if random.random_range(0..3_u8) == 0 {
            drop(store.close(soon()).await);
        }
        drop(store);
        if random.random_range(0..4_u8) > 0 {
            place.disk.cut_power(random.random());
        } else {
            place.disk.light_fuse(u64::MAX);
        }
    }
}

/// FS-54 with the cleaner at work. `SIM_SEED` begins elsewhere, `SIM_ROUNDS` makes it longer.
#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_while_the_cleaner_works_lose_nothing() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|number| number.parse::<u64>().ok())
    };
    let begin = number("SIM_SEED").unwrap_or(0);
    for seed in begin..begin + number("SIM_ROUNDS").unwrap_or(60) {
        live_through(seed).await;
    }
}
