//! `cas_update` against stores that fail, under paused time.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use dormouse_filesystem::update::{ATTEMPTS_MAX, DEADLINE, DELAY_MAX, DELAY_MIN};
use dormouse_filesystem::{
    Batch, Capabilities, Change, CommitError, Deadline, Entry, Expected, Key, Lane, Position, ReadError,
    RecordKind, RecordStore, RecordStoreExt, Retry, Stream, UpdateError, Updated, cas_update,
};
use tokio::time::Instant;

use crate::scripted::{Fault, ReadFault, Scripted};

const KIND: RecordKind = RecordKind::of("test");

fn key() -> Key {
    Key::parse("a/row").unwrap()
}

fn log() -> Stream {
    Stream::new(Key::parse("a/log").unwrap())
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(1))
}

/// Appends `+` to the record, and counts its runs.
async fn grow(store: &Scripted, seed: u64) -> (Result<Updated<usize>, UpdateError<Infallible>>, usize) {
    let mut runs = 0;
    let updated = cas_update(store, &key(), &Retry::seeded(seed), |entry| {
        runs += 1;
        let mut value = entry.map_or_else(Vec::new, |entry: &Entry| entry.value.to_vec());
        value.push(b'+');
        Ok((Change::put(KIND, value), runs))
    })
    .await;
    (updated, runs)
}

async fn stored(store: &Scripted) -> Option<Entry> {
    store.memory().get(&key()).await.unwrap()
}

/// FS-28
#[tokio::test(start_paused = true)]
async fn a_permanent_conflict_ends_after_32_commits_without_a_last_sleep() {
    let store = Scripted::default().every_commit(Fault::Conflict);
    let (updated, runs) = grow(&store, 1).await;
    assert!(
        matches!(
            updated,
            Err(UpdateError::Contended {
                attempts: ATTEMPTS_MAX
            })
        ),
        "{updated:?}"
    );
    let times = store.commit_times();
    assert_eq!((times.len(), runs), (32, 32));
    assert_eq!(times.last(), Some(&Instant::now()));
    assert_eq!(stored(&store).await, None);
}

/// FS-29
#[tokio::test(start_paused = true)]
async fn a_hung_get_is_a_deadline_and_a_hung_commit_is_indeterminate() {
    let begun = Instant::now();
    let hung = Scripted::default().every_read(ReadFault::Hang);
    let (updated, runs) = grow(&hung, 1).await;
    assert!(matches!(updated, Err(UpdateError::Deadline)), "{updated:?}");
    assert_eq!((begun.elapsed(), runs, hung.batches().len()), (DEADLINE, 0, 0));

    let begun = Instant::now();
    let hung = Scripted::default().every_commit(Fault::Hang);
    let (updated, runs) = grow(&hung, 1).await;
    assert!(
        matches!(
            updated,
            Err(UpdateError::Write(CommitError::Indeterminate { .. }))
        ),
        "{updated:?}"
    );
    assert_eq!((begun.elapsed(), runs), (DEADLINE, 1));
}

/// FS-30
#[tokio::test(start_paused = true)]
async fn delays_differ_between_tasks_and_follow_from_the_seed() {
    // One generator for two tasks that conflict at the same instants of a clock that stands between them.
    async fn two_tasks(seed: u64) -> [Vec<Duration>; 2] {
        let stores = [(); 2].map(|()| Scripted::default().every_commit(Fault::Conflict));
        let retry = Retry::seeded(seed);
        let conflict = |store| {
            cas_update(store, &ROW, &retry, |_| {
                Ok::<_, Infallible>((Change::put(KIND, "x"), ()))
            })
        };
        let (one, two) = futures::join!(conflict(&stores[0]), conflict(&stores[1]));
        assert!(one.is_err() && two.is_err());
        stores.map(|store| {
            store
                .commit_times()
                .windows(2)
                .map(|pair| pair[1] - pair[0])
                .collect()
        })
    }
    static ROW: std::sync::LazyLock<Key> = std::sync::LazyLock::new(key);

    let [one, two] = two_tasks(7).await;
    assert_ne!(one, two, "tasks wait differently");
    assert_eq!([one.clone(), two], two_tasks(7).await, "one seed, one sequence");
    assert_ne!(one, two_tasks(8).await[0], "another seed, another");
    let millisecond = Duration::from_millis(1); // the clock's own grain
    let mut doubled = DELAY_MIN;
    for delay in one {
        let bound = doubled.min(DELAY_MAX);
        assert!(
            (bound..=bound * 2 + millisecond).contains(&delay),
            "{delay:?} for {bound:?}"
        );
        doubled *= 2;
    }
}

/// The errors of a read and of a commit keep their variant and their source, and end the update at once.
#[tokio::test(start_paused = true)]
async fn each_error_is_its_own_variant_with_its_source() {
    let store = Scripted::default().every_read(ReadFault::Corrupt);
    let (updated, runs) = grow(&store, 1).await;
    assert!(
        matches!(updated, Err(UpdateError::Read(ReadError::Corrupt { .. }))),
        "{updated:?}"
    );
    assert_eq!((runs, store.batches().len()), (0, 0));

    let store = Scripted::default().every_commit(Fault::Closed);
    let (updated, runs) = grow(&store, 1).await;
    assert!(
        matches!(updated, Err(UpdateError::Write(CommitError::Closed { .. }))),
        "{updated:?}"
    );
    assert_eq!((runs, store.batches().len()), (1, 1));

    let store = Scripted::default().every_commit(Fault::LostAfter);
    let (updated, runs) = grow(&store, 1).await;
    let lost = updated.unwrap_err();
    assert_eq!(lost.source().unwrap().to_string(), "the script");
    assert!(
        matches!(lost, UpdateError::Write(CommitError::Indeterminate { .. })),
        "{lost:?}"
    );
    assert_eq!((runs, store.batches().len()), (1, 1), "it is not run again");
    assert_eq!(stored(&store).await.unwrap().value, "+");

    let store = Scripted::default();
    let refused = cas_update(&store, &key(), &Retry::seeded(1), |_| {
        Err::<(Change, ()), _>(std::io::Error::other("mine"))
    })
    .await
    .unwrap_err();
    assert_eq!(refused.source().unwrap().to_string(), "mine");
    assert!(matches!(refused, UpdateError::Apply(_)), "{refused:?}");
    assert_eq!(store.batches().len(), 0);
}

/// FS-33
#[tokio::test(start_paused = true)]
async fn what_a_store_does_not_support_is_never_tried_another_way() {
    let store = Scripted::declaring(Capabilities::default());
    let (updated, runs) = grow(&store, 1).await;
    assert!(
        matches!(updated, Err(UpdateError::Unsupported { .. })),
        "{updated:?}"
    );
    assert_eq!((store.gets(), store.batches().len(), runs), (0, 0, 0));

    let store = Scripted::default().every_commit(Fault::Unsupported);
    let (updated, runs) = grow(&store, 1).await;
    assert!(
        matches!(
            updated,
            Err(UpdateError::Unsupported {
                capability: "the script"
            })
        ),
        "{updated:?}"
    );
    let batches = store.batches();
    assert_eq!((batches.len(), runs), (1, 1));
    assert_eq!(batches[0].puts[0].expected, Expected::Absent, "never blind");

    let store = Scripted::default().every_read(ReadFault::Unsupported);
    let (updated, _) = grow(&store, 1).await;
    assert!(
        matches!(
            updated,
            Err(UpdateError::Unsupported {
                capability: "the script"
            })
        ),
        "{updated:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn congestion_costs_an_attempt_and_then_is_the_answer() {
    let store = Scripted::default()
        .reads([Some(ReadFault::Unavailable), None])
        .commits([
            Some(Fault::Busy),
            Some(Fault::Unavailable),
            Some(Fault::Conflict),
            None,
        ]);
    let (updated, runs) = grow(&store, 1).await;
    assert_eq!((updated.unwrap().outcome, runs), (4, 4));

    let store = Scripted::default().every_commit(Fault::Busy);
    let (updated, runs) = grow(&store, 1).await;
    assert!(
        matches!(updated, Err(UpdateError::Write(CommitError::Busy { .. }))),
        "{updated:?}"
    );
    assert_eq!(runs, 32);

    let store = Scripted::default().every_read(ReadFault::Unavailable);
    let (updated, runs) = grow(&store, 1).await;
    assert!(
        matches!(updated, Err(UpdateError::Read(ReadError::Unavailable { .. }))),
        "{updated:?}"
    );
    assert_eq!((runs, store.gets()), (0, 32));
}

#[tokio::test(start_paused = true)]
async fn after_a_foreign_write_the_function_sees_the_fresh_record() {
    let mut foreign = Batch::new(Lane::System);
    foreign.put(key(), Expected::Absent, KIND, "foreign");
    let store = Scripted::default().commits([Some(Fault::Foreign(foreign))]);
    let (updated, runs) = grow(&store, 1).await;
    let updated = updated.unwrap();
    assert_eq!(
        (runs, updated.outcome),
        (2, 2),
        "the outcome is of the run that won"
    );
    assert_eq!(updated.entry, stored(&store).await);
    assert_eq!(updated.entry.unwrap().value, "foreign+");
}

/// FS-11
#[tokio::test(start_paused = true)]
async fn a_lost_answer_and_the_identical_batch_again_apply_once() {
    for fault in [Fault::LostBefore, Fault::LostAfter] {
        let store = Scripted::default().commits([Some(fault.clone())]);
        let mut batch = Batch::new(Lane::System);
        batch
            .put(key(), Expected::Absent, KIND, "once")
            .append(log(), "once");
        assert!(batch.is_repeatable());
        let lost = store.commit(batch.clone(), soon()).await;
        assert!(matches!(lost, Err(CommitError::Indeterminate { .. })), "{lost:?}");
        match store.commit(batch, soon()).await {
            Ok(committed) => assert_eq!(stored(&store).await.map(|e| e.version), committed.version),
            // The row tells whose write it was: the version is not one that was there before.
            Err(CommitError::Conflict { failed }) => assert!(failed[0].actual.is_some()),
            Err(other) => panic!("{other}"),
        }
        assert_eq!(stored(&store).await.unwrap().value, "once");
        assert_eq!(
            store.head(&log()).await.unwrap().next,
            Position::new(2),
            "{fault:?}"
        );
    }
    // Appends alone are not repeatable: who lost the answer reads on from the last position it knew.
    for (fault, found) in [(Fault::LostBefore, 0), (Fault::LostAfter, 1)] {
        let store = Scripted::default().commits([None, Some(fault)]);
        let known = store.append(log(), "known", soon()).await.unwrap();
        let mut batch = Batch::new(Lane::System);
        batch.append(log(), "perhaps");
        assert!(!batch.is_repeatable());
        let lost = store.commit(batch, soon()).await;
        assert!(matches!(lost, Err(CommitError::Indeterminate { .. })), "{lost:?}");
        let behind = store.tail(&log(), known, 10).await.unwrap();
        assert_eq!(
            behind.iter().filter(|logged| logged.entry == "perhaps").count(),
            found
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_is_of_the_entry_that_was_read() {
    let store = Scripted::default();
    let first = store.create(key(), KIND, "1", soon()).await.unwrap();
    grow(&store, 1).await.0.unwrap();
    let batches = store.batches();
    assert_eq!(batches[1].puts[0].expected, Expected::At(first));
}
