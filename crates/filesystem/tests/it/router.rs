//! The router: the longest prefix on segment boundary, and what lies over several mounts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::capability::{Atomicity, Durability, Export};
use dormouse_filesystem::contract::{Harness, suite};
use dormouse_filesystem::wrapper::{Counted, Operation};
use dormouse_filesystem::{
    Batch, Capabilities, CommitError, Deadline, Expected, Exported, Key, Lane, LogError, Memory, MountError,
    Namespace, OpenError, Opener, Order, Page, Position, Prefix, ReadError, RecordKind, RecordStore,
    RecordStoreExt, Requirements, Router, State, Stream, System, Want,
};
use futures::StreamExt;
use jiff::{Timestamp, ToSpan};

use crate::scripted::Scripted;

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
const KIND: RecordKind = RecordKind::of("test");

/// One store for most, others where the suite lists, tails and watches.
#[derive(Default)]
struct Mounted;

impl Mounted {
    fn at(now: Timestamp) -> Arc<dyn RecordStore> {
        let memory = || -> Arc<dyn RecordStore> { Arc::new(Memory::new(now)) };
        let mounts = ["", "p", "logs", "a/b", "a/b/c/d"];
        Arc::new(Router::new(mounts.map(|at| (prefix(at), memory()))).unwrap())
    }
}

impl Harness for Mounted {
    async fn open(&self) -> Arc<dyn RecordStore> {
        Self::at(NOW)
    }

    async fn reopen(&self) -> Option<Arc<dyn RecordStore>> {
        None
    }

    async fn anew(&self) -> Arc<dyn RecordStore> {
        Self::at(NOW + 1.second())
    }
}

// FS-50, with the wrappers beside.
suite!(contract, Mounted);

fn prefix(path: &str) -> Prefix {
    Prefix::parse(path).unwrap()
}

fn key(path: &str) -> Key {
    Key::parse(path).unwrap()
}

fn log(path: &str) -> Stream {
    Stream::new(key(path))
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

type Counting = Arc<Counted<Memory>>;

/// A router over counted stores, and the stores.
fn mounted<const N: usize>(at: [&str; N]) -> (Router, [Counting; N]) {
    let stores: [Counting; N] = std::array::from_fn(|_| Arc::new(Counted::new(Memory::new(NOW))));
    let mounts = at.iter().zip(&stores).map(|(at, store)| {
        let store: Arc<dyn RecordStore> = Arc::new(Arc::clone(store));
        (prefix(at), store)
    });
    (Router::new(mounts).unwrap(), stores)
}

async fn create(store: &dyn RecordStore, path: &str) {
    store
        .create(key(path), KIND, path.to_owned(), soon())
        .await
        .unwrap();
}

/// FS-49
#[tokio::test]
async fn the_longest_prefix_on_segment_boundary_has_the_key() {
    let (router, [root, a, deep, ab]) = mounted(["", "a", "a/b/c", "ab"]);
    let routed = [
        ("x", &root),
        ("a", &root),
        ("a/x", &a),
        ("a/b/c", &a),
        ("a/b/c/d", &deep),
        ("a/b/cd", &a),
        ("ab", &root),
        ("ab/x", &ab),
        ("abc/x", &root),
    ];
    for (path, store) in routed {
        create(&router, path).await;
        router.append(log(path), path, soon()).await.unwrap();
        assert!(store.inner().get(&key(path)).await.unwrap().is_some(), "{path}");
        assert!(router.get(&key(path)).await.unwrap().is_some(), "{path}");
        assert_eq!(
            store.inner().head(&log(path)).await.unwrap().next,
            Position::new(2),
            "{path}"
        );
        assert_eq!(
            router.tail(&log(path), Position::START, 9).await.unwrap().len(),
            1,
            "{path}"
        );
        assert_eq!(
            router.truncate(&log(path), Position::new(2)).await.unwrap(),
            Position::new(2),
            "{path}"
        );
    }
    let keys = routed.map(|(path, _)| key(path));
    let many = router.get_many(&keys).await.unwrap();
    assert!(many.into_iter().map(|entry| entry.unwrap().key).eq(keys));
}

/// What lies in a store outside its mount is nobody's: a list of more than the mount does not show it.
#[tokio::test]
async fn a_list_above_the_only_mount_shows_what_is_mounted_and_no_more() {
    let (router, [store]) = mounted(["t/acme"]);
    for path in ["s/x", "t/acme/x", "t/other/x"] {
        create(&*store, path).await;
        store.append(log(path), path, soon()).await.unwrap();
    }
    for above in ["", "t", "t/acme"] {
        for order in [Order::Up, Order::Down] {
            let page = Page {
                order,
                ..Page::of(prefix(above))
            };
            let listed = router.list(&page).await.unwrap();
            let keys: Vec<&Key> = listed.items.iter().map(dormouse_filesystem::Item::key).collect();
            assert_eq!(keys, [&key("t/acme/x")], "below {above:?}");
        }
        let heads = router.heads(&prefix(above), None, 9).await.unwrap();
        let logs: Vec<&Stream> = heads.iter().map(|(log, _)| log).collect();
        assert_eq!(logs, [&log("t/acme/x")], "below {above:?}");
    }
}

/// FS-49
#[tokio::test]
async fn what_no_mount_or_two_hold_reaches_no_store() {
    let (router, stores) = mounted(["a", "ab"]);
    let batch = |paths: [&str; 2]| {
        let mut batch = Batch::new(Lane::System);
        batch
            .put(key(paths[0]), Expected::Absent, KIND, "")
            .append(log(paths[1]), "");
        batch
    };
    let over_two = router.commit(batch(["a/x", "ab/x"]), soon()).await;
    assert!(
        matches!(over_two, Err(CommitError::Invalid { .. })),
        "{over_two:?}"
    );
    for paths in [["b/x", "b/x"], ["a/x", "b/x"], ["a", "a/x"]] {
        let unrouted = router.commit(batch(paths), soon()).await;
        assert!(
            matches!(unrouted, Err(CommitError::Unrouted { .. })),
            "{paths:?}: {unrouted:?}"
        );
    }
    let empty = router.commit(Batch::new(Lane::System), soon()).await;
    assert!(matches!(empty, Err(CommitError::Invalid { .. })), "{empty:?}");
    let away = key("b/x");
    let is_unrouted = |read: ReadError| matches!(read, ReadError::Unrouted { .. });
    assert!(is_unrouted(router.get(&away).await.unwrap_err()));
    assert!(is_unrouted(
        router.get_many(&[key("a/x"), away]).await.unwrap_err()
    ));
    assert!(is_unrouted(
        router.list(&Page::of(prefix("b"))).await.unwrap_err()
    ));
    assert!(is_unrouted(router.watch(&prefix("b")).await.unwrap_err()));
    let tail = router.tail(&log("b/x"), Position::START, 1).await.unwrap_err();
    assert!(
        matches!(tail, LogError::Read(ReadError::Unrouted { .. })),
        "{tail:?}"
    );
    let truncated = router.truncate(&log("b/x"), Position::START).await.unwrap_err();
    assert!(
        matches!(truncated, LogError::Commit(CommitError::Unrouted { .. })),
        "{truncated:?}"
    );
    for store in stores {
        assert_eq!(store.counts().operations(), 0);
    }
    assert_eq!(
        router.capabilities(&prefix("b")),
        Capabilities::default(),
        "nothing is promised there"
    );
}

/// FS-49
#[test]
fn two_stores_at_one_place_or_none_at_all_is_no_router() {
    let memory = || -> Arc<dyn RecordStore> { Arc::new(Memory::new(NOW)) };
    let twice = Router::new(["a", "b/c", "a"].map(|at| (prefix(at), memory())));
    assert_eq!(twice.err(), Some(MountError::Duplicate { prefix: prefix("a") }));
    assert_eq!(Router::new([]).err(), Some(MountError::Empty));
}

#[tokio::test]
async fn lists_over_mounts_are_merged_in_order_and_hidden_records_stay_hidden() {
    let (router, [root, a, deep]) = mounted(["", "a", "a/b"]);
    // Hidden: what a store holds outside its mount, or below another's.
    for (store, path) in [
        (&root, "a/hidden"),
        (&root, "a/b/hidden"),
        (&a, "a/b/hidden2"),
        (&a, "z-hidden"),
        (&deep, "a/x"),
    ] {
        create(&**store, path).await;
        store.append(log(path), "hidden", soon()).await.unwrap();
    }
    let mut expected = BTreeSet::new();
    for n in 0..40 {
        for at in ["", "a/", "a/b/", "b/"] {
            let path = format!("{at}{n:02}");
            create(&router, &path).await;
            router.append(log(&path), "", soon()).await.unwrap();
            expected.insert(key(&path));
        }
    }
    let below = |path: &str| -> Vec<Key> {
        expected
            .iter()
            .filter(|key| prefix(path).holds(key))
            .cloned()
            .collect()
    };
    for path in ["", "a", "a/b", "b"] {
        for limit in [1, 3, 7, 1000] {
            let up = pages(&router, path, Order::Up, limit).await;
            assert_eq!(up, below(path), "{path} by {limit}");
            let mut down = pages(&router, path, Order::Down, limit).await;
            down.reverse();
            assert_eq!(down, below(path), "{path} by {limit}");
            assert_eq!(
                logs(&router, path, limit).await,
                below(path),
                "logs of {path} by {limit}"
            );
        }
    }
    // Bounded calls are forwarded bounded: of each mount no more than was asked for.
    let before = root.counts();
    let page = Page {
        limit: 2,
        ..Page::of(prefix(""))
    };
    router.list(&page).await.unwrap();
    let after = root.counts();
    assert_eq!(after.of(Operation::List) - before.of(Operation::List), 1);
    assert_eq!(after.items_read - before.items_read, 2);
}

async fn pages(store: &dyn RecordStore, path: &str, order: Order, limit: usize) -> Vec<Key> {
    let mut page = Page {
        order,
        limit,
        want: Want::Keys,
        ..Page::of(prefix(path))
    };
    let mut all = Vec::new();
    // Ends with the last page.
    loop {
        let listed = store.list(&page).await.unwrap();
        all.extend(listed.items.iter().map(|item| item.key().clone()));
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return all,
        }
    }
}

async fn logs(store: &dyn RecordStore, path: &str, limit: usize) -> Vec<Key> {
    let mut all: Vec<Key> = Vec::new();
    // Ends with an empty page.
    loop {
        let after = all.last().cloned().map(Stream::new);
        let heads = store.heads(&prefix(path), after.as_ref(), limit).await.unwrap();
        if heads.is_empty() {
            return all;
        }
        all.extend(heads.into_iter().map(|(log, _)| log.key().clone()));
    }
}

/// A store that promises less than it does.
#[test]
fn a_prefix_promises_what_every_mount_below_it_does() {
    let less = Capabilities {
        atomicity: Atomicity::Record,
        ..Memory::new(NOW).capabilities(&Prefix::root())
    };
    let weak: Arc<dyn RecordStore> = Arc::new(Scripted::declaring(less));
    let memory: Arc<dyn RecordStore> = Arc::new(Memory::new(NOW));
    let all = memory.capabilities(&Prefix::root());
    let router = Router::new([(Prefix::root(), memory), (prefix("a/b"), weak)]).unwrap();
    // Over several stores there is no one commit point.
    let several = Capabilities {
        export: Export::None,
        ..less
    };
    for (at, promised) in [
        ("", several),
        ("a", several),
        ("a/b", less),
        ("a/b/c", less),
        ("a/c", all),
        ("b", all),
    ] {
        assert_eq!(router.capabilities(&prefix(at)), promised, "{at}");
    }
    assert_eq!(all.durability, Durability::Volatile);
}

#[tokio::test]
async fn an_export_is_of_one_mount_or_refused() {
    let memory = || -> Arc<dyn RecordStore> { Arc::new(Memory::new(NOW)) };
    let router = Router::new([(prefix("t"), memory()), (prefix("t/busy"), memory())]).unwrap();
    for path in ["t/quiet/a", "t/busy/a"] {
        router.create(key(path), KIND, "", soon()).await.unwrap();
    }
    for path in ["t/quiet", "t/busy"] {
        let items: Vec<_> = router.export(&prefix(path)).collect().await;
        let records = items.iter().filter_map(|item| match item {
            Ok(Exported::Record(entry)) => Some(entry.key.to_string()),
            _ => None,
        });
        assert!(records.eq([format!("{path}/a")]), "{items:?}");
        assert!(matches!(items.last(), Some(Ok(Exported::End(_)))));
    }
    let over_two = router.export(&prefix("t")).next().await;
    assert!(
        matches!(over_two, Some(Err(ReadError::Unsupported { .. }))),
        "{over_two:?}"
    );
    let nowhere = router.export(&prefix("x")).next().await;
    assert!(
        matches!(nowhere, Some(Err(ReadError::Unrouted { .. }))),
        "{nowhere:?}"
    );
}

#[tokio::test]
async fn a_place_of_tenants_that_promises_less_is_refused_at_open() {
    let less = Capabilities {
        atomicity: Atomicity::Record,
        ..Memory::new(NOW).capabilities(&Prefix::root())
    };
    for at in ["t", "t/acme"] {
        let memory: Arc<dyn RecordStore> = Arc::new(Memory::new(NOW));
        let weak: Arc<dyn RecordStore> = Arc::new(Scripted::declaring(less));
        let router = Arc::new(Router::new([(Prefix::root(), memory), (prefix(at), weak)]).unwrap());
        let opened = Namespace::<System>::open(
            router,
            &Requirements::volatile(),
            Opener::at(Timestamp::UNIX_EPOCH, 7),
        )
        .await;
        let lacks = matches!(
            opened,
            Err(OpenError::Lacks {
                capability: "atomicity",
                ..
            })
        );
        assert!(lacks, "{at}: {opened:?}");
    }
}

#[tokio::test]
async fn a_watch_over_mounts_hears_each_and_ends_with_the_last() {
    let (router, [root, a]) = mounted(["", "a"]);
    let mut watch = router.watch(&Prefix::root()).await.unwrap();
    for path in ["x", "a/x"] {
        create(&router, path).await;
        assert!(watch.next().await.is_some(), "{path}");
    }
    root.close(soon()).await.unwrap();
    assert!(matches!(router.health().await.state, State::Closed { .. }));
    create(&router, "a/y").await;
    assert!(watch.next().await.is_some(), "one store is open still");
    router.close(soon()).await.unwrap();
    assert_eq!(watch.next().await, None);
    assert_eq!(watch.next().await, None);
    assert!(matches!(a.health().await.state, State::Closed { .. }));
}
