//! Queues: bounded, gone at rest, and nobody hangs whoever is dropped.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use dormouse_filesystem::update::DEADLINE;
use dormouse_filesystem::{
    COMBINE_QUEUE_MAX, COMBINE_WAITING_MAX, Change, Entry, Key, Lane, RecordStore, UpdateError,
};
use futures::future::{BoxFuture, FutureExt, join_all};
use futures::poll;
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};
use tokio::time::Instant;

use super::{
    Answer, Does, KIND, SLOW, at_rest, change, combined, entered, in_flight, row, soon, stored, text,
};
use crate::scripted::{Fault, ReadFault, Scripted};

/// FS-38
#[tokio::test(start_paused = true)]
async fn a_full_queue_is_told_at_once_and_delays_no_quiet_key() {
    let hot = Duration::from_secs(5);
    let (_, store) = combined(Scripted::default().commits([Some(Fault::Slow(hot))]));
    let blocker = in_flight(&store).await;
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
