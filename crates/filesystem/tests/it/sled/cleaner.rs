//! The cleaner: the log stays within twice what is live, and nothing is lost on the way.

use dormouse_filesystem::{Position, RecordStore};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::kit::{Place, commit, soon};
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
