//! `cas_update` against stores that fail, under paused time.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::update::{ATTEMPTS_MAX, DEADLINE, DELAY_MAX, DELAY_MIN};
use dormouse_filesystem::wrapper::{self, Counted, Operation};
use dormouse_filesystem::{
    Batch, Capabilities, Change, Changed, Class, CommitError, Deadline, Entry, Expected, IndexEntry, Key,
    Lane, Memory, Namespace, NoIndexes, Opener, Position, ReadError, Record, RecordError, RecordKind,
    RecordStore, RecordStoreExt, Records, Requirements, Retry, Segment, Stream, System, UpdateError, Updated,
    cas_update,
};
use serde::{Deserialize, Serialize, Serializer};
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

/// A record that cannot be written with one count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counter {
    id: Segment,
    #[serde(serialize_with = "but_thirteen")]
    count: u64,
}

fn but_thirteen<S: Serializer>(count: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    if *count == 13 {
        return Err(serde::ser::Error::custom("bad luck"));
    }
    serializer.serialize_u64(*count)
}

impl Record for Counter {
    type Scope = System;
    type Id = Segment;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("counter");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}

type Shared = Arc<wrapper::Fault<Counted<Memory>>>;

async fn counters() -> (Shared, Records<Counter>) {
    let memory = Memory::new(jiff::Timestamp::UNIX_EPOCH);
    let store: Shared = Arc::new(wrapper::Fault::scripted(Counted::new(memory)));
    let shared: Arc<dyn RecordStore> = Arc::<wrapper::Fault<Counted<Memory>>>::clone(&store);
    let opener = Opener::at(jiff::Timestamp::UNIX_EPOCH, 7);
    let system = Namespace::<System>::open(shared, &Requirements::volatile(), opener)
        .await
        .unwrap();
    let counters = Records::new(&system);
    let id = Segment::parse("one").unwrap();
    counters.create(&Counter { id, count: 12 }).await.unwrap();
    (store, counters)
}

type Added = Result<Option<Changed<Counter, ()>>, UpdateError<std::io::Error>>;

async fn add(counters: &Records<Counter>, more: u64) -> Added {
    let id = Segment::parse("one").unwrap();
    let add = move |counter: &Counter, _: &mut _| {
        let count = counter
            .count
            .checked_add(more)
            .ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok((
            Counter {
                count,
                ..counter.clone()
            },
            (),
        ))
    };
    counters.update(&id, add).await
}

/// What was said, and how many commits the store saw for it.
async fn said(store: &Shared, counters: &Records<Counter>, more: u64) -> (UpdateError<std::io::Error>, u64) {
    let commits = || store.inner().counts().of(Operation::Commit);
    let before = commits();
    let error = add(counters, more).await.unwrap_err();
    (error, commits() - before)
}

/// FS-32
#[tokio::test]
async fn decode_encode_apply_get_and_commit_errors_are_each_their_own_and_only_the_last_reaches_the_store() {
    let (store, counters) = counters().await;
    let (error, commits) = said(&store, &counters, u64::MAX).await;
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<std::io::Error>());
    assert_eq!(
        source.map(std::io::Error::kind),
        Some(std::io::ErrorKind::InvalidInput)
    );
    assert!(
        matches!(error, UpdateError::Apply(_)) && commits == 0,
        "{error:?}"
    );

    let (error, commits) = said(&store, &counters, 1).await;
    let is_encode = matches!(&error, UpdateError::Encode(e) if matches!(**e, RecordError::Invalid(_)));
    assert!(
        is_encode && error.to_string().contains("bad luck") && commits == 0,
        "{error:?}"
    );

    store.next(Operation::Get, wrapper::FaultKind::Damage);
    let (error, commits) = said(&store, &counters, 2).await;
    let row = Key::parse("s/r/counter/one").unwrap();
    let is_read = matches!(&error, UpdateError::Read(ReadError::Corrupt { key }) if *key == row);
    assert!(is_read && commits == 0, "{error:?}");

    store.next(Operation::Commit, wrapper::FaultKind::LoseAfter);
    let (error, commits) = said(&store, &counters, 2).await;
    assert_eq!(error.source().unwrap().to_string(), "an injected fault");
    let is_write = matches!(error, UpdateError::Write(CommitError::Indeterminate { .. }));
    assert!(is_write && commits == 1, "{error:?}");

    let entry = store.inner().get(&row).await.unwrap().unwrap();
    let mut batch = Batch::new(Lane::System);
    batch.put(row, Expected::At(entry.version), Counter::KIND, "no JSON");
    store.inner().commit(batch, soon()).await.unwrap();
    let (error, commits) = said(&store, &counters, 2).await;
    let is_decode = matches!(&error, UpdateError::Decode(e) if matches!(**e, RecordError::Invalid(_)));
    assert!(is_decode && commits == 0, "{error:?}");
}
