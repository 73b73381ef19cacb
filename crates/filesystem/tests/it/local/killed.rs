//! Killed while files are written behind the log: what is found then is not yet durable.

use dormouse_filesystem::{Batch, Expected, Lane, Local, LogHead, Position, RecordStore, Version};

use super::kit::{Content, KIND, Place, commit, content, create, created, key, log, soon};

/// So many operations of the disk, and all that follow are none: more than writing it behind the log takes.
const OPERATIONS: u64 = 36;
const SEEDS: u64 = 4;

async fn version_of(store: &Local, name: &str) -> Version {
    store.get(&key(name)).await.unwrap().unwrap().version
}

/// A life that ended well, and another with writes of every kind that are in the log alone.
async fn written(place: &Place) -> Local {
    let store = place.open().await;
    for name in ["replaced", "removed/alone", "beside"] {
        created(&store, name, "old").await;
    }
    store.close(soon()).await.unwrap();
    drop(store);
    let store = place.open().await;
    let mut batch = Batch::new(Lane::System);
    batch.put(
        key("replaced"),
        Expected::At(version_of(&store, "replaced").await),
        KIND,
        "new",
    );
    batch.delete(key("removed/alone"), version_of(&store, "removed/alone").await);
    commit(&store, batch).await.unwrap();
    commit(&store, create("made/in/folders", "new")).await.unwrap();
    store.truncate(&log(), Position::new(3)).await.unwrap();
    store
}

async fn all_of(store: &Local) -> (Content, LogHead) {
    (content(store).await, store.head(&log()).await.unwrap())
}

/// A name that was changed and not synced is seen by the next process, and still lost with the power.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_a_killed_life_changed_are_durable_before_the_next_one_counts_on_them() {
    for operations in 0..OPERATIONS {
        for seed in 0..SEEDS {
            let place = Place::new();
            let store = written(&place).await;
            place.disk.light_fuse(operations);
            drop(store.close(soon()).await);
            drop(store);
            // It was killed; the machine goes on.
            place.disk.rest();
            let store = place.open().await;
            created(&store, "later", "").await;
            let before = all_of(&store).await;
            store.close(soon()).await.unwrap();
            drop(store);
            place.disk.cut_power(seed);
            let store = place.open().await;
            let what = format!("killed after {operations} operations, seed {seed}");
            assert_eq!(all_of(&store).await, before, "{what}");
            assert_eq!(store.health().await.notices, Vec::<String>::new(), "{what}");
        }
    }
}
