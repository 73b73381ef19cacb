//! Every way a local store can end, and what the next opening makes of it.

use dormouse_filesystem::{
    CommitError, Deadline, Expected, Item, Local, Order, Page, Position, Prefix, RecordStore, Want,
};

use super::kit::{KIND, Place, commit, content, create, created, key, log, open_at, soon};

/// Writes of every kind, over several segments.
async fn fill(store: &Local) {
    for n in 0..60 {
        created(store, &format!("k/{n:03}"), &"x".repeat(n * 20)).await;
    }
    for n in 0..60 {
        let name = key(&format!("k/{n:03}"));
        let at = store.get(&name).await.unwrap().unwrap().version;
        let mut batch = dormouse_filesystem::Batch::default();
        match n % 3 {
            0 => drop(batch.put(name, Expected::At(at), KIND, "new".to_owned())),
            1 => drop(batch.delete(name, at)),
            _ => drop(batch.append(log(), format!("again {n}"))),
        }
        commit(store, batch).await.unwrap();
    }
    store.truncate(&log(), Position::new(12)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_or_dropped_it_opens_with_all_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open_at(&path).await.unwrap();
    fill(&store).await;
    let before = content(&store).await;
    let head = store.head(&log()).await.unwrap();
    drop(store);
    for life in 0..4 {
        let store = open_at(&path).await.unwrap();
        assert_eq!(store.health().await.notices, Vec::<String>::new(), "life {life}");
        assert_eq!(content(&store).await, before, "life {life}");
        assert_eq!(store.head(&log()).await.unwrap(), head, "life {life}");
        if life % 2 == 0 {
            store.close(soon()).await.unwrap();
            assert_eq!(content(&store).await, before, "life {life}: from the files");
        }
    }
    let store = open_at(&path).await.unwrap();
    created(&store, "more", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_all_is_behind_the_log_one_segment_is_left() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store).await;
    let used = place.disk.segments().len();
    store.close(soon()).await.unwrap();
    assert_eq!(place.disk.segments().len(), 1, "of {used} or more");
    let before = content(&store).await;
    drop(store);
    let store = place.open().await;
    assert_eq!(content(&store).await, before);
    let newest = before.records.iter().map(|(_, _, version)| *version).max();
    assert!(Some(created(&store, "more", "").await) > newest);
}

/// FS-54 at the store: log and files over a disk that loses power. FS-61: nested keys, cut anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_nothing_acknowledged() {
    for seed in 0..60_u64 {
        let place = Place::new();
        let mut sure = Vec::new();
        let mut is_first = true;
        for life in 0..3 {
            let store = place.open().await;
            let shown = content(&store).await;
            for (name, version) in &sure {
                assert!(
                    shown.records.iter().any(|(n, _, v)| (n, v) == (name, version)),
                    "seed {seed}: {name}"
                );
            }
            let records: Vec<&str> = shown.records.iter().map(|(name, ..)| name.as_str()).collect();
            let mut entries: Vec<&str> = shown.entries.iter().map(|(_, _, entry)| entry.as_str()).collect();
            entries.retain(|entry| *entry != "deleted");
            let mut sorted = records.clone();
            sorted.sort_unstable();
            entries.sort_unstable();
            assert_eq!(
                sorted, entries,
                "seed {seed}: a record and its log entry are one commit"
            );
            let temporary = place.disk.bytes().into_keys().find(|name| name.ends_with(".tmp"));
            assert_eq!(temporary, None, "seed {seed}");
            place.disk.light_fuse(seed * 7 % 211 + 3);
            for n in 0..40 {
                let name = format!("a{life}{}", ["", "/b", "/b/c"][n % 3]);
                let name = format!("{name}{n:02}");
                match commit(&store, create(&name, &"v".repeat(n * 9))).await {
                    Ok(committed) => sure.push((name, committed.version.unwrap())),
                    Err(CommitError::Indeterminate { .. } | CommitError::Closed { .. }) => break,
                    Err(CommitError::Busy { .. }) if is_first => break,
                    Err(error) => panic!("seed {seed}: {error}"),
                }
            }
            is_first = false;
            drop(store.close(Deadline::after(super::kit::PATIENCE)).await);
            drop(store);
            place.disk.cut_power(seed);
        }
    }
}

/// Truncations, deletes and full parts, with the power cut anywhere while they go behind the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_while_parts_are_written_leaves_the_log_as_it_was() {
    for seed in 0..40_u64 {
        let place = Place::new();
        let store = place.open().await;
        for n in 0..6 {
            let mut batch = create(&format!("k/{n}"), "");
            batch.append(log(), "x".repeat(90 * 1024));
            commit(&store, batch).await.unwrap();
        }
        store.close(soon()).await.unwrap();
        drop(store);
        let store = place.open().await;
        store
            .truncate(&log(), Position::new(3 + seed % 10))
            .await
            .unwrap();
        let at = store.get(&key("k/0")).await.unwrap().unwrap().version;
        let mut batch = create("late", "");
        batch.delete(key("k/0"), at);
        commit(&store, batch).await.unwrap();
        let before = content(&store).await;
        let head = store.head(&log()).await.unwrap();
        place.disk.light_fuse(seed % 40);
        drop(store.close(soon()).await);
        drop(store);
        place.disk.cut_power(seed);
        for life in 0..2 {
            let store = place.open().await;
            assert_eq!(store.head(&log()).await.unwrap(), head, "seed {seed} life {life}");
            assert!(content(&store).await == before, "seed {seed} life {life}");
            store.close(soon()).await.unwrap();
        }
    }
}

/// FS-43
#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_flush_writes_are_refused_reads_go_on_and_reopening_decides() {
    let place = Place::new();
    let store = place.open().await;
    created(&store, "before", "").await;
    let before = content(&store).await;
    place.disk.fail_sync(0);
    let lost = commit(&store, create("lost", "")).await;
    assert!(matches!(lost, Err(CommitError::Indeterminate { .. })), "{lost:?}");
    let syncs = place.disk.counts().syncs;
    let refused = commit(&store, create("after", "")).await;
    assert!(matches!(refused, Err(CommitError::Closed { .. })), "{refused:?}");
    assert_eq!(content(&store).await, before);
    store.close(soon()).await.unwrap();
    assert_eq!(place.disk.counts().syncs, syncs);
    drop(store);
    let store = place.open().await;
    let shown = content(&store).await;
    drop(store);
    place.disk.cut_power(1);
    assert_eq!(content(&place.open().await).await, shown);
}

/// FS-18, but for the cost beside 10⁶ rows, which a local store does not hold.
#[tokio::test(flavor = "multi_thread")]
async fn one_corrupt_row_of_ten_is_an_item_and_the_others_are_as_ever() {
    let place = Place::new();
    let store = place.open().await;
    for n in 0..10 {
        created(&store, &format!("k{n}"), &format!("the value of {n}")).await;
    }
    store.close(soon()).await.unwrap();
    drop(store);
    place
        .disk
        .damage("records/k4=.rec", |bytes| *bytes.last_mut().unwrap() ^= 1);
    place.disk.damage("records/k6=.rec", |bytes| bytes[3] ^= 1);
    let store = place.open().await;
    let damaged = place.disk.bytes();
    for want in [Want::Entries, Want::Keys] {
        for order in [Order::Up, Order::Down] {
            let page = Page {
                want,
                order,
                ..Page::of(Prefix::root())
            };
            let items = store.list(&page).await.unwrap().items;
            let corrupt = items.iter().filter(|item| matches!(item, Item::Corrupt { .. }));
            // Without its value only the line is looked at.
            assert_eq!(
                (items.len(), corrupt.count()),
                (10, if want == Want::Entries { 2 } else { 1 })
            );
        }
    }
    let page = Page::of(Prefix::root());
    let Item::Entry(neighbour) = &store.list(&page).await.unwrap().items[5] else {
        panic!("it is whole");
    };
    let mut batch = dormouse_filesystem::Batch::default();
    batch.put(key("k5"), Expected::At(neighbour.version), KIND, "new".to_owned());
    commit(&store, batch).await.unwrap();
    store.close(soon()).await.unwrap();
    for name in ["records/k4=.rec", "records/k6=.rec"] {
        assert_eq!(place.disk.bytes()[name], damaged[name]);
    }
}
