//! Logs: positions in commit order, a suffix kept, a gap told.

use super::Harness;
use super::kit::{KIND, append, batch, commit, conflict, create, key, log, prefix};
use crate::{
    Expected, LOG_ENTRY_MAX, LogError, LogHead, PAGE_BYTES_MAX, PAGE_MAX, Position, ReadError, RecordStore,
};

/// FS-20; the fault is a batch refused, for none is lost on the way without a network.
pub async fn positions_are_contiguous_whatever_was_refused<H: Harness>(harness: H) {
    let store = harness.open().await;
    let guard = create(&*store, "guard", "").await;
    for n in 0..10_u64 {
        let mut refused = batch();
        refused
            .append(log("l"), "refused")
            .put(key(&format!("row/{n}")), Expected::At(guard), KIND, "");
        conflict(commit(&*store, refused.clone()).await);
        let mut retried = refused;
        retried.puts[0].expected = Expected::Absent;
        retried.appends[0].entry = n.to_string().into();
        let done = commit(&*store, retried.clone()).await.expect("its row is absent");
        assert_eq!(done.positions, [(log("l"), Position::new(n + 1))]);
        conflict(commit(&*store, retried).await);
    }
    let tail = store
        .tail(&log("l"), Position::START, 100)
        .await
        .expect("it has 10");
    let entries: Vec<_> = tail
        .iter()
        .map(|e| String::from_utf8_lossy(&e.entry).into_owned())
        .collect();
    assert_eq!(entries, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(tail.iter().map(|e| e.position.get()).eq(1..=10));
}

/// FS-21
pub async fn a_tail_from_where_there_is_nothing_is_told_so<H: Harness>(harness: H) {
    let store = harness.open().await;
    assert_eq!(tail(&*store, 0).await, Ok(vec![]), "a log that never was");
    for after in [1, 7, u64::MAX] {
        assert_eq!(
            tail(&*store, after).await,
            Err((1, 1)),
            "never was, after {after}"
        );
    }
    for _ in 0..5 {
        append(&*store, "l", "entry").await;
    }
    assert_eq!(tail(&*store, 0).await, Ok(vec![1, 2, 3, 4, 5]));
    assert_eq!(tail(&*store, 3).await, Ok(vec![4, 5]));
    assert_eq!(tail(&*store, 5).await, Ok(vec![]), "empty at the end");
    for after in [6, 7, u64::MAX] {
        assert_eq!(
            tail(&*store, after).await,
            Err((1, 6)),
            "beyond the head, after {after}"
        );
    }
    store
        .truncate(&log("l"), Position::new(4))
        .await
        .expect("it has 5");
    assert_eq!(tail(&*store, 3).await, Ok(vec![4, 5]));
    for after in [0, 1, 2] {
        assert_eq!(
            tail(&*store, after).await,
            Err((4, 6)),
            "before the first, after {after}"
        );
    }
    for limit in [0, PAGE_MAX + 1, usize::MAX] {
        let answer = store.tail(&log("l"), Position::new(3), limit).await;
        assert!(
            matches!(answer, Err(LogError::Read(ReadError::Invalid { .. }))),
            "{limit}: {answer:?}"
        );
        let answer = store.heads(&prefix(""), None, limit).await;
        assert!(
            matches!(answer, Err(LogError::Read(ReadError::Invalid { .. }))),
            "{limit}: {answer:?}"
        );
    }
}

/// A tail's positions, or its gap's first and next.
async fn tail(store: &dyn RecordStore, after: u64) -> Result<Vec<u64>, (u64, u64)> {
    match store.tail(&log("l"), Position::new(after), 100).await {
        Ok(entries) => Ok(entries.iter().map(|e| e.position.get()).collect()),
        Err(LogError::ReplayGap { first, next }) => Err((first.get(), next.get())),
        Err(other) => panic!("after {after}: {other}"),
    }
}

/// A tail is cut at its limit and 1 MiB, and its next begins where it ended.
pub async fn a_tail_ends_at_its_limits<H: Harness>(harness: H) {
    let store = harness.open().await;
    for _ in 0..9 {
        let mut large = batch();
        large.append(log("l"), vec![0_u8; LOG_ENTRY_MAX]);
        commit(&*store, large).await.expect("no precondition");
    }
    let (mut after, mut seen) = (Position::START, 0);
    // Ends at the log's end.
    loop {
        let tail = store.tail(&log("l"), after, PAGE_MAX).await.expect("within");
        let bytes: usize = tail.iter().map(|e| e.entry.len()).sum();
        assert!(bytes <= PAGE_BYTES_MAX);
        let Some(last) = tail.last() else { break };
        (after, seen) = (last.position, seen + tail.len());
    }
    assert_eq!(seen, 9);
    let two = store.tail(&log("l"), Position::new(3), 2).await.expect("within");
    assert!(two.iter().map(|e| e.position.get()).eq([4, 5]));
}

/// What truncation does while the store is up; a kill in it is for each durable backend to prove.
pub async fn a_log_keeps_the_suffix_it_is_truncated_to<H: Harness>(harness: H) {
    let store = harness.open().await;
    let truncate = async |before| store.truncate(&log("l"), Position::new(before)).await;
    assert_eq!(truncate(1).await.expect("nothing to drop"), Position::FIRST);
    assert!(
        matches!(truncate(2).await, Err(LogError::ReplayGap { .. })),
        "never was"
    );
    for n in 1..=5 {
        append(&*store, "l", &"x".repeat(n)).await;
    }
    let whole = store.head(&log("l")).await.expect("answers");
    assert_eq!((whole.next, whole.bytes), (Position::new(6), 15));
    for (before, first, bytes) in [
        (1, 1, 15),
        (3, 3, 12),
        (3, 3, 12),
        (2, 3, 12),
        (0, 3, 12),
        (6, 6, 0),
        (6, 6, 0),
    ] {
        assert_eq!(truncate(before).await.expect("within"), Position::new(first));
        let head = store.head(&log("l")).await.expect("answers");
        let expected = LogHead {
            first: Position::new(first),
            bytes,
            ..whole
        };
        assert_eq!(head, expected, "before {before}");
    }
    let past = truncate(7).await;
    assert!(
        matches!(past, Err(LogError::ReplayGap { first, next }) if first == next && next == Position::new(6)),
        "{past:?}"
    );
    assert_eq!(
        append(&*store, "l", "sixth").await,
        Position::new(6),
        "positions go on"
    );
    assert_eq!(store.heads(&prefix(""), None, 1).await.expect("answers").len(), 1);
}

/// A head tells the incarnation, the bounds and the bytes; `heads` tells the same.
pub async fn a_head_tells_where_its_log_begins_and_ends<H: Harness>(harness: H) {
    let store = harness.open().await;
    assert_eq!(store.head(&log("logs/a")).await.expect("answers"), LogHead::NONE);
    append(&*store, "logs/a", "one").await;
    append(&*store, "logs/b", "1").await;
    append(&*store, "logs/a", "three").await;
    let first = store
        .tail(&log("logs/a"), Position::START, 1)
        .await
        .expect("two entries")[0]
        .version;
    let head = store.head(&log("logs/a")).await.expect("answers");
    let expected = LogHead {
        incarnation: Some(first),
        first: Position::FIRST,
        next: Position::new(3),
        bytes: 8,
        predecessor: None,
    };
    assert_eq!(head, expected);
    let heads = store.heads(&prefix("logs"), None, 10).await.expect("answers");
    assert_eq!(heads[0], (log("logs/a"), head));
    let behind = store
        .heads(&prefix("logs"), Some(&log("logs/a")), 10)
        .await
        .expect("answers");
    assert!(behind.iter().map(|(log, _)| log).eq([&log("logs/b")]));
    assert_eq!(
        store.heads(&prefix("unused"), None, 10).await.expect("answers"),
        []
    );
}
