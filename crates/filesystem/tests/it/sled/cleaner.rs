//! The cleaner: the log stays within twice what is live, and nothing is lost on the way.

use std::ops::Range;
use std::sync::Arc;

use dormouse_filesystem::commit_log::frame::{self, claimed_len};
use dormouse_filesystem::commit_log::segment::HEADER_BYTES;
use dormouse_filesystem::{
    Batch, CommitError, Expected, Lane, Position, RecordStore, Sled, SledOptions, State, Version,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::kit::{KIND, Place, commit, key, options, soon};
use crate::power::model::{Known, LOGS, log, next, shown};
use crate::sim_files::SimFiles;

/// Bytes of a segment of the kit's stores.
const SEGMENT_BYTES: usize = 16 * 1024;

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

/// FS-60, without kills, which the crash test has.
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

/// Writes one record, absent or at a version, and nothing beside it.
async fn try_put(
    store: &Sled,
    name: &str,
    at: Option<Version>,
    bytes: usize,
) -> Result<Option<Version>, CommitError> {
    let mut batch = Batch::new(Lane::System);
    let expected = at.map_or(Expected::Absent, Expected::At);
    batch.put(key(name), expected, KIND, vec![b'x'; bytes]);
    Ok(commit(store, batch).await?.version)
}

async fn put(store: &Sled, name: &str, at: Option<Version>, bytes: usize) -> Option<Version> {
    try_put(store, name, at, bytes).await.unwrap()
}

async fn bytes_of(store: &Sled, name: &str) -> Option<usize> {
    let entry = store.get(&key(name)).await.unwrap();
    entry.map(|entry| entry.value.len())
}

/// More than are compared before an opening ends.
const MANY: usize = 51_000;

/// Until it is known what an index lacks, a record of which it knows nothing does not pass for dead.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_cleaned_on_the_word_of_an_index_not_yet_compared() {
    let place = Place::new();
    // The oldest segment: what is beside the record in it will be dead.
    let store = place.open().await;
    put(&store, "kept", None, 7).await;
    let mut beside = put(&store, "beside", None, SEGMENT_BYTES).await;
    beside = put(&store, "beside", beside, SEGMENT_BYTES).await;
    assert!(place.disk.segments().len() > 1);
    drop(store);
    fill_unclean(&place, &mut beside).await;
    forget_the_last_record(&place, "kept");

    let store = place.open().await;
    // Ends with the comparison: a part of it goes with each commit.
    let refused = loop {
        match try_put(&store, "beside", beside, 100).await {
            Ok(version) => beside = version,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, CommitError::Closed { .. }), "{refused:?}");
    assert!(matches!(store.health().await.state, State::Closed { .. }));
    drop(store);

    let store = place.open().await;
    assert_eq!(bytes_of(&store, "kept").await, Some(7), "rebuilt");
    for _ in 0..20 {
        beside = put(&store, "beside", beside, SEGMENT_BYTES).await;
    }
    store.close(soon()).await.unwrap();
    drop(store);
    let store = place.open().await;
    assert_eq!(
        bytes_of(&store, "kept").await,
        Some(7),
        "its segment had gone without it"
    );
}

/// Takes the last record of all out of the block that it is in.
fn forget_the_last_record(place: &Place, name: &str) {
    const SPOT_BYTES: usize = 28;
    let index = place.trees();
    let records = index.open_tree("records").unwrap();
    let (begin, block) = records.last().unwrap().unwrap();
    // The block's keys begin with the same byte; the rest of this one stands behind its length.
    let rest = &name.as_bytes()[1..];
    let entry = rest.len() + 2 + SPOT_BYTES;
    let (others, last) = block.split_at(block.len() - entry);
    let len = u16::try_from(rest.len()).unwrap();
    assert_eq!(&last[..2], len.to_le_bytes());
    assert_eq!(&last[2..][..rest.len()], rest);
    records.insert(begin, others).unwrap();
    index.flush().unwrap();
}

/// Many records and more that is dead, in one long segment; the store is dropped.
async fn fill_unclean(place: &Place, beside: &mut Option<Version>) {
    let options = SledOptions {
        segment_bytes: 16 * 1024 * 1024,
        ..options()
    };
    let (path, files) = (place.path(), Arc::new(place.disk.clone()));
    let store = Sled::open_on(&path, options, files).await.unwrap();
    for part in 0..MANY / 1000 {
        let mut batch = Batch::new(Lane::System);
        for n in 0..1000 {
            batch.put(key(&format!("k/{part:02}/{n:03}")), Expected::Absent, KIND, "");
        }
        commit(&store, batch).await.unwrap();
    }
    for _ in 0..5 {
        *beside = put(&store, "beside", *beside, 700 * 1024).await;
    }
    assert!(place.disk.segments().len() < 4, "none of it was cleaned yet");
}

/// Where the frames of a segment lie.
fn frames(segment: &[u8]) -> Vec<Range<usize>> {
    let (mut at, mut found) = (HEADER_BYTES, Vec::new());
    while let Some(len) = claimed_len(&segment[at..]).filter(|len| *len > 0) {
        found.push(at..at + len);
        at += frame::aligned(len);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_lost_its_end_or_its_middle_does_not_pass_for_cleaned() {
    type Damage = (&'static str, bool, Range<usize>, fn(&mut Vec<u8>, &Range<usize>));
    let damages: [Damage; 3] = [
        ("whole", false, 0..9, |_, _| {}),
        // Zeros are what an end looks like; behind these, frames follow.
        ("zeros", true, 6..9, |bytes, frame| bytes[frame.clone()].fill(0)),
        ("cut short", true, 0..5, |bytes, frame| {
            bytes.truncate(frame.start);
        }),
    ];
    for (what, is_kept, readable, damage) in damages {
        let place = Place::new();
        let store = place.open().await;
        for n in 0..9 {
            put(&store, &format!("old/{n}"), None, 1000).await;
        }
        let mut beside = put(&store, "beside", None, SEGMENT_BYTES).await;
        beside = put(&store, "beside", beside, SEGMENT_BYTES).await;
        let oldest = place.disk.segments().remove(0);
        place
            .disk
            .damage(&oldest, |bytes| damage(bytes, &frames(bytes)[5]));
        for _ in 0..40 {
            beside = put(&store, "beside", beside, SEGMENT_BYTES).await;
        }
        store.close(soon()).await.unwrap();
        drop(store);
        assert_eq!(place.disk.segments()[0] == oldest, is_kept, "{what}");
        let store = place.open().await;
        for n in readable {
            assert_eq!(
                bytes_of(&store, &format!("old/{n}")).await,
                Some(1000),
                "{what} {n}"
            );
        }
    }
}
