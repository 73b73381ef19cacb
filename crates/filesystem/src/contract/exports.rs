//! Exports: one commit point of all that is below a prefix, while writers go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;

use super::Harness;
use super::kit::{KIND, append, batch, commit, create, key, log, prefix, replace, soon};
use crate::capability::Export;
use crate::{
    Entry, Expected, ExportCounts, ExportPoint, Exported, Item, LogHead, Logged, PAGE_MAX, Position,
    ReadError, RecordStore, RecordStoreExt, Stream, Want,
};

/// All of an export that was whole.
#[derive(Debug, Default, PartialEq)]
struct Whole {
    records: Vec<Entry>,
    logs: Vec<(Stream, LogHead, Vec<Logged>)>,
}

/// Reads an export to its end, and holds its order against the promise.
async fn whole(store: &dyn RecordStore, under: &str) -> (ExportPoint, Whole) {
    let mut items = store.export(&prefix(under));
    let first = items
        .next()
        .await
        .expect("it begins")
        .expect("exports are declared");
    let Exported::Point(point) = first else {
        panic!("it begins with its point: {first:?}");
    };
    let (mut whole, mut counts, mut end) = (Whole::default(), ExportCounts::default(), None);
    while let Some(item) = items.next().await {
        let item = item.expect("nothing is damaged");
        assert_eq!(end, None, "nothing follows the end");
        counts.count(&item);
        match item {
            Exported::Point(_) => panic!("there is one point"),
            Exported::Record(entry) => {
                assert!(whole.logs.is_empty(), "records come first");
                whole.records.push(entry);
            }
            Exported::Log { log, head } => whole.logs.push((log, head, Vec::new())),
            Exported::Logged(logged) => {
                let (_, head, entries) = whole.logs.last_mut().expect("a log comes before its entries");
                assert_eq!(logged.position.get(), head.first.get() + entries.len() as u64);
                entries.push(logged);
            }
            Exported::End(counts) => end = Some(counts),
        }
    }
    assert_eq!(end, Some(counts), "it ends with what it had");
    assert!(whole.records.is_sorted_by(|a, b| a.key < b.key));
    assert!(whole.logs.is_sorted_by(|(a, ..), (b, ..)| a.key() < b.key()));
    for (log, head, entries) in &whole.logs {
        let kept = head.next.get() - head.first.get();
        assert_eq!(entries.len() as u64, kept, "{log}");
        assert_eq!(
            entries.iter().map(|e| e.entry.len() as u64).sum::<u64>(),
            head.bytes,
            "{log}"
        );
    }
    (point, whole)
}

/// What lists and tails tell while nobody writes.
async fn read(store: &dyn RecordStore, under: &str) -> Whole {
    let items = store.list_all(prefix(under), Want::Entries);
    let records = items.map(|item| match item.expect("the store answers") {
        Item::Entry(entry) => entry,
        other => panic!("{other:?}"),
    });
    let mut whole = Whole {
        records: records.collect().await,
        logs: Vec::new(),
    };
    let heads = store
        .heads(&prefix(under), None, PAGE_MAX)
        .await
        .expect("answers");
    for (log, head) in heads {
        let (mut entries, mut after) = (Vec::new(), Position::new(head.first.get() - 1));
        // Ends at the log's end.
        loop {
            let tail = store.tail(&log, after, PAGE_MAX).await.expect("within");
            let Some(last) = tail.last() else { break };
            after = last.position;
            entries.extend(tail);
        }
        whole.logs.push((log, head, entries));
    }
    whole
}

/// Whether this store exports; one that does not says so.
async fn is_declared(store: &dyn RecordStore) -> bool {
    if store.capabilities(&prefix("")).export >= Export::Snapshot {
        return true;
    }
    let refused = store.export(&prefix("")).next().await;
    assert!(
        matches!(refused, Some(Err(ReadError::Unsupported { .. }))),
        "{refused:?}"
    );
    false
}

/// Records of all sizes, and logs begun, truncated and empty.
async fn fill(store: &dyn RecordStore) {
    for n in 0..1200 {
        let path = ["a/b", "a/b-", "a/bc", "z"][n % 4];
        create(store, &format!("{path}/{n:04}"), &"x".repeat(n % 97)).await;
    }
    for n in 0..5 {
        let mut large = batch();
        large.put(
            key(&format!("large/{n}")),
            Expected::Absent,
            KIND,
            vec![7; 700 * 1024],
        );
        commit(store, large).await.expect("absent");
    }
    let mut logs = batch();
    for n in 0..300 {
        logs.append(log("a/b/long"), "y".repeat(n % 50))
            .append(log("z/short"), "");
    }
    logs.begin(log("a/bc/empty"), Position::new(40), None);
    commit(store, logs).await.expect("none is there");
    for _ in 0..6 {
        let mut large = batch();
        large.append(log("large"), vec![8; 200 * 1024]);
        commit(store, large).await.expect("no precondition");
    }
    store
        .truncate(&log("a/b/long"), Position::new(77))
        .await
        .expect("it has 300");
    store
        .truncate(&log("z/short"), Position::new(301))
        .await
        .expect("it has 300");
}

/// What is exported is what can be read.
pub async fn an_export_has_all_there_is<H: Harness>(harness: H) {
    let store = harness.open().await;
    if !is_declared(&*store).await {
        return;
    }
    let (before, nothing) = whole(&*store, "").await;
    assert_eq!(nothing, Whole::default());
    fill(&*store).await;
    let (point, exported) = whole(&*store, "").await;
    let read = read(&*store, "").await;
    assert_eq!(exported, read);
    let highest = read.records.iter().map(|entry| entry.version).max();
    assert!(Some(point.version) >= highest && point.version > before.version);
    assert_eq!(point.store, before.store);
    let (again, same) = whole(&*store, "").await;
    assert_eq!((again, same), (point, read), "nothing was written between");
}

/// Nothing of a neighbour is exported, neither record nor log.
pub async fn an_export_ends_at_its_prefix<H: Harness>(harness: H) {
    let store = harness.open().await;
    if !is_declared(&*store).await {
        return;
    }
    for path in [
        "a/b", "a/b/x", "a/b/y/z", "a/b-", "a/bc", "a/bc/x", "a/b.x/y", "b/x",
    ] {
        create(&*store, path, "").await;
        append(&*store, path, "").await;
    }
    for (under, held) in [
        ("a/b", &["a/b/x", "a/b/y/z"][..]),
        ("a/bc", &["a/bc/x"]),
        ("a/b/x", &[]),
        ("unused", &[]),
    ] {
        let (_, exported) = whole(&*store, under).await;
        assert!(
            exported
                .records
                .iter()
                .map(|e| e.key.to_string())
                .eq(held.iter().copied()),
            "{under}"
        );
        assert!(
            exported
                .logs
                .iter()
                .map(|(log, ..)| log.to_string())
                .eq(held.iter().copied()),
            "{under}"
        );
    }
}

/// The export part of FS-71: under load, what is exported is what was there at one commit.
pub async fn an_export_is_of_one_commit_point<H: Harness>(harness: H) {
    let store = harness.open().await;
    if !is_declared(&*store).await {
        return;
    }
    fill(&*store).await;
    let (is_over, one, two) = (
        Arc::new(AtomicBool::new(false)),
        Arc::clone(&store),
        Arc::clone(&store),
    );
    let (over_one, over_two) = (Arc::clone(&is_over), Arc::clone(&is_over));
    let pairs = tokio::spawn(async move { write_pairs(&*one, &over_one).await });
    let churn = tokio::spawn(async move { churn(&*two, &over_two).await });
    let mut rounds = 0;
    for _ in 0..6 {
        rounds = check_pairs(&*store, rounds).await;
        // Another round is written before the next export.
        append(&*store, "beside", "").await;
    }
    is_over.store(true, Ordering::Release);
    pairs.await.expect("every commit is done");
    churn.await.expect("every commit is done");
    check_pairs(&*store, rounds.max(1)).await;
}

/// Three records far apart and three logs, changed by one commit each round; old entries go.
async fn write_pairs(store: &dyn RecordStore, is_over: &AtomicBool) {
    let names = ["a/b/0000-pair", "m/pair", "zz/pair"];
    let mut at = None;
    let mut round = 0_u64;
    while !is_over.load(Ordering::Acquire) {
        round += 1;
        let mut pair = batch();
        for name in names {
            let expected = at.map_or(Expected::Absent, Expected::At);
            pair.put(key(name), expected, KIND, round.to_string());
            pair.append(log(name), round.to_string());
        }
        at = commit(store, pair)
            .await
            .expect("nobody else writes them")
            .version;
        if round.is_multiple_of(7) {
            let before = Position::new(round - 3);
            store.truncate(&log(names[1]), before).await.expect("it has more");
        }
    }
}

/// Records made, replaced and removed all over the place.
async fn churn(store: &dyn RecordStore, is_over: &AtomicBool) {
    let mut n = 0_u64;
    while !is_over.load(Ordering::Acquire) {
        n += 1;
        let name = format!(
            "{}/{:04}-churn",
            ["a/b", "a/bc", "z"][usize::try_from(n % 3).expect("small")],
            n % 1200
        );
        let made = create(store, &name, "new").await;
        let replaced = replace(store, &name, made, "newer")
            .await
            .expect("nobody else writes it");
        super::kit::delete(store, &name, replaced)
            .await
            .expect("nobody else writes it");
    }
}

/// All of one export is of one round, no older than the last one seen.
async fn check_pairs(store: &dyn RecordStore, seen: u64) -> u64 {
    let (point, exported) = whole(store, "").await;
    let pairs = exported
        .records
        .iter()
        .filter(|entry| entry.key.to_string().ends_with("pair"));
    let pairs: Vec<_> = pairs.map(|entry| (entry.version, entry.value.clone())).collect();
    let logs: Vec<_> = exported
        .logs
        .iter()
        .filter(|(log, ..)| log.to_string().ends_with("pair"))
        .collect();
    let Some((version, value)) = pairs.first() else {
        assert!(logs.is_empty(), "the logs are of the same commits");
        return seen;
    };
    assert_eq!(pairs, vec![(*version, value.clone()); 3]);
    assert!(*version <= point.version, "{version} is not before {point:?}");
    assert_eq!(logs.len(), 3);
    for (log, head, entries) in logs {
        let last = entries
            .last()
            .map(|logged| (logged.version, logged.entry.clone()));
        assert_eq!(last, Some((*version, value.clone())), "{log} {head:?}");
    }
    let round: u64 = String::from_utf8(value.to_vec())
        .expect("text")
        .parse()
        .expect("a number");
    assert!(round >= seen, "{round} after {seen}");
    round
}

/// One at a time; one that is dropped makes room, and writers never wait for one that is not read on.
pub async fn one_export_goes_at_a_time<H: Harness>(harness: H) {
    let store = harness.open().await;
    if !is_declared(&*store).await {
        return;
    }
    create(&*store, "a", "before").await;
    let mut first = store.export(&prefix(""));
    assert!(matches!(first.next().await, Some(Ok(Exported::Point(_)))));
    let second = store.export(&prefix("")).next().await;
    assert!(
        matches!(second, Some(Err(ReadError::Unavailable { .. }))),
        "{second:?}"
    );
    create(&*store, "b", "after").await;
    append(&*store, "l", "after").await;
    let rest: Vec<_> = first
        .map(|item| item.expect("nothing is damaged"))
        .collect()
        .await;
    assert!(
        matches!(&rest[..], [Exported::Record(entry), Exported::End(_)] if entry.key == key("a")),
        "{rest:?}"
    );
    let mut third = store.export(&prefix(""));
    assert!(matches!(third.next().await, Some(Ok(Exported::Point(_)))));
    drop(third);
    let (_, fourth) = whole(&*store, "").await;
    assert_eq!((fourth.records.len(), fourth.logs.len()), (2, 1));
    store.close(soon()).await.expect("nothing is in flight");
}
