//! A store closed, opened again, and made anew.

use super::Harness;
use super::kit::{
    append, conflict, create, delete, key, log, prefix, replace, soon, try_create, value, version,
};
use crate::{CommitError, LogError, LogHead, Position, State};

/// FS-3, but for restored stores: this crate's tests of files prove those.
pub async fn an_old_version_is_never_valid_again<H: Harness>(harness: H) {
    let store = harness.open().await;
    let mut seen = vec![create(&*store, "a", "0").await];
    for round in 0..8 {
        let last = *seen.last().expect("one was created");
        seen.push(
            delete(&*store, "a", last)
                .await
                .expect("it is the current version"),
        );
        seen.push(create(&*store, "a", &round.to_string()).await);
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "versions rise: {seen:?}");
    let current = seen.pop().expect("one was created");
    for old in &seen {
        conflict(replace(&*store, "a", *old, "x").await);
        conflict(delete(&*store, "a", *old).await);
    }
    assert_eq!(version(&*store, "a").await, Some(current));

    store.close(soon()).await.expect("nothing is in flight");
    drop(store);
    let store = harness.anew().await;
    assert_eq!(version(&*store, "a").await, None);
    let again = create(&*store, "a", "anew").await;
    assert!(again > current, "{again} after {current}");
    for old in seen.into_iter().chain([current]) {
        conflict(replace(&*store, "a", old, "x").await);
        conflict(delete(&*store, "a", old).await);
    }
}

/// A log of a store made anew is another log.
pub async fn a_log_made_anew_has_another_incarnation<H: Harness>(harness: H) {
    let store = harness.open().await;
    append(&*store, "l", "one").await;
    let before = store.head(&log("l")).await.expect("answers").incarnation;
    store.close(soon()).await.expect("nothing is in flight");
    drop(store);
    let store = harness.anew().await;
    assert_eq!(store.head(&log("l")).await.expect("answers"), LogHead::NONE);
    assert_eq!(append(&*store, "l", "one").await, Position::FIRST);
    assert!(store.head(&log("l")).await.expect("answers").incarnation > before);
}

/// Where anything outlasts a store, everything acknowledged does, and versions and positions go on from there.
pub async fn what_was_acknowledged_is_there_when_opened_again<H: Harness>(harness: H) {
    let store = harness.open().await;
    let first = create(&*store, "a", "1").await;
    let kept = replace(&*store, "a", first, "2").await.expect("current");
    let gone = create(&*store, "gone", "").await;
    delete(&*store, "gone", gone).await.expect("current");
    for entry in ["one", "two", "three"] {
        append(&*store, "l", entry).await;
    }
    store
        .truncate(&log("l"), Position::new(2))
        .await
        .expect("it has 3");
    let head = store.head(&log("l")).await.expect("answers");
    store.close(soon()).await.expect("nothing is in flight");
    drop(store);

    let Some(store) = harness.reopen().await else {
        return;
    };
    assert_eq!(version(&*store, "a").await, Some(kept));
    assert_eq!(value(&*store, "a").await.as_deref(), Some("2"));
    assert_eq!(version(&*store, "gone").await, None);
    assert_eq!(store.head(&log("l")).await.expect("answers"), head);
    let tail = store
        .tail(&log("l"), Position::new(1), 10)
        .await
        .expect("it has 2");
    assert_eq!(tail.len(), 2);
    let last = tail[1].version;
    assert!(create(&*store, "b", "").await > last);
    assert_eq!(append(&*store, "l", "four").await, Position::new(4));
}

/// After a close writes are `Closed`, reads go on, and watches end.
pub async fn a_closed_store_takes_no_write_and_still_reads<H: Harness>(harness: H) {
    let store = harness.open().await;
    let a = create(&*store, "a", "a").await;
    append(&*store, "l", "one").await;
    let mut watch = store.watch(&prefix("")).await.expect("watches are declared");
    store.close(soon()).await.expect("nothing is in flight");
    store.close(soon()).await.expect("closing twice is closing");
    let refused = try_create(&*store, "b", "").await;
    assert!(matches!(refused, Err(CommitError::Closed { .. })), "{refused:?}");
    let refused = replace(&*store, "a", a, "x").await;
    assert!(matches!(refused, Err(CommitError::Closed { .. })), "{refused:?}");
    let refused = store.truncate(&log("l"), Position::new(2)).await;
    assert!(
        matches!(refused, Err(LogError::Commit(CommitError::Closed { .. }))),
        "{refused:?}"
    );
    assert_eq!(value(&*store, "a").await.as_deref(), Some("a"));
    assert_eq!(store.get_many(&[key("b")]).await.expect("reads go on"), [None]);
    let tail = store
        .tail(&log("l"), Position::START, 1)
        .await
        .expect("reads go on");
    assert_eq!(tail.len(), 1);
    assert!(matches!(store.health().await.state, State::Closed { .. }));
    // One hint may have been pending; the end comes after it, and stays.
    let ended = async { while watch.next().await.is_some() {} };
    tokio::time::timeout(super::kit::PATIENCE, ended)
        .await
        .expect("a closed store's watches end");
    assert_eq!(watch.next().await, None);
    let mut late = store.watch(&prefix("")).await.expect("watches are declared");
    let ended = tokio::time::timeout(super::kit::PATIENCE, late.next()).await;
    assert_eq!(ended, Ok(None), "a watch begun after the close ends at once");
}
