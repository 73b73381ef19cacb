//! Limits: at each it is done, one past it refused before anything is read or written.

use bytes::Bytes;

use super::Harness;
use super::kit::{KIND, batch, commit, create, key, log, prefix, version};
use crate::{
    BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, Batch, CommitError, Expected, GET_MANY_MAX, Item, LIST_MANY_MAX,
    LOG_ENTRY_MAX, Order, PAGE_BYTES_MAX, PAGE_MAX, Page, Position, ReadError, RecordKind, VALUE_MAX, Want,
};

/// FS-5
pub async fn a_batch_is_done_at_each_limit_and_refused_past_it<H: Harness>(harness: H) {
    let store = harness.open().await;
    commit(&*store, puts("most", BATCH_OPERATIONS_MAX))
        .await
        .expect("at the limit");
    commit(&*store, filled("full", BATCH_BYTES_MAX))
        .await
        .expect("at the limit");
    commit(&*store, longest("value", VALUE_MAX, 0))
        .await
        .expect("at the limit");
    commit(&*store, longest("entry", 0, LOG_ENTRY_MAX))
        .await
        .expect("at the limit");

    let too_large = [
        (puts("over", BATCH_OPERATIONS_MAX + 1), "BATCH_OPERATIONS_MAX"),
        (filled("over", BATCH_BYTES_MAX + 1), "BATCH_BYTES_MAX"),
        (longest("over", VALUE_MAX + 1, 0), "VALUE_MAX"),
        (longest("over", 0, LOG_ENTRY_MAX + 1), "LOG_ENTRY_MAX"),
    ];
    for (refused, name) in too_large {
        let answer = commit(&*store, refused).await;
        assert!(
            matches!(answer, Err(CommitError::TooLarge { limit }) if limit == name),
            "{name}: {answer:?}"
        );
    }
    let mut twice = puts("over", 1);
    twice.check(key("over/0"), Expected::Absent);
    for refused in [twice, batch()] {
        let answer = commit(&*store, refused).await;
        assert!(matches!(answer, Err(CommitError::Invalid { .. })), "{answer:?}");
    }
    let page = Page::of(prefix("over"));
    assert_eq!(
        store.list(&page).await.expect("answers").items,
        [],
        "nothing was done"
    );
    assert_eq!(
        store.head(&log("over/log")).await.expect("answers"),
        crate::LogHead::NONE
    );
}

fn puts(place: &str, count: usize) -> Batch {
    let mut puts = batch();
    for n in 0..count {
        puts.put(key(&format!("{place}/{n}")), Expected::Absent, KIND, "");
    }
    puts
}

/// A batch of exactly so many bytes, in values no longer than allowed.
fn filled(place: &str, bytes: usize) -> Batch {
    let mut filled = batch();
    filled
        .put(
            key(&format!("{place}/a")),
            Expected::Absent,
            KIND,
            vec![0_u8; bytes / 2],
        )
        .put(key(&format!("{place}/b")), Expected::Absent, KIND, "");
    filled.puts[1].value = vec![0_u8; bytes - filled.bytes()].into();
    assert_eq!(filled.bytes(), bytes);
    filled
}

fn longest(place: &str, value: usize, entry: usize) -> Batch {
    let mut longest = batch();
    longest
        .put(
            key(&format!("{place}/value")),
            Expected::Absent,
            KIND,
            vec![1_u8; value],
        )
        .append(log(&format!("{place}/log")), vec![2_u8; entry]);
    longest
}

/// FS-9
pub async fn bytes_and_kind_come_back_as_they_were<H: Harness>(harness: H) {
    /// The longest value and the longest log entry do not fit one batch.
    const ENTRY: usize = LOG_ENTRY_MAX / 2;
    let store = harness.open().await;
    let longest_kind = RecordKind::parse(&"k".repeat(crate::KIND_MAX)).expect("it is legal");
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let values = [
        ("empty", Bytes::new(), KIND),
        ("every-byte", Bytes::from(every_byte), longest_kind),
        ("longest", Bytes::from(vec![0xff; VALUE_MAX]), KIND),
    ];
    for (name, value, kind) in values {
        let mut written = batch();
        written
            .put(key(name), Expected::Absent, kind.clone(), value.clone())
            .append(log(name), value.slice(..value.len().min(ENTRY)));
        let committed = commit(&*store, written).await.expect("absent");
        let read = store
            .get(&key(name))
            .await
            .expect("answers")
            .expect("it was written");
        assert!(read.value == value, "{name}");
        assert_eq!((&read.key, &read.kind), (&key(name), &kind));
        assert_eq!(Some(read.version), committed.version);
        let many = store.get_many(&[key(name)]).await.expect("answers");
        assert!(many == [Some(read.clone())], "{name}");
        let listed = store.list(&Page::of(prefix(""))).await.expect("answers");
        assert!(listed.items.contains(&Item::Entry(read)), "{name}");
        let tail = store
            .tail(&log(name), Position::START, 1)
            .await
            .expect("one entry");
        assert!(tail[0].entry == value[..value.len().min(ENTRY)], "{name}");
    }
}

/// FS-17; that `Keys` reads no value is seen by their weight: 10 MiB of values are one page of keys.
pub async fn a_page_ends_at_its_limits<H: Harness>(harness: H) {
    let store = harness.open().await;
    let unused = store.list(&Page::of(prefix("unused"))).await.expect("answers");
    assert_eq!((unused.items, unused.next), (Vec::new(), None));
    for limit in [0, PAGE_MAX + 1, usize::MAX] {
        let page = Page {
            limit,
            ..Page::of(prefix(""))
        };
        let answer = store.list(&page).await;
        assert!(
            matches!(answer, Err(ReadError::Invalid { .. })),
            "{limit}: {answer:?}"
        );
    }
    for n in 0..20_usize {
        let mut large = batch();
        large.put(
            key(&format!("p/{n:02}")),
            Expected::Absent,
            KIND,
            vec![7_u8; 512 * 1024],
        );
        commit(&*store, large).await.expect("absent");
    }
    let mut page = Page::of(prefix("p"));
    let mut seen = 0;
    // Ends with the last page.
    loop {
        let listed = store.list(&page).await.expect("answers");
        let bytes: usize = listed.items.iter().map(value_bytes).sum();
        assert!(bytes <= PAGE_BYTES_MAX, "{bytes}");
        seen += listed.items.len();
        match listed.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
        assert!(
            !listed.items.is_empty(),
            "a page that is not the last has an item"
        );
    }
    assert_eq!(seen, 20);
    let keys = Page {
        want: Want::Keys,
        ..Page::of(prefix("p"))
    };
    let listed = store.list(&keys).await.expect("answers");
    assert_eq!((listed.items.len(), listed.next), (20, None));
    for item in listed.items {
        let Item::Key { key, version: listed } = item else {
            panic!("a key was wanted: {item:?}")
        };
        assert_eq!(version(&*store, &key.to_string()).await, Some(listed));
    }
}

fn value_bytes(item: &Item) -> usize {
    match item {
        Item::Entry(entry) => entry.value.len(),
        Item::Key { .. } | Item::Corrupt { .. } => panic!("an entry was wanted: {item:?}"),
    }
}

/// A `get_many` answers in the order asked, at most 256 at once.
pub async fn many_are_read_in_the_order_asked<H: Harness>(harness: H) {
    let store = harness.open().await;
    for path in ["c", "a", "b"] {
        create(&*store, path, path).await;
    }
    let asked = ["b", "missing", "c", "b", "a"].map(key);
    let read = store.get_many(&asked).await.expect("answers");
    let keys: Vec<_> = read.into_iter().map(|entry| entry.map(|e| e.key)).collect();
    let expected = ["b", "", "c", "b", "a"].map(|path| (!path.is_empty()).then(|| key(path)));
    assert_eq!(keys, expected);
    assert_eq!(store.get_many(&[]).await.expect("nothing is an answer"), []);
    let most = vec![key("a"); GET_MANY_MAX];
    assert_eq!(
        store.get_many(&most).await.expect("at the limit").len(),
        GET_MANY_MAX
    );
    let over = store.get_many(&vec![key("a"); GET_MANY_MAX + 1]).await;
    assert!(matches!(over, Err(ReadError::Invalid { .. })), "{over:?}");
}

/// A `list_many` answers as as many lists would, in the order asked, at most 16 at once.
pub async fn many_pages_are_read_in_the_order_asked<H: Harness>(harness: H) {
    let store = harness.open().await;
    for path in ["a/1", "a/2", "a/3", "b/1"] {
        create(&*store, path, path).await;
    }
    let page = |below: &str, order, want, limit| Page {
        order,
        want,
        limit,
        ..Page::of(prefix(below))
    };
    let asked = [
        page("b", Order::Up, Want::Entries, 10),
        page("none", Order::Up, Want::Keys, 10),
        page("a", Order::Down, Want::Keys, 2),
        Page {
            after: Some(key("a/1")),
            ..page("a", Order::Up, Want::Entries, 1)
        },
        page("b", Order::Up, Want::Entries, 10),
        page("a", Order::Up, Want::Keys, 2),
        page("a", Order::Up, Want::Keys, 3),
    ];
    let mut one_by_one = Vec::new();
    for page in &asked {
        one_by_one.push(store.list(page).await.expect("answers"));
    }
    assert_eq!(store.list_many(&asked).await.expect("answers"), one_by_one);
    assert_eq!(
        one_by_one
            .iter()
            .map(|listed| listed.items.len())
            .collect::<Vec<_>>(),
        [1, 0, 2, 1, 1, 2, 3]
    );
    assert_eq!(store.list_many(&[]).await.expect("nothing is an answer"), []);
    let most = vec![asked[0].clone(); LIST_MANY_MAX];
    let at_limit = store.list_many(&most).await.expect("at the limit");
    assert_eq!(at_limit.len(), LIST_MANY_MAX);
    let over = store.list_many(&vec![asked[0].clone(); LIST_MANY_MAX + 1]).await;
    assert!(matches!(over, Err(ReadError::Invalid { .. })), "{over:?}");
    let bad = page("a", Order::Up, Want::Keys, 0);
    let bad = store.list_many(&[asked[0].clone(), bad]).await;
    assert!(matches!(bad, Err(ReadError::Invalid { .. })), "{bad:?}");
}
