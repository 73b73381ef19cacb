//! Updates: read, decide, write, through `cas_update`.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Harness;
use super::kit::{KIND, batch, create, delete, fresh_seed, key, log, value, version};
use crate::{Change, Entry, Position, RecordStore, Retry, UpdateError, Updated, cas_update};

/// How often a machine that is busy with something else may keep an update from every one of its attempts.
const LOADED_MAX: usize = 3;

/// FS-12, between tasks. What is bounded by attempts can lose them all where the machine runs something else instead:
/// then it says that it did nothing, is asked again, and there is another round to do without.
pub async fn sixteen_tasks_lose_no_increment<H: Harness>(harness: H) {
    let store = harness.open().await;
    for round in 0..LOADED_MAX {
        let errors = increments(&store, &format!("counter/{round}")).await;
        if errors == 0 {
            return;
        }
    }
    panic!("in each of {LOADED_MAX} rounds an update lost all of its attempts");
}

/// How many of 1,600 increments of one record had an error.
async fn increments(store: &Arc<dyn RecordStore>, counter: &str) -> usize {
    let retry = Arc::new(Retry::seeded(fresh_seed()));
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (store, retry, counter) = (Arc::clone(store), Arc::clone(&retry), key(counter));
        tasks.spawn(async move {
            let mut errors = 0;
            for _ in 0..100 {
                while let Err(error) = cas_update(&*store, &counter, &retry, increment).await {
                    assert!(matches!(error, UpdateError::Contended { .. }), "{error}");
                    errors += 1;
                }
            }
            errors
        });
    }
    let errors = tasks.join_all().await.into_iter().sum();
    assert_eq!(value(&**store, counter).await.as_deref(), Some("1600"));
    errors
}

fn increment(entry: Option<&Entry>) -> Result<(Change, ()), Infallible> {
    let count = entry.map_or(0, |entry| {
        let text = std::str::from_utf8(&entry.value).expect("the suite's values are text");
        text.parse::<u64>().expect("it is a count")
    });
    Ok((Change::put(KIND, (count + 1).to_string()), ()))
}

/// FS-31
pub async fn a_change_of_nothing_writes_nothing<H: Harness>(harness: H) {
    let store = harness.open().await;
    for nothing in [Change::keep(), Change::delete(), Change::keep().rewrite()] {
        let updated = update(&*store, "absent", nothing).await;
        assert_eq!((updated.entry, updated.committed), (None, None));
        assert_eq!(version(&*store, "absent").await, None);
    }
    let before = create(&*store, "present", "same").await;
    for nothing in [Change::keep(), Change::put(KIND, "same")] {
        let updated = update(&*store, "present", nothing).await;
        assert_eq!(updated.committed, None);
        assert_eq!(updated.entry.map(|entry| entry.version), Some(before));
        assert_eq!(version(&*store, "present").await, Some(before));
    }
    let commits = store.health().await.commits;
    let updated = update(&*store, "present", Change::put(KIND, "same").rewrite()).await;
    assert_eq!(store.health().await.commits, commits + 1, "one write");
    let written = updated.committed.expect("it was written").version;
    assert!(written > Some(before));
    assert_eq!(version(&*store, "present").await, written);
    assert_eq!(value(&*store, "present").await.as_deref(), Some("same"));
}

/// What an update answers is what is stored; what goes with it is in the same commit.
pub async fn an_update_answers_what_is_stored<H: Harness>(harness: H) {
    let store = harness.open().await;
    let mut more = batch();
    more.put(key("beside"), crate::Expected::Absent, KIND, "beside")
        .append(log("l"), "entry");
    let created = update(&*store, "row", Change::put(KIND, "1").with(more.clone())).await;
    let committed = created.committed.expect("it was written");
    assert_eq!(committed.positions, [(log("l"), Position::FIRST)]);
    assert_eq!(store.get(&key("row")).await.expect("answers"), created.entry);
    assert_eq!(version(&*store, "beside").await, committed.version);

    // What goes with an unchanged record still is written, guarded by it.
    let beside = committed.version.expect("it was written");
    delete(&*store, "beside", beside).await.expect("current");
    let kept = update(&*store, "row", Change::keep().with(more)).await;
    assert_eq!(kept.entry, created.entry);
    assert_eq!(
        version(&*store, "beside").await,
        kept.committed.expect("it was written").version
    );

    let gone = update(&*store, "row", Change::delete()).await;
    assert_eq!((gone.entry, version(&*store, "row").await), (None, None));
}

/// A refusal by the caller's function writes nothing and is the caller's own error.
pub async fn a_refused_update_writes_nothing<H: Harness>(harness: H) {
    let store = harness.open().await;
    let before = create(&*store, "row", "1").await;
    let refused = cas_update(&*store, &key("row"), &Retry::seeded(1), |_| {
        Err::<(Change, ()), _>("the caller's own")
    })
    .await;
    assert!(
        matches!(refused, Err(UpdateError::Apply("the caller's own"))),
        "{refused:?}"
    );
    assert_eq!(version(&*store, "row").await, Some(before));
}

async fn update(store: &dyn RecordStore, path: &str, change: Change) -> Updated<()> {
    let retry = Retry::seeded(1);
    let apply = |_: Option<&Entry>| Ok::<_, Infallible>((change.clone(), ()));
    cas_update(store, &key(path), &retry, apply)
        .await
        .expect("nobody else writes it")
}
