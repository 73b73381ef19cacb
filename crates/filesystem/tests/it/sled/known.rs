//! Records that are read by who asks, without a reader thread: what is told of them is never old.

use std::collections::HashMap;
use std::sync::Arc;

use dormouse_filesystem::{Batch, Expected, Lane, RecordStore, Sled, Version};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::kit::{KIND, Place, commit, key, soon};

const WRITERS: usize = 4;
const KEYS: usize = 24;

fn name(writer: usize, number: usize) -> String {
    format!("w{writer}/{number:02}")
}

/// Puts or deletes a record of one's own; then it is as it was left.
async fn change(store: &Sled, own: &mut HashMap<String, Option<Version>>, name: String, random: &mut StdRng) {
    let at = own.get(&name).copied().flatten();
    let mut batch = Batch::new(Lane::System);
    let value = vec![b'x'; random.random_range(0..400)];
    match at {
        Some(version) if random.random_ratio(1, 4) => batch.delete(key(&name), version),
        Some(version) => batch.put(key(&name), Expected::At(version), KIND, value.clone()),
        None => batch.put(key(&name), Expected::Absent, KIND, value.clone()),
    };
    let puts = !batch.puts.is_empty();
    let version = commit(store, batch).await.unwrap().version;
    let left = version.filter(|_| puts);
    let found = store.get(&key(&name)).await.unwrap();
    assert_eq!(found.as_ref().map(|entry| entry.version), left, "{name}");
    assert!(
        found.is_none_or(|entry| entry.value == value),
        "{name} has other bytes"
    );
    own.insert(name, left);
}

/// How a key was seen last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    At(Version),
    /// Gone, behind this version: the highest it was seen at.
    GoneBehind(Version),
}

impl Seen {
    fn may_be_at(self, version: Version) -> bool {
        match self {
            Self::At(before) => before <= version,
            Self::GoneBehind(before) => before < version,
        }
    }
}

/// Versions of a key rise: one that was seen is never seen older, and one that was seen gone is never seen again.
///
/// Tells whether there was something to see.
async fn look(store: &Sled, seen: &mut HashMap<String, Seen>, name: String) -> bool {
    let found = store.get(&key(&name)).await.unwrap();
    let before = seen.get(&name).copied();
    let now = match (found, before) {
        (Some(entry), before) => {
            let at = entry.version;
            assert!(
                before.is_none_or(|before| before.may_be_at(at)),
                "{name}: {before:?}, then {at:?}"
            );
            Seen::At(at)
        }
        (None, Some(Seen::At(at) | Seen::GoneBehind(at))) => Seen::GoneBehind(at),
        (None, None) => return false,
    };
    seen.insert(name, now);
    matches!(now, Seen::At(_))
}

/// How many records were found by those who looked.
async fn write(store: Arc<Sled>, writer: usize, seed: u64) -> u64 {
    let mut random = StdRng::seed_from_u64(seed.wrapping_add(writer as u64));
    let (mut own, mut seen, mut found) = (HashMap::new(), HashMap::new(), 0);
    for _ in 0..300 {
        let number = random.random_range(0..KEYS);
        change(&store, &mut own, name(writer, number), &mut random).await;
        for _ in 0..4 {
            let another = name(random.random_range(0..WRITERS), random.random_range(0..KEYS));
            found += u64::from(look(&store, &mut seen, another).await);
        }
    }
    found
}

/// Records are written, deleted, moved by the cleaner and their segments removed while they are read.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_read_by_who_asks_is_never_older_than_what_was_acknowledged_or_seen() {
    let seed = rand::TryRng::try_next_u64(&mut rand::rngs::SysRng).unwrap();
    println!("seed {seed}");
    let place = Place::new();
    let store = Arc::new(place.open().await);
    let mut batch = Batch::new(Lane::System);
    batch.put(key("first"), Expected::Absent, KIND, "");
    commit(&store, batch).await.unwrap();
    let first = place.disk.segments();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(Arc::clone(&store), writer, seed));
    }
    let found: u64 = writers.join_all().await.into_iter().sum();
    let health = store.health().await;
    // The others came while the index was being changed, or a segment went.
    assert!(health.reads_at_once > found / 2, "of {found}: {health:?}");
    store.close(soon()).await.unwrap();
    let left = place.disk.segments();
    assert!(!left.contains(&first[0]), "{first:?}, then {left:?}");
}

/// A record that is damaged on the disk is not read around its checksum.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_that_is_known_is_corrupt() {
    let place = Place::new();
    let store = place.open().await;
    let mut batch = Batch::new(Lane::System);
    batch.put(key("a"), Expected::Absent, KIND, "a value to be found in the log");
    commit(&store, batch).await.unwrap();
    assert!(store.get(&key("a")).await.unwrap().is_some());
    assert_eq!(store.health().await.reads_at_once, 1);
    let segment = place.disk.segments().pop().unwrap();
    place.disk.damage(&segment, |bytes| {
        let at = bytes.windows(5).position(|window| window == b"found").unwrap();
        bytes[at] ^= 1;
    });
    let read = store.get(&key("a")).await;
    assert!(
        matches!(read, Err(dormouse_filesystem::ReadError::Corrupt { .. })),
        "{read:?}"
    );
}
