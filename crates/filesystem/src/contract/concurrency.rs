//! Many at once, and futures dropped on the way.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::poll;
use tokio::task::{JoinSet, yield_now};

use super::Harness;
use super::kit::{
    KIND, append, batch, commit, conflict, create, delete, key, log, seeded, soon, try_create, version,
};
use crate::{Batch, BusyCause, CommitError, Deadline, Expected, Position, RecordStore};

/// FS-7
pub async fn one_of_many_deletes_wins_and_none_removes_what_is_newer<H: Harness>(harness: H) {
    let store = harness.open().await;
    let mut old = Vec::new();
    for round in 0..25 {
        let token = create(&*store, "a", &round.to_string()).await;
        let mut deletes = JoinSet::new();
        for _ in 0..16 {
            let store = Arc::clone(&store);
            deletes.spawn(async move { delete(&*store, "a", token).await });
        }
        let answers = deletes.join_all().await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1, "round {round}: {answers:?}");
        for lost in answers.into_iter().filter(Result::is_err) {
            assert_eq!(conflict(lost)[0].actual, None);
        }
        old.push(token);
    }
    let newer = create(&*store, "a", "newer").await;
    let answers = join_all(old.into_iter().map(|token| delete(&*store, "a", token))).await;
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    assert_eq!(version(&*store, "a").await, Some(newer));
}

/// FS-8
pub async fn a_commit_dropped_anywhere_is_whole_or_absent<H: Harness>(harness: H) {
    let store = harness.open().await;
    for round in 0..64_usize {
        let is_done = drop_after_polls(&*store, round, round % 8).await;
        let next = tokio::time::timeout(super::kit::PATIENCE, commit(&*store, pair(round, "next"))).await;
        next.expect("the next commit goes at once")
            .expect("its keys are its own");
        // It may still be under way: whoever creates its first key now has won against it, or lost.
        let left = format!("{round}/dropped/left");
        let is_whole = try_create(&*store, &left, "instead").await.is_err();
        let left = version(&*store, &left).await.filter(|_| is_whole);
        let right = version(&*store, &format!("{round}/dropped/right")).await;
        let entries = store
            .head(&log(&format!("{round}/dropped/log")))
            .await
            .expect("answers");
        assert_eq!(left, right);
        assert_eq!(left, entries.incarnation);
        assert!(left.is_some() || !is_done, "an acknowledged commit is there");
    }
}

fn pair(round: usize, name: &str) -> Batch {
    let mut pair = batch();
    for side in ["left", "right"] {
        pair.put(key(&format!("{round}/{name}/{side}")), Expected::Absent, KIND, "");
    }
    pair.append(log(&format!("{round}/{name}/log")), "entry");
    pair
}

/// Polls a commit so often, then drops it; true when it was done by then.
async fn drop_after_polls(store: &dyn RecordStore, round: usize, polls: usize) -> bool {
    let mut dropped = Box::pin(commit(store, pair(round, "dropped")));
    for _ in 0..polls {
        if poll!(&mut dropped).is_ready() {
            return true;
        }
        yield_now().await;
    }
    false
}

/// The half of the tenth case that needs no fault: a deadline that passed, or passes somewhere on the way, answers truly.
pub async fn a_commit_past_its_deadline_is_never_done_late<H: Harness>(harness: H) {
    let store = harness.open().await;
    let late = store
        .commit(pair(0, "late"), Deadline::after(Duration::ZERO))
        .await;
    assert!(
        matches!(
            late,
            Err(CommitError::Busy {
                cause: BusyCause::Deadline
            })
        ),
        "{late:?}"
    );
    let mut random = seeded(10);
    let mut attempts = JoinSet::new();
    for round in 1..200_usize {
        let store = Arc::clone(&store);
        let deadline = Duration::from_micros(random(4_000));
        attempts.spawn(async move {
            let answer = store.commit(pair(round, "late"), Deadline::after(deadline)).await;
            (round, answer)
        });
    }
    let mut answers = attempts.join_all().await;
    answers.push((0, late));
    append(&*store, "settled", "every commit before this one is done or not").await;
    for (round, answer) in answers {
        let found = version(&*store, &format!("{round}/late/left")).await;
        match answer {
            Ok(committed) => assert_eq!(found, committed.version),
            Err(CommitError::Busy { .. }) => assert_eq!(found, None, "{round} was done late"),
            Err(CommitError::Indeterminate { .. }) => {}
            Err(other) => panic!("{round}: {other}"),
        }
    }
}

/// FS-19, between tasks.
pub async fn a_polling_reader_sees_each_entry_once_and_in_order<H: Harness>(harness: H) {
    const APPENDERS: u64 = 8;
    const EACH: u64 = 50;
    let store = harness.open().await;
    let mut appenders = JoinSet::new();
    for appender in 0..APPENDERS {
        let store = Arc::clone(&store);
        appenders.spawn(async move {
            for n in 0..EACH {
                append(&*store, "l", &format!("{appender}:{n}")).await;
            }
        });
    }
    let mut seen: Vec<crate::Logged> = Vec::new();
    while seen.len() < usize::try_from(APPENDERS * EACH).expect("it is small") {
        let after = seen.last().map_or(Position::START, |entry| entry.position);
        seen.extend(
            store
                .tail(&log("l"), after, 7)
                .await
                .expect("the reader is within"),
        );
        yield_now().await;
    }
    appenders.join_all().await;
    let positions: Vec<u64> = seen.iter().map(|entry| entry.position.get()).collect();
    assert_eq!(positions, (1..=APPENDERS * EACH).collect::<Vec<_>>());
    assert!(seen.is_sorted_by(|a, b| a.version < b.version), "commit order");
    for appender in 0..APPENDERS {
        let mine: Vec<_> = seen
            .iter()
            .filter_map(|e| {
                std::str::from_utf8(&e.entry)
                    .ok()?
                    .strip_prefix(&format!("{appender}:"))
            })
            .collect();
        let sent: Vec<String> = (0..EACH).map(|n| n.to_string()).collect();
        assert_eq!(mine, sent, "each once, in the order it was sent");
    }
}

/// Commits to distinct keys do not wait for one another's answer.
pub async fn many_commits_at_once_are_each_done<H: Harness>(harness: H) {
    let store = harness.open().await;
    let mut commits = JoinSet::new();
    for n in 0..256_usize {
        let store = Arc::clone(&store);
        commits.spawn(async move { store.commit(pair(n, "many"), soon()).await });
    }
    let mut versions: Vec<_> = commits
        .join_all()
        .await
        .into_iter()
        .map(|answer| answer.expect("its keys are its own").version)
        .collect();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 256, "no two commits share a version");
}
