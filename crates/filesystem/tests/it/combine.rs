//! The combiner: updates of one key go as one commit, and each is told its own.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dormouse_filesystem::update::{ATTEMPTS_MAX, DEADLINE};
use dormouse_filesystem::{
    Batch, COMBINE_QUEUE_MAX, COMBINE_WAITING_MAX, Change, CommitError, Deadline, Entry, Expected, Key, Lane,
    Position, RecordKind, RecordStore, RecordStoreExt, Segment, Store, Stream, UpdateError, Updated,
};
use futures::future::{BoxFuture, FutureExt, join_all};
use futures::poll;
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};
use tokio::time::Instant;

use crate::scripted::{Fault, ReadFault, Scripted};

const KIND: RecordKind = RecordKind::of("test");
const SLOW: Duration = Duration::from_millis(2);

type Answer = Result<Updated<String>, UpdateError<&'static str>>;

fn row() -> Key {
    Key::parse("a/row").unwrap()
}

fn log() -> Stream {
    Stream::new(Key::parse("a/log").unwrap())
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// A store and its combiner.
fn combined(store: Scripted) -> (Arc<Scripted>, Store) {
    let scripted = Arc::new(store);
    (Arc::clone(&scripted), Store::new(scripted, 1))
}

fn text(entry: Option<&Entry>) -> String {
    entry.map_or_else(String::new, |e| String::from_utf8(e.value.to_vec()).unwrap())
}

/// What one caller's update does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Adds(char),
    AddsAndLogs(char),
    Keeps,
    Refuses,
    Panics,
    /// Adds, with a further write that can never hold.
    AddsInVain(char),
    /// Adds, and creates this further record.
    AddsBeside(char, &'static str),
}

/// The record's text with one letter more; the outcome is what it was before.
fn change(does: Does, entry: Option<&Entry>) -> Result<(Change, String), &'static str> {
    let before = text(entry);
    let adds = |letter: char| Change::put(KIND, format!("{before}{letter}"));
    let mut more = Batch::new(Lane::System);
    let change = match does {
        Does::Adds(letter) => adds(letter),
        Does::AddsAndLogs(letter) => {
            more.append(log(), letter.to_string());
            adds(letter).with(more)
        }
        Does::Keeps => Change::keep(),
        Does::Refuses => return Err("refused"),
        Does::Panics => panic!("by the function"),
        Does::AddsInVain(letter) => {
            more.check(
                Key::parse("never/there").unwrap(),
                Expected::At(dormouse_filesystem::Version::new(7)),
            );
            adds(letter).with(more)
        }
        Does::AddsBeside(letter, beside) => {
            more.put(
                Key::parse(beside).unwrap(),
                Expected::Absent,
                KIND,
                letter.to_string(),
            );
            adds(letter).with(more)
        }
    };
    Ok((change, before))
}

/// An update that has entered its queue.
async fn entered(store: &Store, does: Does) -> BoxFuture<'static, Answer> {
    let store = store.clone();
    let mut update = async move {
        store
            .update(&row(), &Lane::System, move |entry| change(does, entry))
            .await
    }
    .boxed();
    assert!(poll!(&mut update).is_pending());
    update
}

async fn stored(store: &Store) -> String {
    text(store.get(&row()).await.unwrap().as_ref())
}

/// Once nobody waits, no queue is left: its task may only need its turn to end.
async fn at_rest(store: &Store) {
    for _ in 0..100 {
        if format!("{store:?}") == "Store(scripted, 0 keys being updated)" {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{store:?}");
}

/// FS-34
#[tokio::test(start_paused = true)]
async fn many_tasks_of_one_key_are_few_commits_in_order() {
    let (scripted, store) = combined(Scripted::default().every_commit(Fault::Slow(SLOW)));
    let mut updates = Vec::new();
    for n in 0..256_u32 {
        let letter = char::from_u32(0x4e00 + n).unwrap();
        updates.push((letter, entered(&store, Does::AddsAndLogs(letter)).await));
    }
    let (letters, updates): (Vec<char>, Vec<_>) = updates.into_iter().unzip();
    let answers = join_all(updates).await;
    let commits = scripted.batches().len();
    assert!(256 / commits >= 8, "{commits} commits");
    assert_eq!(
        scripted.memory().health().await.commits,
        commits as u64,
        "no conflict"
    );
    assert_eq!(
        stored(&store).await,
        letters.iter().collect::<String>(),
        "in order, none lost"
    );
    let events = store.tail(&log(), Position::START, 1000).await.unwrap();
    for (n, answer) in answers.into_iter().enumerate() {
        let updated = answer.unwrap();
        assert_eq!(updated.outcome, letters[..n].iter().collect::<String>());
        let committed = updated.committed.unwrap();
        assert_eq!(committed.positions, [(log(), events[n].position)]);
        assert_eq!(events[n].entry, letters[n].to_string());
        assert_eq!(Some(events[n].version), committed.version);
        let entry = updated.entry.unwrap();
        assert_eq!(
            Some(entry.version),
            committed.version,
            "what is stored is told under its own version"
        );
        assert!(text(Some(&entry)).starts_with(&letters[..=n].iter().collect::<String>()));
    }
    at_rest(&store).await;
}

/// FS-34, on several threads and without a clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_lose_no_update() {
    let (scripted, store) = combined(Scripted::default());
    let tasks = (0..256).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                let add = |entry: Option<&Entry>| change(Does::AddsAndLogs('+'), entry);
                store.update(&row(), &Lane::System, add).await.unwrap();
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(stored(&store).await.len(), 2560);
    assert_eq!(store.head(&log()).await.unwrap().next, Position::new(2561));
    assert_eq!(
        scripted.memory().health().await.commits,
        scripted.batches().len() as u64,
        "no conflict"
    );
    store.close(soon()).await.unwrap();
    at_rest(&store).await;
}

/// FS-35
#[tokio::test(start_paused = true)]
async fn only_those_that_do_not_write_drop_out_wherever_they_are() {
    for does in [Does::Refuses, Does::Keeps, Does::Panics] {
        for place in 0..5 {
            one_drops_out(does, place).await;
        }
    }
    for place in 0..5 {
        one_is_dropped(place).await;
        the_first_are_expired(place).await;
    }
}

/// A group of five behind a commit in flight.
async fn five(store: &Store, does: impl Fn(usize) -> Does) -> Vec<BoxFuture<'static, Answer>> {
    let mut five = Vec::new();
    for place in 0..5 {
        five.push(entered(store, does(place)).await);
    }
    five
}

fn letter(place: usize) -> char {
    char::from(b'a' + u8::try_from(place).unwrap())
}

fn without(place: usize) -> String {
    (0..5).filter(|n| *n != place).map(letter).collect()
}

async fn one_drops_out(does: Does, place: usize) {
    let (scripted, store) = combined(Scripted::default().every_commit(Fault::Slow(SLOW)));
    let first = entered(&store, Does::Keeps).await;
    let blocker = entered(&store, Does::Adds('_')).await;
    first.await.unwrap();
    let five = five(&store, |n| if n == place { does } else { Does::Adds(letter(n)) }).await;
    let answers = join_all(
        five.into_iter()
            .map(|update| AssertUnwindSafe(update).catch_unwind()),
    )
    .await;
    blocker.await.unwrap();
    let after = format!("_{}", without(place));
    assert_eq!(stored(&store).await, after, "{does:?} at {place}");
    assert_eq!(scripted.batches().len(), 2, "the five are one commit");
    let version = store.get(&row()).await.unwrap().unwrap().version;
    for (n, answer) in answers.into_iter().enumerate() {
        if n == place && does == Does::Panics {
            assert_eq!(
                *answer.unwrap_err().downcast::<&str>().unwrap(),
                "by the function"
            );
            continue;
        }
        match answer.expect("only one panics") {
            Err(UpdateError::Apply("refused")) => assert_eq!((n, does), (place, Does::Refuses)),
            Err(other) => panic!("{does:?} at {place}: {other}"),
            Ok(updated) => {
                let entry = updated.entry.unwrap();
                assert_eq!((entry.version, text(Some(&entry))), (version, after.clone()));
                let before: String = (0..n).filter(|m| *m != place).map(letter).collect();
                assert_eq!(updated.outcome, format!("_{before}"));
                assert_eq!(updated.committed.is_some(), n != place);
            }
        }
    }
    at_rest(&store).await;
}

async fn one_is_dropped(place: usize) {
    let (_, store) = combined(Scripted::default().every_commit(Fault::Slow(SLOW)));
    let blocker = entered(&store, Does::Adds('_')).await;
    tokio::task::yield_now().await;
    let mut five = five(&store, |n| Does::Adds(letter(n))).await;
    drop(five.remove(place));
    for answer in join_all(five).await {
        answer.unwrap();
    }
    blocker.await.unwrap();
    assert_eq!(stored(&store).await, format!("_{}", without(place)));
    at_rest(&store).await;
}

/// Who enters later expires later: so it is the first ones, up to a place.
async fn the_first_are_expired(place: usize) {
    let (scripted, store) = combined(Scripted::default().commits([Some(Fault::Hang)]));
    let blocker = entered(&store, Does::Adds('_')).await;
    tokio::task::yield_now().await;
    let (mut expiring, mut lasting) = (Vec::new(), Vec::new());
    for n in 0..=place {
        expiring.push(entered(&store, Does::Adds(letter(n))).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for n in place + 1..5 {
        lasting.push(entered(&store, Does::Adds(letter(n))).await);
    }
    let hung = blocker.await;
    assert!(
        matches!(hung, Err(UpdateError::Write(CommitError::Indeterminate { .. }))),
        "{hung:?}"
    );
    for answer in join_all(expiring).await {
        assert!(matches!(answer, Err(UpdateError::Deadline)), "{answer:?}");
    }
    for answer in join_all(lasting).await {
        answer.unwrap();
    }
    assert_eq!(
        stored(&store).await,
        (place + 1..5).map(letter).collect::<String>()
    );
    assert!(scripted.batches().len() <= 2);
    at_rest(&store).await;
}

/// FS-36
#[tokio::test(start_paused = true)]
async fn a_replace_at_the_groups_version_undoes_no_neighbour() {
    let (_, store) = combined(Scripted::default().every_commit(Fault::Slow(SLOW)));
    let blocker = entered(&store, Does::Adds('_')).await;
    tokio::task::yield_now().await;
    let mut three = Vec::new();
    for letter in ['a', 'b', 'c'] {
        three.push(entered(&store, Does::Adds(letter)).await);
    }
    let answers = join_all(three).await;
    blocker.await.unwrap();
    let first = answers.into_iter().next().unwrap().unwrap().entry.unwrap();
    let value = format!("{}!", text(Some(&first)));
    store
        .replace(row(), first.version, KIND, value, soon())
        .await
        .unwrap();
    assert_eq!(stored(&store).await, "_abc!");
}

/// FS-37
#[tokio::test(start_paused = true)]
async fn after_a_foreign_write_all_go_again_and_a_lost_answer_is_everyones() {
    let mut foreign = Batch::new(Lane::System);
    foreign.put(row(), Expected::Absent, KIND, "foreign ");
    let (_, store) = combined(Scripted::default().commits([Some(Fault::Foreign(foreign))]));
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = |letter| {
        let (store, runs) = (store.clone(), Arc::clone(&runs));
        async move {
            let add = move |entry: Option<&Entry>| {
                runs.fetch_add(1, Ordering::SeqCst);
                change(Does::Adds(letter), entry)
            };
            store.update(&row(), &Lane::System, add).await
        }
    };
    let (a, b, c) = futures::join!(counted('a'), counted('b'), counted('c'));
    assert_eq!(stored(&store).await, "foreign abc");
    assert_eq!(runs.load(Ordering::SeqCst), 6, "each ran twice");
    let before = [a, b, c].map(|answer| answer.unwrap().outcome);
    assert_eq!(before, ["foreign ", "foreign a", "foreign ab"]);

    for (lost, left) in [(Fault::LostBefore, ""), (Fault::LostAfter, "ab")] {
        let (scripted, store) = combined(Scripted::default().commits([Some(lost)]));
        let (a, b) = (
            entered(&store, Does::Adds('a')).await,
            entered(&store, Does::Adds('b')).await,
        );
        for answer in [a.await, b.await] {
            let Err(UpdateError::Write(CommitError::Indeterminate { source: Some(source) })) = answer else {
                panic!("{answer:?}")
            };
            assert_eq!(source.to_string(), "the script");
        }
        assert_eq!(
            (stored(&store).await.as_str(), scripted.batches().len()),
            (left, 1)
        );
        at_rest(&store).await;
    }
}

/// FS-38
#[tokio::test(start_paused = true)]
async fn a_full_queue_is_told_at_once_and_delays_no_quiet_key() {
    let hot = Duration::from_secs(5);
    let (_, store) = combined(Scripted::default().commits([Some(Fault::Slow(hot))]));
    let blocker = entered(&store, Does::Adds('_')).await;
    tokio::task::yield_now().await;
    let mut waiting = Vec::new();
    for _ in 0..COMBINE_QUEUE_MAX {
        waiting.push(entered(&store, Does::Adds('+')).await);
    }
    let begun = Instant::now();
    let over = store
        .update(&row(), &Lane::System, |entry| change(Does::Adds('x'), entry))
        .await;
    assert!(matches!(over, Err(UpdateError::QueueFull)), "{over:?}");
    let quiet = Key::parse("a/quiet").unwrap();
    let add = |entry: Option<&Entry>| change(Does::Adds('x'), entry);
    store.update(&quiet, &Lane::System, add).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for answer in join_all(waiting).await {
        answer.unwrap();
    }
    blocker.await.unwrap();
    assert_eq!(stored(&store).await.len(), 1 + COMBINE_QUEUE_MAX);
    at_rest(&store).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_full_of_waiting_updates_takes_no_more() {
    let (_, store) = combined(Scripted::default().every_commit(Fault::Slow(SLOW)));
    let mut waiting = Vec::new();
    // A queue's first is on its way, so each key has one more than waits.
    let keys = COMBINE_WAITING_MAX / COMBINE_QUEUE_MAX;
    for n in 0..=keys {
        let key = Key::parse(&format!("a/{n}")).unwrap();
        for place in 0..=COMBINE_QUEUE_MAX {
            let (key, owner) = (key.clone(), store.clone());
            let keep = |_: Option<&Entry>| Ok::<_, &str>((Change::put(KIND, "x").rewrite(), ()));
            let mut update = async move { owner.update(&key, &Lane::System, keep).await }.boxed();
            match poll!(&mut update) {
                std::task::Poll::Pending => waiting.push(update),
                std::task::Poll::Ready(answer) => {
                    assert!(matches!(answer, Err(UpdateError::QueueFull)), "{answer:?}");
                    assert!((n, place) >= (keys, 0), "full at {n}, {place}");
                }
            }
            if place == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
    assert_eq!(waiting.len(), COMBINE_WAITING_MAX + keys);
    drop(waiting);
    store.close(soon()).await.unwrap();
    at_rest(&store).await;
}

/// FS-39
#[tokio::test(start_paused = true)]
async fn callers_dropped_in_any_schedule_leave_nobody_hanging() {
    for _ in 0..200 {
        let seed = SysRng.try_next_u64().unwrap();
        let schedule = AssertUnwindSafe(schedule(seed)).catch_unwind();
        let done = tokio::time::timeout(2 * DEADLINE, schedule).await;
        assert!(matches!(done, Ok(Ok(()))), "seed {seed}: {done:?}");
    }
}

/// Callers come, are polled, and go; the store is slow, busy, and overtaken, and never loses an answer.
async fn schedule(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let faults: Vec<_> = (0..20)
        .map(|_| match random.random_range(0..5) {
            0 => Some(Fault::Slow(SLOW)),
            1 => Some(Fault::Busy),
            2 => Some(Fault::Conflict),
            _ => None,
        })
        .collect();
    let reads = (0..20)
        .map(|_| random.random_bool(0.1).then_some(ReadFault::Unavailable))
        .collect::<Vec<_>>();
    let (scripted, store) = combined(Scripted::default().commits(faults).reads(reads));
    let mut waiting: Vec<(char, BoxFuture<'static, Answer>)> = Vec::new();
    let (mut done, mut dropped) = (BTreeSet::new(), BTreeSet::new());
    for n in 0..40_u32 {
        let letter = char::from_u32(0x4e00 + n).unwrap();
        waiting.push((letter, entered(&store, Does::Adds(letter)).await));
        let at = random.random_range(0..waiting.len());
        match random.random_range(0..4) {
            0 => drop(dropped.insert(waiting.swap_remove(at).0)),
            1 => tokio::task::yield_now().await,
            2 => tokio::time::sleep(Duration::from_micros(random.random_range(0..3000))).await,
            _ => {
                if let std::task::Poll::Ready(answer) = poll!(&mut waiting[at].1) {
                    answer.unwrap();
                    done.insert(waiting.swap_remove(at).0);
                }
            }
        }
    }
    for (letter, update) in waiting {
        update.await.unwrap();
        done.insert(letter);
    }
    store.close(soon()).await.unwrap();
    let stored = text(scripted.memory().get(&row()).await.unwrap().as_ref());
    let found: BTreeSet<char> = stored.chars().collect();
    assert_eq!(found.len(), stored.chars().count(), "each once: {stored}");
    assert!(found.is_superset(&done), "what was answered is there");
    assert!(
        found
            .iter()
            .all(|letter| done.contains(letter) || dropped.contains(letter))
    );
    at_rest(&store).await;
}

/// What one member writes beside the record never stops its neighbours.
#[tokio::test(start_paused = true)]
async fn a_member_whose_further_writes_fail_goes_on_alone() {
    let (_, store) = combined(Scripted::default().commits([Some(Fault::Slow(SLOW))]));
    let blocker = entered(&store, Does::Adds('_')).await;
    tokio::task::yield_now().await;
    let mut group = Vec::new();
    for does in [Does::Adds('a'), Does::AddsInVain('x'), Does::Adds('b')] {
        group.push(entered(&store, does).await);
    }
    let mut answers = join_all(group).await;
    blocker.await.unwrap();
    let vain = answers.remove(1);
    assert!(
        matches!(
            vain,
            Err(UpdateError::Contended {
                attempts: ATTEMPTS_MAX
            })
        ),
        "{vain:?}"
    );
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(stored(&store).await, "_ab");
    at_rest(&store).await;
}

/// Two members that write one further key are two commits, in order.
#[tokio::test(start_paused = true)]
async fn a_second_writer_of_a_further_key_waits_a_round() {
    let (scripted, store) = combined(Scripted::default().commits([Some(Fault::Slow(SLOW))]));
    let blocker = entered(&store, Does::Adds('_')).await;
    tokio::task::yield_now().await;
    let mut group = Vec::new();
    for does in [
        Does::AddsBeside('a', "b/one"),
        Does::AddsBeside('b', "b/two"),
        Does::AddsBeside('c', "b/one"),
        Does::Adds('d'),
    ] {
        group.push(entered(&store, does).await);
    }
    let answers = join_all(group).await;
    blocker.await.unwrap();
    // The third finds `b/one` there: its own conflict, which ends as such.
    assert!(
        matches!(answers[2], Err(UpdateError::Contended { .. })),
        "{:?}",
        answers[2]
    );
    assert_eq!(stored(&store).await, "_abd");
    let second = &scripted.batches()[1];
    assert_eq!(
        (
            second.puts.len(),
            second.puts.iter().filter(|p| p.key == row()).count()
        ),
        (3, 1)
    );
    at_rest(&store).await;
}

/// A commit carries the lane of its key's tenant.
#[tokio::test(start_paused = true)]
async fn a_group_goes_in_the_lane_of_its_tenant() {
    let (scripted, store) = combined(Scripted::default());
    let lane = Lane::Tenant(Segment::parse("acme").unwrap());
    store
        .update(&row(), &lane, |entry| change(Does::Adds('a'), entry))
        .await
        .unwrap();
    assert_eq!(scripted.batches()[0].lane, lane);
}

/// Errors end a group as they end an update alone.
#[tokio::test(start_paused = true)]
async fn a_groups_error_is_told_to_each() {
    let (_, store) = combined(Scripted::default().every_commit(Fault::Conflict));
    let (a, b) = (
        entered(&store, Does::Adds('a')).await,
        entered(&store, Does::Adds('b')).await,
    );
    for answer in [a.await, b.await] {
        assert!(
            matches!(
                answer,
                Err(UpdateError::Contended {
                    attempts: ATTEMPTS_MAX
                })
            ),
            "{answer:?}"
        );
    }
    let (_, store) = combined(Scripted::default().every_read(ReadFault::Hang));
    let begun = Instant::now();
    let hung = entered(&store, Does::Adds('a')).await.await;
    assert!(matches!(hung, Err(UpdateError::Deadline)), "{hung:?}");
    assert_eq!(begun.elapsed(), DEADLINE);
    at_rest(&store).await;
}
