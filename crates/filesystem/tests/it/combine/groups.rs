//! Groups: one commit, in order, everyone's further writes, everyone's own answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dormouse_filesystem::update::{ATTEMPTS_MAX, DEADLINE};
use dormouse_filesystem::{
    Batch, Change, CommitError, Entry, Expected, LOG_ENTRY_MAX, Lane, Position, RecordStore, RecordStoreExt,
    Segment, UpdateError,
};
use futures::future::{FutureExt, join_all};
use tokio::time::Instant;

use super::{Does, KIND, SLOW, at_rest, change, combined, entered, in_flight, log, row, soon, stored, text};
use crate::scripted::{Fault, ReadFault, Scripted};

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

/// FS-36
#[tokio::test(start_paused = true)]
async fn a_replace_at_the_groups_version_undoes_no_neighbour() {
    let (_, store) = combined(Scripted::default().every_commit(Fault::Slow(SLOW)));
    let blocker = in_flight(&store).await;
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

/// What one member writes beside the record never stops its neighbours.
#[tokio::test(start_paused = true)]
async fn a_member_whose_further_writes_fail_goes_on_alone() {
    let (_, store) = combined(Scripted::default().commits([Some(Fault::Slow(SLOW))]));
    let blocker = in_flight(&store).await;
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
    let blocker = in_flight(&store).await;
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

/// What fits a commit alone goes, whatever is stored: here, log entries beside a record that stays as it is.
#[tokio::test(start_paused = true)]
async fn a_large_record_that_stays_does_not_keep_its_writes_waiting() {
    let (_, store) = combined(Scripted::default());
    let large = vec![7_u8; 600 * 1024];
    store.create(row(), KIND, large, soon()).await.unwrap();
    let append = |_: Option<&Entry>| {
        let mut more = Batch::new(Lane::System);
        more.append(log(), vec![1; LOG_ENTRY_MAX])
            .append(log(), vec![2; LOG_ENTRY_MAX]);
        Ok::<_, &str>((Change::keep().with(more), ()))
    };
    let key = row();
    let update = || store.update(&key, &Lane::System, append).boxed();
    let answers = join_all([update(), update()]).await;
    let positions: Vec<_> = answers
        .into_iter()
        .flat_map(|answer| answer.unwrap().committed.unwrap().positions)
        .collect();
    assert_eq!(positions, [(log(), Position::FIRST), (log(), Position::new(3))]);
}

/// What no store would take is the error of who asked for it.
#[tokio::test(start_paused = true)]
async fn a_member_over_a_limit_is_refused_alone() {
    let (_, store) = combined(Scripted::default());
    let over = |_: Option<&Entry>| {
        let mut more = Batch::new(Lane::System);
        more.append(log(), vec![1; LOG_ENTRY_MAX + 1]);
        Ok::<_, &str>((Change::keep().with(more), ()))
    };
    let key = row();
    let (over, other) = futures::join!(
        store.update(&key, &Lane::System, over),
        store.update(&key, &Lane::System, |entry| change(Does::Adds('a'), entry))
    );
    assert!(
        matches!(
            over,
            Err(UpdateError::Write(CommitError::TooLarge {
                limit: "LOG_ENTRY_MAX"
            }))
        ),
        "{over:?}"
    );
    assert_eq!(other.unwrap().outcome, "");
    assert_eq!(stored(&store).await, "a");
}

/// Who waits for the next round goes before who waits behind it.
#[tokio::test(start_paused = true)]
async fn order_holds_over_rounds() {
    let (scripted, store) = combined(Scripted::default().commits([Some(Fault::Slow(SLOW))]));
    let blocker = in_flight(&store).await;
    let mut group = Vec::new();
    for does in [
        Does::AddsIfAbsent('a', "b/none"),
        Does::AddsBeside('b', "b/none"),
        Does::Adds('c'),
        Does::Adds('d'),
    ] {
        group.push(entered(&store, does).await);
    }
    for answer in join_all(group).await {
        answer.unwrap();
    }
    blocker.await.unwrap();
    assert_eq!(
        (stored(&store).await.as_str(), scripted.batches().len()),
        ("_abcd", 3)
    );
}

/// What several only expect alike keeps none of them from the others' round.
#[tokio::test(start_paused = true)]
async fn members_that_expect_the_same_share_a_commit() {
    let (scripted, store) = combined(Scripted::default().commits([Some(Fault::Slow(SLOW))]));
    let blocker = in_flight(&store).await;
    let mut group = Vec::new();
    for letter in ['a', 'b', 'c'] {
        group.push(entered(&store, Does::AddsIfAbsent(letter, "b/none")).await);
    }
    for answer in join_all(group).await {
        answer.unwrap();
    }
    blocker.await.unwrap();
    assert_eq!(
        (stored(&store).await.as_str(), scripted.batches().len()),
        ("_abc", 2)
    );
}

/// A member behind one that deletes finds nothing, and what it creates stands.
#[tokio::test(start_paused = true)]
async fn a_deletion_in_a_group_is_seen_behind_it() {
    let (scripted, store) = combined(Scripted::default().commits([Some(Fault::Slow(SLOW))]));
    let blocker = in_flight(&store).await;
    let mut group = Vec::new();
    for does in [Does::Adds('x'), Does::Deletes, Does::Adds('a'), Does::Adds('b')] {
        group.push(entered(&store, does).await);
    }
    let before: Vec<String> = join_all(group)
        .await
        .into_iter()
        .map(|answer| answer.unwrap().outcome)
        .collect();
    blocker.await.unwrap();
    assert_eq!(before, ["_", "_x", "", "a"]);
    assert_eq!(
        (stored(&store).await.as_str(), scripted.batches().len()),
        ("ab", 2)
    );
}
