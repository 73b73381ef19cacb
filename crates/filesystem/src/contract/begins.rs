//! Logs that begin where others ended, and readers that go on in them.

use super::Harness;
use super::kit::{append, batch, commit, conflict, create, failed, log, prefix, soon, version};
use crate::{
    BATCH_OPERATIONS_MAX, CommitError, LOG_FIRST_MAX, LogCursor, LogError, LogHead, Position, Predecessor,
    RecordStore, RecordStoreExt, Version,
};

const OLD: Predecessor = Predecessor {
    incarnation: Version::new(700),
    next: Position::new(12),
};

/// A log begins at its first position with its predecessor, and what the same batch appends follows there.
pub async fn a_log_begins_where_another_ended<H: Harness>(harness: H) {
    let store = harness.open().await;
    let mut begins = batch();
    begins
        .append(log("l"), "seven")
        .begin(log("l"), Position::new(7), Some(OLD))
        .begin(log("empty"), Position::new(5), None)
        .append(log("l"), "eight")
        .append(log("other"), "one");
    let committed = commit(&*store, begins).await.expect("none of them is there");
    let expected = [(log("l"), Position::new(7)), (log("other"), Position::FIRST)];
    assert_eq!(committed.positions, expected);
    let incarnation = committed.version;
    let head = LogHead {
        incarnation,
        first: Position::new(7),
        next: Position::new(9),
        bytes: 10,
        predecessor: Some(OLD),
    };
    let empty = LogHead {
        incarnation,
        first: Position::new(5),
        next: Position::new(5),
        bytes: 0,
        predecessor: None,
    };
    assert_eq!(store.head(&log("l")).await.expect("answers"), head);
    assert_eq!(store.head(&log("empty")).await.expect("answers"), empty);
    let heads = store.heads(&prefix(""), None, 2).await.expect("answers");
    assert_eq!(heads, [(log("empty"), empty), (log("l"), head)]);
    let tail = store
        .tail(&log("l"), Position::new(6), 10)
        .await
        .expect("its first is 7");
    let read: Vec<_> = tail
        .iter()
        .map(|logged| (logged.position.get(), &logged.entry[..]))
        .collect();
    assert_eq!(read, [(7, &b"seven"[..]), (8, b"eight")]);
    assert!(tail.iter().all(|logged| Some(logged.version) == incarnation));
    let gap = store.tail(&log("l"), Position::new(5), 10).await;
    assert!(
        matches!(gap, Err(LogError::ReplayGap { first, .. }) if first == head.first),
        "{gap:?}"
    );
    assert_eq!(append(&*store, "empty", "five").await, Position::new(5));
    assert_eq!(
        store.head(&log("empty")).await.expect("answers").incarnation,
        incarnation
    );
    assert_eq!(append(&*store, "l", "nine").await, Position::new(9));
    let first = store
        .truncate(&log("l"), Position::new(8))
        .await
        .expect("it has 9");
    assert_eq!(first, Position::new(8));
    assert_eq!(
        store.head(&log("l")).await.expect("answers").predecessor,
        Some(OLD)
    );
}

/// What was begun is there again where anything outlasts a store, and goes on.
pub async fn a_log_that_was_begun_outlasts_its_store<H: Harness>(harness: H) {
    let store = harness.open().await;
    let mut begins = batch();
    begins
        .begin(log("l"), Position::new(7), Some(OLD))
        .begin(log("empty"), Position::new(5), Some(OLD))
        .append(log("l"), "seven");
    commit(&*store, begins).await.expect("none of them is there");
    let heads = store.heads(&prefix(""), None, 10).await.expect("answers");
    store.close(soon()).await.expect("nothing is in flight");
    drop(store);
    let Some(store) = harness.reopen().await else {
        return;
    };
    assert_eq!(store.heads(&prefix(""), None, 10).await.expect("answers"), heads);
    assert_eq!(append(&*store, "empty", "five").await, Position::new(5));
    assert_eq!(append(&*store, "l", "eight").await, Position::new(8));
}

/// A log that is there is not begun again: the conflict names its key and its incarnation, beside all else that failed.
pub async fn a_log_that_is_there_is_not_begun<H: Harness>(harness: H) {
    let store = harness.open().await;
    append(&*store, "l", "one").await;
    let there = store.head(&log("l")).await.expect("answers");
    let a = create(&*store, "a", "").await;
    let mut again = batch();
    again
        .check(super::kit::key("a"), crate::Expected::Absent)
        .begin(log("new"), Position::FIRST, None)
        .begin(log("l"), Position::new(9), Some(OLD))
        .append(log("l"), "two");
    let named = conflict(commit(&*store, again).await);
    assert_eq!(named, [failed("a", Some(a)), failed("l", there.incarnation)]);
    assert_eq!(store.head(&log("l")).await.expect("answers"), there);
    assert_eq!(store.head(&log("new")).await.expect("answers"), LogHead::NONE);
    assert_eq!(version(&*store, "a").await, Some(a));
    // One that races with others is begun once.
    let race = (0..8).map(|_| {
        let mut begin = batch();
        begin
            .begin(log("raced"), Position::new(3), None)
            .append(log("raced"), "three");
        commit(&*store, begin)
    });
    let won = futures::future::join_all(race)
        .await
        .into_iter()
        .filter(Result::is_ok);
    assert_eq!(won.count(), 1);
    let raced = store.head(&log("raced")).await.expect("answers");
    assert_eq!((raced.first, raced.next), (Position::new(3), Position::new(4)));
}

/// A begin counts as an operation, and what cannot be a log's is refused before anything is done.
pub async fn a_begin_is_held_against_its_limits<H: Harness>(harness: H) {
    let store = harness.open().await;
    let mut most = batch();
    for n in 0..BATCH_OPERATIONS_MAX {
        most.begin(log(&format!("most/{n}")), LOG_FIRST_MAX, None);
    }
    commit(&*store, most.clone()).await.expect("at the limit");
    most.begin(log("over"), Position::FIRST, None);
    let refused = commit(&*store, most).await;
    assert!(
        matches!(refused, Err(CommitError::TooLarge { .. })),
        "{refused:?}"
    );
    let never = |predecessor: Predecessor| Some(predecessor);
    for (first, predecessor) in [
        (Position::START, None),
        (LOG_FIRST_MAX.next(), None),
        (
            Position::FIRST,
            never(Predecessor {
                incarnation: Version::new(0),
                ..OLD
            }),
        ),
        (
            Position::FIRST,
            never(Predecessor {
                incarnation: Version::new(1 << 53),
                ..OLD
            }),
        ),
        (
            Position::FIRST,
            never(Predecessor {
                next: Position::START,
                ..OLD
            }),
        ),
    ] {
        let mut begin = batch();
        begin.begin(log("over"), first, predecessor);
        let refused = commit(&*store, begin).await;
        assert!(
            matches!(refused, Err(CommitError::Invalid { .. })),
            "{first} {predecessor:?}: {refused:?}"
        );
    }
    let mut twice = batch();
    twice
        .begin(log("over"), Position::FIRST, None)
        .begin(log("over"), Position::FIRST, None);
    let refused = commit(&*store, twice).await;
    assert!(matches!(refused, Err(CommitError::Invalid { .. })), "{refused:?}");
    assert_eq!(store.head(&log("over")).await.expect("answers"), LogHead::NONE);
}

/// A cursor of the log itself goes on; one of its predecessor within what that had; any other is of another log.
pub async fn a_cursor_goes_on_in_its_log_and_in_its_successor<H: Harness>(harness: H) {
    let store = harness.open().await;
    let mut begins = batch();
    begins.begin(log("l"), Position::new(7), Some(OLD));
    for n in 7..12 {
        begins.append(log("l"), n.to_string());
    }
    let own = commit(&*store, begins)
        .await
        .expect("it is not there")
        .version
        .expect("it writes");
    let resume = async |incarnation, after| {
        let cursor = LogCursor {
            incarnation,
            after: Position::new(after),
        };
        store.resume(&log("l"), cursor).await
    };
    for (incarnation, after) in [(own, 6), (own, 11), (OLD.incarnation, 0), (OLD.incarnation, 11)] {
        let after_it = resume(incarnation, after).await.expect("it is good");
        assert_eq!(after_it, Position::new(after));
    }
    for (incarnation, after) in [(OLD.incarnation, 12), (OLD.incarnation, 50), (Version::new(1), 7)] {
        let refused = resume(incarnation, after).await;
        assert!(
            matches!(refused, Err(LogError::Incarnation { found }) if found == own),
            "{incarnation} {after}: {refused:?}"
        );
    }
    let nowhere = store
        .resume(
            &log("none"),
            LogCursor {
                incarnation: own,
                after: Position::START,
            },
        )
        .await;
    assert!(matches!(nowhere, Err(LogError::ReplayGap { .. })), "{nowhere:?}");
}
