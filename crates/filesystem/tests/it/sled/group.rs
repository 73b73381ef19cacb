//! Groups: what shares a flush, what is seen before it, who waits for whom.

use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::commit_log::FileLayer;
use dormouse_filesystem::{
    Batch, BusyCause, CloseError, CommitError, Deadline, Expected, LogError, Page, Position, Prefix,
    RecordStore, Sled,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::kit::{KIND, PATIENCE, Place, commit, create, created, key, lane, log, soon};

type Answer = Result<dormouse_filesystem::Committed, CommitError>;

/// A store whose next flush is held back with one commit in it.
struct Held {
    place: Place,
    store: Arc<Sled>,
    first: JoinHandle<Answer>,
}

async fn held() -> Held {
    let place = Place::new();
    let store = Arc::new(place.open().await);
    created(&store, "before", "").await;
    place.disk.shut_gate();
    let first = spawn(&store, create("first", ""), soon());
    await_held(&place).await;
    Held { place, store, first }
}

async fn await_held(place: &Place) {
    let disk = place.disk.clone();
    tokio::task::spawn_blocking(move || disk.await_held())
        .await
        .unwrap();
}

fn spawn(store: &Arc<Sled>, batch: Batch, deadline: Deadline) -> JoinHandle<Answer> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.commit(batch, deadline).await })
}

async fn await_queued(store: &Sled, commits: usize) {
    while store.health().await.queued < commits {
        tokio::task::yield_now().await;
    }
}

/// What a kill at this moment would take back is not seen. (The kills themselves are in the crash tests.)
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_listed_tailed_or_hinted_before_its_flush() {
    let Held { place, store, first } = held().await;
    let mut watch = store.watch(&Prefix::root()).await.unwrap();
    assert_eq!(store.get(&key("first")).await.unwrap(), None);
    assert_eq!(
        store.list(&Page::of(Prefix::root())).await.unwrap().items.len(),
        1
    );
    assert_eq!(store.tail(&log(), Position::new(1), 10).await.unwrap(), []);
    assert_eq!(store.head(&log()).await.unwrap().next, Position::new(2));
    let hint = tokio::time::timeout(Duration::from_millis(20), watch.next()).await;
    assert!(hint.is_err(), "no hint before the flush");
    place.disk.open_gate();
    first.await.unwrap().unwrap();
    assert!(store.get(&key("first")).await.unwrap().is_some());
    assert!(
        tokio::time::timeout(PATIENCE, watch.next())
            .await
            .unwrap()
            .is_some()
    );
}

/// FS-10
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_passed_in_the_queue_is_busy_and_one_passed_in_flight_is_indeterminate() {
    let Held { place, store, first } = held().await;
    let queued = spawn(
        &store,
        create("queued", ""),
        Deadline::after(Duration::from_millis(10)),
    );
    let answer = queued.await.unwrap();
    let is_busy = matches!(
        answer,
        Err(CommitError::Busy {
            cause: BusyCause::Deadline
        })
    );
    assert!(is_busy, "{answer:?}");
    place.disk.open_gate();
    first.await.unwrap().unwrap();

    place.disk.shut_gate();
    let taken = spawn(
        &store,
        create("taken", ""),
        Deadline::after(Duration::from_millis(10)),
    );
    await_held(&place).await;
    let answer = taken.await.unwrap();
    assert!(
        matches!(answer, Err(CommitError::Indeterminate { .. })),
        "{answer:?}"
    );
    place.disk.open_gate();
    created(&store, "last", "").await;
    assert_eq!(store.get(&key("queued")).await.unwrap(), None);
    assert!(store.get(&key("taken")).await.unwrap().is_some());
}

/// FS-42
#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_a_rejected_batch_fails_alone_and_the_second_sees_the_first() {
    let Held { place, store, first } = held().await;
    let mut tasks = Vec::new();
    for (name, value) in [("a", "one"), ("a", "two"), ("b", "three")] {
        tasks.push(spawn(&store, create(name, value), soon()));
        await_queued(&store, tasks.len()).await;
    }
    let flushes = store.health().await.flushes;
    place.disk.open_gate();
    first.await.unwrap().unwrap();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    let one = answers[0].as_ref().unwrap().version;
    let Err(CommitError::Conflict { failed }) = &answers[1] else {
        panic!("{:?}", answers[1]);
    };
    assert_eq!(failed[0].actual, one, "the second sees the first");
    assert!(answers[2].is_ok());
    assert_eq!(
        store.health().await.flushes,
        flushes + 2,
        "the held group and theirs"
    );
    let positions: Vec<_> = [0, 2]
        .map(|n| answers[n].as_ref().unwrap().positions[0].1.get())
        .into();
    assert_eq!(positions, [3, 4], "positions of the rejected are not used up");
}

/// FS-40, with the test of one task alone.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_tasks_share_flushes_sixteen_to_one() {
    let place = Place::new();
    let store = Arc::new(place.open().await);
    let (before, syncs) = (store.health().await, place.disk.counts().syncs);
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in 0..20 {
                    let mut batch = Batch::default();
                    batch.put(key(&format!("t{task}/{n}")), Expected::Absent, KIND, "");
                    commit(&store, batch).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let health = store.health().await;
    let commits = health.commits - before.commits;
    let flushes = health.flushes - before.flushes;
    assert_eq!(commits, 64 * 20);
    let synced = place.disk.counts().syncs - syncs;
    assert!(
        flushes > 0 && synced >= flushes,
        "{flushes} flushes and {synced} syncs"
    );
    assert!(commits > 16 * flushes, "{commits} commits in {flushes} flushes");
}

/// The time in the middle of many, in which one that the machine was busy with something else does not count.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// What a bare flush of 300 bytes takes.
fn bare(place: &Place) -> Duration {
    let file = place.disk.create("bare").unwrap();
    let flush = |n: u64| {
        let begin = Instant::now();
        file.write_at(&[7; 300], n * 300).unwrap();
        file.sync().unwrap();
        begin.elapsed()
    };
    median((0..51).map(flush).collect())
}

/// What a commit of 300 bytes takes, one after the other.
async fn alone(place: &Place, store: &Sled, round: usize) -> Duration {
    let mut times = Vec::new();
    for n in 0..51 {
        let (batch, syncs) = (
            create(&format!("k/{round}/{n}"), &"x".repeat(300)),
            place.disk.counts().syncs,
        );
        let begin = Instant::now();
        commit(store, batch).await.unwrap();
        times.push(begin.elapsed());
        assert!(place.disk.counts().syncs > syncs, "it is durable");
    }
    median(times)
}

/// FS-40: nobody who commits alone waits for others, with flushes as short as those of the figures: 2 ms.
///
/// A machine that is busy with something else makes what a commit takes longer and never shorter, so one round within
/// the bound proves that nothing of the store keeps it.
#[tokio::test(flavor = "multi_thread")]
async fn one_task_alone_takes_little_more_than_a_bare_flush() {
    let place = Place::new();
    let store = place.open().await;
    place.disk.be_slow(Duration::from_millis(2));
    let mut rounds = Vec::new();
    for round in 0..20 {
        let (bare, alone) = (bare(&place), alone(&place, &store, round).await);
        if alone <= bare.mul_f64(1.2) {
            return;
        }
        rounds.push((alone, bare));
    }
    panic!("alone, and a bare flush: {rounds:?}");
}

/// Case 41 of filesystem.md but for the times, which the bench measures.
#[tokio::test(flavor = "multi_thread")]
async fn a_flooding_lane_does_not_keep_another_out_of_the_next_group() {
    let Held { place, store, first } = held().await;
    let flood: Vec<_> = (0..4000)
        .map(|n| {
            let mut batch = create(&format!("flood/{n}"), &"x".repeat(300));
            batch.lane = lane("flood");
            spawn(&store, batch, soon())
        })
        .collect();
    await_queued(&store, 4000).await;
    let mut batch = create("other", "");
    batch.lane = lane("other");
    let other = spawn(&store, batch, soon());
    await_queued(&store, 4001).await;
    let flushes = store.health().await.flushes;
    place.disk.open_gate();
    let other = other.await.unwrap().unwrap().version.unwrap();
    first.await.unwrap().unwrap();
    for task in flood {
        task.await.unwrap().unwrap();
    }
    let flooded = store.get(&key("flood/3999")).await.unwrap().unwrap().version;
    let first = store.get(&key("first")).await.unwrap().unwrap().version;
    assert!(
        other.get() <= first.get() + 512,
        "{other} is in the group after {first}"
    );
    assert!(flooded > other);
    assert!(store.health().await.flushes >= flushes + 4000 / 512);
}

/// FS-45
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_busy_at_once_and_a_late_close_names_what_is_unanswered() {
    let Held { place, store, first } = held().await;
    let queued: Vec<_> = (0..4096)
        .map(|n| spawn(&store, create(&format!("q/{n}"), ""), soon()))
        .collect();
    await_queued(&store, 4096).await;
    let answer = commit(&store, create("over", "")).await;
    assert!(
        matches!(
            answer,
            Err(CommitError::Busy {
                cause: BusyCause::Queue
            })
        ),
        "{answer:?}"
    );
    let closed = store.close(Deadline::after(Duration::from_millis(10))).await;
    assert!(
        matches!(closed, Err(CloseError::Deadline { unacknowledged: 4097 })),
        "{closed:?}"
    );
    place.disk.open_gate();
    first.await.unwrap().unwrap();
    for task in queued {
        task.await.unwrap().unwrap();
    }
    store.close(soon()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_bounded_by_bytes_too() {
    let Held { place, store, first } = held().await;
    let large = |n: usize| {
        let mut batch = Batch::default();
        batch.put(
            key(&format!("large/{n}")),
            Expected::Absent,
            KIND,
            vec![0; 700_000],
        );
        batch
    };
    let queued: Vec<_> = (0..95).map(|n| spawn(&store, large(n), soon())).collect();
    await_queued(&store, 95).await;
    let answer = commit(&store, large(95)).await;
    assert!(
        matches!(
            answer,
            Err(CommitError::Busy {
                cause: BusyCause::Queue
            })
        ),
        "{answer:?}"
    );
    place.disk.open_gate();
    first.await.unwrap().unwrap();
    for task in queued {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_alone_flush_nothing() {
    let place = Place::new();
    let store = place.open().await;
    let version = created(&store, "a", "").await;
    let (flushes, counts) = (store.health().await.flushes, place.disk.counts());
    let mut batch = Batch::default();
    batch
        .check(key("a"), Expected::At(version))
        .check(key("b"), Expected::Absent);
    assert_eq!(commit(&store, batch).await.unwrap().version, None);
    assert_eq!(store.health().await.flushes, flushes);
    assert_eq!(place.disk.counts(), counts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_truncation_goes_in_steps_and_a_truncated_log_stays_so() {
    let place = Place::new();
    let store = place.open().await;
    let mut batch = Batch::default();
    for n in 0..1000 {
        batch.append(log(), format!("{n}"));
    }
    commit(&store, batch).await.unwrap();
    let flushes = store.health().await.flushes;
    assert_eq!(
        store.truncate(&log(), Position::new(1001)).await.unwrap(),
        Position::new(1001)
    );
    assert_eq!(store.health().await.flushes, flushes + 4);
    let past = store.truncate(&log(), Position::new(1002)).await;
    assert!(matches!(past, Err(LogError::ReplayGap { .. })), "{past:?}");
    let head = store.head(&log()).await.unwrap();
    assert_eq!((head.first, head.bytes), (Position::new(1001), 0));
    drop(store);
    let store = place.open().await;
    assert_eq!(store.head(&log()).await.unwrap(), head);
    assert_eq!(
        store.truncate(&log(), Position::new(5)).await.unwrap(),
        Position::new(1001)
    );
}
