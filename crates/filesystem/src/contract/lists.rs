//! Lists: by segment, on segment boundary, page by page under change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt, TryStreamExt};

use super::Harness;
use super::kit::{KIND, append, batch, commit, create, delete, key, log, prefix};
use crate::{Expected, Item, Key, Order, Page, RecordStore, RecordStoreExt, Want};

/// Names in the order of their segments; as printed text they are in another.
const ORDERED: [&str; 14] = [
    "a", "a/0", "a/b", "a/b/c", "a/b/c/d", "a/b-c", "a/b.c", "a/b0", "a/b_c", "a/bc", "a-b", "a.b", "a_b",
    "ab",
];

/// FS-14
pub async fn order_is_by_segment_up_and_down<H: Harness>(harness: H) {
    let store = harness.open().await;
    // Created in another order than the one expected.
    for at in (0..ORDERED.len()).map(|n| (n * 5 + 3) % ORDERED.len()) {
        create(&*store, ORDERED[at], "").await;
        append(&*store, &format!("logs/{}", ORDERED[at]), "").await;
    }
    for limit in [1, 3, 1000] {
        let up = pages(&*store, "", Order::Up, limit).await;
        assert_eq!(up, ORDERED, "up by {limit}");
        let mut down = pages(&*store, "", Order::Down, limit).await;
        down.reverse();
        assert_eq!(down, ORDERED, "down by {limit}");
        let logs = logs(&*store, "logs", limit).await;
        assert_eq!(
            logs,
            ORDERED.map(|name| format!("logs/{name}")),
            "logs by {limit}"
        );
    }
}

/// FS-15, with what is exported in [`exports`](super::exports).
pub async fn a_prefix_ends_at_its_segment<H: Harness>(harness: H) {
    let store = harness.open().await;
    for path in [
        "a/b", "a/b/x", "a/b/y/z", "a/b-", "a/bc", "a/bc/x", "a/b.x/y", "b/x", "a0/x",
    ] {
        create(&*store, path, "").await;
        append(&*store, path, "").await;
    }
    for order in [Order::Up, Order::Down] {
        for (under, mut held) in [
            ("a/b", vec!["a/b/x", "a/b/y/z"]),
            ("a/bc", vec!["a/bc/x"]),
            ("a/b.x", vec!["a/b.x/y"]),
            ("a/b/x", vec![]),
            ("b", vec!["b/x"]),
        ] {
            if order == Order::Up {
                assert_eq!(logs(&*store, under, 1000).await, held, "logs of {under}");
            } else {
                held.reverse();
            }
            assert_eq!(pages(&*store, under, order, 1).await, held, "{under} {order:?}");
        }
    }
    // A watch of one is not rung by the other.
    let mut watch = store.watch(&prefix("a/b")).await.expect("watches are declared");
    create(&*store, "a/bc/new", "").await;
    append(&*store, "a/bc/new", "").await;
    let hint = futures::FutureExt::now_or_never(watch.next());
    assert_eq!(hint, None);
}

/// A page may begin behind a key that is gone, or that was never below the prefix.
pub async fn a_page_may_begin_behind_any_key<H: Harness>(harness: H) {
    let store = harness.open().await;
    for path in ["p/b", "p/d", "p/f"] {
        create(&*store, path, "").await;
    }
    for (order, after, expected) in [
        (Order::Up, "p/c", vec!["p/d", "p/f"]),
        (Order::Up, "p/d", vec!["p/f"]),
        (Order::Up, "p/f", vec![]),
        (Order::Up, "a", vec!["p/b", "p/d", "p/f"]),
        (Order::Up, "p", vec!["p/b", "p/d", "p/f"]),
        (Order::Up, "z", vec![]),
        (Order::Down, "p/c", vec!["p/b"]),
        (Order::Down, "p/d", vec!["p/b"]),
        (Order::Down, "p/b", vec![]),
        (Order::Down, "z", vec!["p/f", "p/d", "p/b"]),
        (Order::Down, "p", vec![]),
        (Order::Down, "a", vec![]),
    ] {
        let page = Page {
            after: Some(key(after)),
            order,
            want: Want::Keys,
            ..Page::of(prefix("p"))
        };
        let listed = store.list(&page).await.expect("answers");
        assert_eq!(names(&listed.items), expected, "{order:?} after {after}");
    }
}

/// FS-16
pub async fn paging_under_change_repeats_nothing_and_skips_nothing_stable<H: Harness>(harness: H) {
    let store = harness.open().await;
    let stable: Vec<String> = (0..120).map(|n| format!("p/{n:03}/stable")).collect();
    for path in &stable {
        create(&*store, path, "").await;
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let churn = tokio::spawn(churn(Arc::clone(&store), Arc::clone(&is_over)));
    for round in 0..6 {
        let order = if round % 2 == 0 { Order::Up } else { Order::Down };
        let mut seen = pages(&*store, "p", order, 7).await;
        if order == Order::Down {
            seen.reverse();
        }
        assert!(seen.is_sorted_by(|a, b| key(a) < key(b)), "nothing repeats");
        let seen: BTreeSet<String> = seen.into_iter().collect();
        assert!(
            stable.iter().all(|path| seen.contains(path)),
            "a stable key was skipped"
        );
    }
    is_over.store(true, Ordering::Relaxed);
    churn.await.expect("the churn does not fail");
}

/// Creates and removes keys between the stable ones, until told.
async fn churn(store: Arc<dyn RecordStore>, is_over: Arc<AtomicBool>) {
    // Ends when the reader has read enough.
    for n in 0_usize.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let path = format!("p/{:03}/churn", (n * 37) % 120);
        let version = create(&*store, &path, "").await;
        delete(&*store, &path, version)
            .await
            .expect("it is the churn's own");
        tokio::task::yield_now().await;
    }
}

/// `list_all` goes over every page, whatever was last on the one before.
pub async fn a_list_of_all_crosses_pages<H: Harness>(harness: H) {
    let store = harness.open().await;
    for chunk in 0..3 {
        let mut many = batch();
        for n in 0..800 {
            many.put(key(&format!("p/{chunk}/{n}")), Expected::Absent, KIND, "");
        }
        commit(&*store, many).await.expect("absent");
    }
    let all: Vec<Item> = store
        .list_all(prefix("p"), Want::Keys)
        .try_collect()
        .await
        .expect("answers");
    let keys: BTreeSet<&Key> = all.iter().map(Item::key).collect();
    assert_eq!((all.len(), keys.len()), (2400, 2400));
    let mut entries = std::pin::pin!(store.list_all(prefix("p"), Want::Entries));
    let first = entries.next().await.expect("there are 2400").expect("answers");
    assert_eq!(first.key(), all[0].key());
}

/// All pages of a list, as names.
async fn pages(store: &dyn RecordStore, under: &str, order: Order, limit: usize) -> Vec<String> {
    let mut page = Page {
        order,
        limit,
        want: Want::Keys,
        ..Page::of(prefix(under))
    };
    let mut all = Vec::new();
    // Ends with the last page.
    loop {
        let listed = store.list(&page).await.expect("answers");
        assert!(listed.items.len() <= limit);
        all.extend(names(&listed.items));
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return all,
        }
    }
}

/// All logs below a prefix, page by page.
async fn logs(store: &dyn RecordStore, under: &str, limit: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    // Ends with the first empty page.
    loop {
        let after = all.last().map(|name| log(name));
        let heads = store
            .heads(&prefix(under), after.as_ref(), limit)
            .await
            .expect("answers");
        if heads.is_empty() {
            return all;
        }
        assert!(heads.len() <= limit);
        all.extend(heads.into_iter().map(|(log, _)| log.to_string()));
    }
}

fn names(items: &[Item]) -> Vec<String> {
    items.iter().map(|item| item.key().to_string()).collect()
}
