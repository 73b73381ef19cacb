//! Writes: every expectation judged, then all or nothing.

use futures::FutureExt;

use super::Harness;
use super::kit::{KIND, soon};
use super::kit::{
    append, batch, commit, conflict, create, delete, failed, key, log, prefix, replace, try_create, value,
    version,
};
use crate::{Expected, Key, LogHead, Position, RecordStore, RecordStoreExt, Version};

/// FS-1
pub async fn a_key_is_created_once<H: Harness>(harness: H) {
    let store = harness.open().await;
    let first = create(&*store, "a/b", "first").await;
    let second = conflict(try_create(&*store, "a/b", "second").await);
    assert_eq!(second, [failed("a/b", Some(first))]);
    assert_eq!(value(&*store, "a/b").await.as_deref(), Some("first"));
    assert_eq!(version(&*store, "a/b").await, Some(first));
}

/// FS-2
pub async fn a_version_is_replaced_once<H: Harness>(harness: H) {
    let store = harness.open().await;
    let first = create(&*store, "a", "first").await;
    let (left, right) = futures::join!(
        replace(&*store, "a", first, "left"),
        replace(&*store, "a", first, "right")
    );
    let won = match (left, right) {
        (Ok(version), other) | (other, Ok(version)) => {
            assert_eq!(conflict(other), [failed("a", Some(version))]);
            version
        }
        neither => panic!("nobody won: {neither:?}"),
    };
    assert!(won > first);
    assert_eq!(version(&*store, "a").await, Some(won));
    for wrong in [first, won.next(), Version::new(0)] {
        assert_eq!(
            conflict(replace(&*store, "a", wrong, "x").await),
            [failed("a", Some(won))]
        );
    }
    let missing = conflict(replace(&*store, "missing", won, "x").await);
    assert_eq!(missing, [failed("missing", None)]);
    assert_eq!(value(&*store, "missing").await, None);
}

/// All puts of a commit share its version, a delete has one too, and positions are told per log.
pub async fn a_commit_has_one_version<H: Harness>(harness: H) {
    let store = harness.open().await;
    let gone = create(&*store, "gone", "").await;
    append(&*store, "l/two", "before").await;
    let mut all = batch();
    all.put(key("a"), Expected::Absent, KIND, "a")
        .put(key("b"), Expected::Absent, KIND, "b")
        .delete(key("gone"), gone)
        .append(log("l/two"), "first")
        .append(log("l/one"), "second")
        .append(log("l/two"), "third");
    let committed = commit(&*store, all).await.expect("every expectation holds");
    assert!(committed.version > Some(gone));
    assert_eq!(version(&*store, "a").await, committed.version);
    assert_eq!(version(&*store, "b").await, committed.version);
    assert_eq!(version(&*store, "gone").await, None);
    let positions = [(log("l/two"), Position::new(2)), (log("l/one"), Position::new(1))];
    assert_eq!(committed.positions, positions);
    let tail = store
        .tail(&log("l/two"), Position::FIRST, 10)
        .await
        .expect("it has 3");
    assert!(tail.iter().all(|entry| Some(entry.version) == committed.version));
}

/// FS-4, but for its crash, which each durable backend proves where it can be killed.
pub async fn one_failed_expectation_of_many_stops_all_and_all_failed_are_named<H: Harness>(harness: H) {
    let store = harness.open().await;
    let there = create(&*store, "p/there", "there").await;
    let old = create(&*store, "p/moved", "1").await;
    let moved = replace(&*store, "p/moved", old, "2").await.expect("current");
    let mut watch = store.watch(&prefix("p")).await.expect("watches are declared");
    let mut many = batch();
    many.check(key("p/missing"), Expected::At(there))
        .put(key("p/new"), Expected::Absent, KIND, "new")
        .put(key("p/there"), Expected::At(there), KIND, "changed")
        .delete(key("p/moved"), old)
        .append(log("p/log"), "entry");
    let refused = conflict(commit(&*store, many).await);
    assert_eq!(
        refused,
        [failed("p/missing", None), failed("p/moved", Some(moved))]
    );
    assert_eq!(value(&*store, "p/new").await, None);
    assert_eq!(value(&*store, "p/there").await.as_deref(), Some("there"));
    assert_eq!(version(&*store, "p/moved").await, Some(moved));
    assert_eq!(store.head(&log("p/log")).await.expect("answers"), LogHead::NONE);
    assert_eq!(
        watch.next().now_or_never(),
        None,
        "nothing changed, so nothing is hinted"
    );
}

/// FS-6
pub async fn checks_alone_guard_and_write_nothing<H: Harness>(harness: H) {
    let store = harness.open().await;
    let there = create(&*store, "there", "").await;
    let mut checks = batch();
    checks
        .check(key("there"), Expected::At(there))
        .check(key("missing"), Expected::Absent);
    let committed = commit(&*store, checks).await.expect("both hold");
    assert_eq!((committed.version, committed.positions), (None, Vec::new()));
    let mut fails = batch();
    fails.check(key("there"), Expected::Absent);
    assert_eq!(
        conflict(commit(&*store, fails).await),
        [failed("there", Some(there))]
    );
    for round in 0..25 {
        absent_checks_racing_creates(&*store, round).await;
        write_skew(&*store, round).await;
    }
}

/// Each creates its key if the other's is absent: both would be a state that neither allowed.
async fn absent_checks_racing_creates(store: &dyn RecordStore, round: u32) {
    let (left, right) = (key(&format!("race/{round}/l")), key(&format!("race/{round}/r")));
    let attempt = |own: &Key, other: &Key| {
        let mut attempt = batch();
        attempt
            .check(other.clone(), Expected::Absent)
            .put(own.clone(), Expected::Absent, KIND, "");
        commit(store, attempt)
    };
    let (l, r) = futures::join!(attempt(&left, &right), attempt(&right, &left));
    assert!(l.is_ok() ^ r.is_ok(), "{l:?} {r:?}");
}

/// Each reads both and writes its own: serial execution lets only one go on.
async fn write_skew(store: &dyn RecordStore, round: u32) {
    let (left, right) = (key(&format!("skew/{round}/l")), key(&format!("skew/{round}/r")));
    let mut both = batch();
    both.put(left.clone(), Expected::Absent, KIND, "on")
        .put(right.clone(), Expected::Absent, KIND, "on");
    let read = commit(store, both).await.expect("both are absent").version;
    let read = Expected::At(read.expect("puts have a version"));
    let attempt = |own: &Key, other: &Key| {
        let mut attempt = batch();
        attempt
            .check(other.clone(), read)
            .put(own.clone(), read, KIND, "off");
        commit(store, attempt)
    };
    let (l, r) = futures::join!(attempt(&left, &right), attempt(&right, &left));
    assert!(l.is_ok() ^ r.is_ok(), "{l:?} {r:?}");
}

/// A batch whose own success breaks its precondition applies once, however often it is sent.
pub async fn the_identical_batch_applies_once<H: Harness>(harness: H) {
    let store = harness.open().await;
    let mut once = batch();
    once.put(key("a"), Expected::Absent, KIND, "a")
        .append(log("l"), "a");
    assert!(once.is_repeatable());
    let first = commit(&*store, once.clone()).await.expect("absent").version;
    assert_eq!(conflict(commit(&*store, once).await), [failed("a", first)]);
    assert_eq!(
        store.head(&log("l")).await.expect("answers").next,
        Position::new(2)
    );
}

/// Records and logs are two spaces of names.
pub async fn a_record_and_a_log_of_one_name_never_meet<H: Harness>(harness: H) {
    let store = harness.open().await;
    let record = create(&*store, "a/b", "record").await;
    append(&*store, "a/b", "entry").await;
    delete(&*store, "a/b", record).await.expect("current");
    let tail = store
        .tail(&log("a/b"), Position::START, 10)
        .await
        .expect("one entry");
    assert_eq!(tail.len(), 1);
    let again = store
        .create(key("a/b"), KIND, "again", soon())
        .await
        .expect("absent");
    assert!(again > tail[0].version);
}
