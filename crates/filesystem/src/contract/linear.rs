//! Linearizability: what 8 tasks saw of one key fits one order that also is the order of time.
//!
//! Versions give the order of a key's writes; so a history is linearizable exactly if nobody saw an older version
//! after somebody, at an earlier time, was told of a newer one. Histories of several keys are as good as each key's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;

use super::Harness;
use super::kit::{KIND, create, fresh_seed, key, seeded, soon};
use crate::{CommitError, RecordStore, RecordStoreExt, Version};

const TASKS: u64 = 8;
const STEPS: usize = 60;
const KEYS: u64 = 3;

/// One operation: when it began and ended, and the version it wrote or saw.
#[derive(Debug, Clone, Copy)]
struct Seen {
    key: u64,
    began: u64,
    ended: u64,
    version: Version,
    wrote: bool,
}

/// A clock of events: equal for nobody.
type Ticks = Arc<AtomicU64>;

fn tick(ticks: &Ticks) -> u64 {
    ticks.fetch_add(1, Ordering::SeqCst)
}

/// What eight tasks see of the same keys is linearizable.
pub async fn histories_of_eight_tasks_are_linearizable<H: Harness>(harness: H) {
    let store = harness.open().await;
    let seed = fresh_seed();
    for n in 0..KEYS {
        create(&*store, &n.to_string(), "").await;
    }
    let ticks = Ticks::default();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        tasks.spawn(steps(
            Arc::clone(&store),
            Arc::clone(&ticks),
            seed.wrapping_add(task),
        ));
    }
    let seen: Vec<Seen> = tasks.join_all().await.into_iter().flatten().collect();
    for n in 0..KEYS {
        let mut of_key: Vec<Seen> = seen.iter().filter(|s| s.key == n).copied().collect();
        of_key.sort_by_key(|s| s.began);
        check(&of_key, seed);
    }
}

async fn steps(store: Arc<dyn RecordStore>, ticks: Ticks, seed: u64) -> Vec<Seen> {
    let mut random = seeded(seed);
    let mut seen = Vec::new();
    for _ in 0..STEPS {
        let n = random(KEYS);
        let read = observe(&*store, &ticks, n).await;
        seen.push(read);
        if random(2) == 0 {
            seen.push(write(&*store, &ticks, n, read.version).await);
        }
    }
    seen
}

async fn observe(store: &dyn RecordStore, ticks: &Ticks, n: u64) -> Seen {
    let began = tick(ticks);
    let entry = store.get(&key(&n.to_string())).await.expect("the store answers");
    Seen {
        key: n,
        began,
        ended: tick(ticks),
        version: entry.expect("it is never deleted").version,
        wrote: false,
    }
}

/// A write that is refused saw the version that stood in its way.
async fn write(store: &dyn RecordStore, ticks: &Ticks, n: u64, at: Version) -> Seen {
    let began = tick(ticks);
    let (version, wrote) = match store.replace(key(&n.to_string()), at, KIND, "", soon()).await {
        Ok(version) => (version, true),
        Err(CommitError::Conflict { failed }) => (failed[0].actual.expect("it is never deleted"), false),
        Err(other) => panic!("{other}"),
    };
    Seen {
        key: n,
        began,
        ended: tick(ticks),
        version,
        wrote,
    }
}

fn check(seen: &[Seen], seed: u64) {
    let mut writes: Vec<Version> = seen.iter().filter(|s| s.wrote).map(|s| s.version).collect();
    let all = writes.len();
    writes.sort_unstable();
    writes.dedup();
    assert_eq!(writes.len(), all, "seed {seed}: two writes share a version");
    for (at, later) in seen.iter().enumerate() {
        for earlier in seen[..at].iter().filter(|earlier| earlier.ended < later.began) {
            let is_in_order = if later.wrote {
                earlier.version < later.version
            } else {
                earlier.version <= later.version
            };
            assert!(is_in_order, "seed {seed}: {earlier:?} then {later:?}");
        }
    }
}
