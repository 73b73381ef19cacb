//! Hints: rung after a commit is readable, coalesced, on segment boundary.

use std::sync::Arc;

use futures::{FutureExt, StreamExt};

use super::Harness;
use super::kit::{PATIENCE, append, create, delete, log, prefix, soon, version};
use crate::{Hint, LogError, Position, ReadError, RecordStoreExt, WATCHES_MAX, Watch, follow};

async fn hint(watch: &mut Watch) -> Option<Hint> {
    tokio::time::timeout(PATIENCE, watch.next())
        .await
        .expect("a change is hinted at")
}

/// Every change below a prefix is hinted at, after it can be read; many are one hint.
pub async fn a_change_is_hinted_at_once_it_can_be_read<H: Harness>(harness: H) {
    let store = harness.open().await;
    let mut all = store.watch(&prefix("")).await.expect("watches are declared");
    let mut place = store.watch(&prefix("p")).await.expect("watches are declared");
    let created = create(&*store, "p/row", "").await;
    assert!(hint(&mut place).await.is_some());
    assert_eq!(version(&*store, "p/row").await, Some(created));
    delete(&*store, "p/row", created).await.expect("current");
    assert!(hint(&mut place).await.is_some());
    append(&*store, "p/log", "").await;
    assert!(hint(&mut place).await.is_some());
    assert!(hint(&mut all).await.is_some(), "the root holds everything");
    assert_eq!(all.next().now_or_never(), None, "three changes are one hint");
    create(&*store, "q/row", "").await;
    assert_eq!(place.next().now_or_never(), None, "another place");
    assert!(hint(&mut all).await.is_some());
}

/// A watch begun before a commit of another task is rung by it, whoever is first.
pub async fn a_waiting_reader_is_woken<H: Harness>(harness: H) {
    let store = harness.open().await;
    for round in 0..50 {
        let mut watch = store.watch(&prefix("p")).await.expect("watches are declared");
        let writer = Arc::clone(&store);
        let path = format!("p/{round}");
        let created = tokio::spawn(async move { create(&*writer, &path, "").await });
        assert!(hint(&mut watch).await.is_some());
        created.await.expect("the key is absent");
    }
}

/// Watches are bounded, and those dropped make room.
pub async fn watches_are_bounded<H: Harness>(harness: H) {
    let store = harness.open().await;
    let mut watches = Vec::new();
    for _ in 0..WATCHES_MAX {
        watches.push(store.watch(&prefix("p")).await.expect("below the limit"));
    }
    let over = store.watch(&prefix("p")).await;
    assert!(matches!(over, Err(ReadError::Unavailable { .. })), "{over:?}");
    watches.pop();
    assert!(store.watch(&prefix("p")).await.is_ok());
}

/// `follow` yields what is there, then what comes, each once; it ends when the store closes.
pub async fn a_follower_sees_what_is_there_and_what_comes<H: Harness>(harness: H) {
    let store = harness.open().await;
    for n in 1..=3 {
        append(&*store, "l", &n.to_string()).await;
    }
    let mut entries = Box::pin(follow(Arc::clone(&store), log("l"), Position::new(1)));
    let writer = Arc::clone(&store);
    let appended = tokio::spawn(async move {
        for n in 4..=50 {
            append(&*writer, "l", &n.to_string()).await;
        }
    });
    for n in 2..=50 {
        let entry = tokio::time::timeout(PATIENCE, entries.next()).await;
        let entry = entry
            .expect("it comes")
            .expect("the store is open")
            .expect("no gap");
        assert_eq!(
            (entry.position.get(), &*entry.entry),
            (n, n.to_string().as_bytes())
        );
    }
    appended.await.expect("an append has no precondition");
    store.close(soon()).await.expect("nothing is in flight");
    let end = tokio::time::timeout(PATIENCE, entries.next())
        .await
        .expect("it ends");
    assert!(end.is_none(), "{end:?}");
}

/// `follow` over a gap ends with the gap.
pub async fn a_follower_over_a_gap_ends_with_the_gap<H: Harness>(harness: H) {
    let store = harness.open().await;
    for _ in 0..5 {
        append(&*store, "l", "").await;
    }
    store
        .truncate(&log("l"), Position::new(4))
        .await
        .expect("it has 5");
    for after in [Position::new(1), Position::new(9)] {
        let entries: Vec<_> = store.follow(log("l"), after).collect().await;
        let [Err(LogError::ReplayGap { first, next })] = entries.as_slice() else {
            panic!("{entries:?}")
        };
        assert_eq!((*first, *next), (Position::new(4), Position::new(6)));
    }
}
