//! Every way a store can end, and what the next opening makes of it.

use dormouse_filesystem::commit_log::FileLayer;
use dormouse_filesystem::{
    BusyCause, CommitError, Expected, Item, OpenError, Page, Position, Prefix, ReadError, RecordStore, State,
};

use super::kit::{
    Content, KIND, Place, commit, content, create, created, key, log, open_at, options, soon, try_content,
};
use crate::sim_files::{SimFiles, Step};

/// Writes of every kind, over several segments.
async fn fill(store: &dormouse_filesystem::Sled) {
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
async fn dropped_without_a_close_it_opens_with_all_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open_at(&path).await.unwrap();
    fill(&store).await;
    let before = content(&store).await;
    let head = store.head(&log()).await.unwrap();
    drop(store);
    let store = open_at(&path).await.unwrap();
    assert_eq!(content(&store).await, before);
    assert_eq!(store.head(&log()).await.unwrap(), head);
    created(&store, "more", "").await;
}

async fn filled() -> (Place, Content) {
    let place = Place::new();
    let store = place.open().await;
    fill(&store).await;
    let before = content(&store).await;
    store.close(soon()).await.unwrap();
    drop(store);
    (place, before)
}

/// Opens the place, again if an index that could not be believed closed it, and compares.
async fn holds(place: &Place, before: &Content, what: &str) {
    let store = place.open().await;
    let after = match try_content(&store).await {
        Some(after) => after,
        None => {
            assert!(
                matches!(store.health().await.state, State::Closed { .. }),
                "{what}"
            );
            drop(store);
            content(&place.open().await).await
        }
    };
    assert!(after == *before, "{what}: {} records", after.records.len());
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// FS-55
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_removed_rolled_back_or_of_another_format_is_rebuilt() {
    let place = Place::new();
    let index = place.path().join("index");
    let old = place.path().with_file_name("old");
    let store = place.open().await;
    created(&store, "first", "").await;
    store.close(soon()).await.unwrap();
    drop(store);
    copy(&index, &old);
    let store = place.open().await;
    fill(&store).await;
    let before = content(&store).await;
    store.close(soon()).await.unwrap();
    drop(store);

    std::fs::remove_dir_all(&index).unwrap();
    holds(&place, &before, "removed").await;
    std::fs::remove_dir_all(&index).unwrap();
    copy(&old, &index);
    holds(&place, &before, "rolled back").await;
    std::fs::remove_dir_all(&index).unwrap();
    std::fs::create_dir(&index).unwrap();
    std::fs::write(index.join("conf"), "of another program").unwrap();
    holds(&place, &before, "of another format").await;
    let other = tempfile::tempdir().unwrap();
    let stranger = open_at(&other.path().join("store")).await.unwrap();
    created(&stranger, "stranger", "").await;
    drop(stranger);
    std::fs::remove_dir_all(&index).unwrap();
    copy(&other.path().join("store/index"), &index);
    holds(&place, &before, "of another store").await;
}

/// FS-55
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_garbled_anywhere_is_rebuilt() {
    let (place, before) = filled().await;
    let db = place.path().join("index/db");
    let whole = std::fs::read(&db).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for part in 0..12 {
        let at = used * part / 12;
        let mut bytes = std::fs::read(&db).unwrap();
        let end = (at + 2000).min(bytes.len());
        let at = at.min(end);
        bytes[at..end].fill(0xa5);
        std::fs::write(&db, &bytes).unwrap();
        holds(&place, &before, &format!("garbled at {at}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_ahead_of_its_log_is_rebuilt() {
    let place = Place::new();
    let store = place.open().await;
    created(&store, "kept", "").await;
    let before = content(&store).await;
    let rolled_back = place.disk.fork();
    created(&store, "lost", "").await;
    drop(store);
    // The log forgets its last commit, as only a disk that lies can make it; the tree still knows it.
    let place = Place {
        disk: rolled_back,
        ..place
    };
    holds(&place, &before, "ahead").await;
}

/// FS-54 at the store: the log over a disk that loses power, and the index rebuilt from it.
#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_nothing_acknowledged() {
    for seed in 0..24_u64 {
        let place = Place::new();
        let mut sure = Vec::new();
        for life in 0..2 {
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
            entries.sort_unstable();
            assert_eq!(
                records, entries,
                "seed {seed}: a record and its log entry are one commit"
            );
            place.disk.light_fuse(seed * 7 % 61 + 3);
            for n in 0..40 {
                let name = format!("k{life}n{n:02}");
                match commit(&store, create(&name, &"v".repeat(n * 9))).await {
                    Ok(committed) => sure.push((name, committed.version.unwrap())),
                    Err(CommitError::Indeterminate { .. } | CommitError::Closed { .. }) => break,
                    Err(error) => panic!("seed {seed}: {error}"),
                }
            }
            drop(store);
            place.disk.cut_power(seed);
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
    assert_eq!(
        place.disk.counts().syncs,
        syncs,
        "a flush that failed is not tried again"
    );
    drop(store);

    let store = place.open().await;
    let shown = content(&store).await;
    drop(store);
    place.disk.cut_power(1);
    assert_eq!(content(&place.open().await).await, shown);
}

/// FS-44
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_growth_lets_deletes_through_and_recovers() {
    for room in [0, 1, 300, 5000, 20_000] {
        let place = Place::new();
        let mut options = options();
        options.segment_bytes = 1024;
        options.reserve_bytes = 4096;
        let files = std::sync::Arc::new(place.disk.clone());
        let store = dormouse_filesystem::Sled::open_on(&place.path(), options, files)
            .await
            .unwrap();
        let first = created(&store, "first", "").await;
        place.disk.leave_room(Some(room + 4096));
        let mut stored = vec![(String::from("first"), first)];
        let refused = loop {
            let name = format!("k{}", stored.len());
            match commit(&store, create(&name, &"x".repeat(200))).await {
                Ok(committed) => stored.push((name, committed.version.unwrap())),
                Err(error) => break error,
            }
        };
        let is_no_space = matches!(
            refused,
            CommitError::Busy {
                cause: BusyCause::NoSpace
            }
        );
        assert!(is_no_space, "room {room}: {refused:?}");
        let names = |content: &Content| content.records.iter().map(|(n, _, v)| (n.clone(), *v)).collect();
        let shown: Vec<_> = names(&content(&store).await);
        stored.sort();
        assert_eq!(shown, stored, "room {room}: nothing of what was refused");
        let mut delete = dormouse_filesystem::Batch::default();
        delete.delete(key("first"), first);
        commit(&store, delete).await.unwrap();
        store.truncate(&log(), Position::new(2)).await.unwrap();
        place.disk.leave_room(None);
        created(&store, "after", &"x".repeat(200)).await;
        assert_eq!(store.health().await.state, State::Open);
    }
}

/// A disk that is full only at a step behind the check for room: what was acknowledged is there when it is opened again.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_full_at_any_step_of_a_new_segment_never_makes_the_store_unopenable() {
    for step in [Step::SyncFile, Step::Rename, Step::SyncFolder] {
        for after in 0..6 {
            let what = format!("{step:?} after {after}");
            let place = Place::new();
            let mut options = options();
            options.segment_bytes = 1024;
            let files = std::sync::Arc::new(place.disk.clone());
            let store = dormouse_filesystem::Sled::open_on(&place.path(), options, files)
                .await
                .unwrap();
            created(&store, "first", "").await;
            place.disk.be_full_at(step, after);
            let mut acknowledged = vec![String::from("first")];
            let mut refused = 0;
            for n in 0..30 {
                let name = format!("k{n:02}");
                match commit(&store, create(&name, &"x".repeat(200))).await {
                    Ok(_) => acknowledged.push(name),
                    Err(
                        CommitError::Busy {
                            cause: BusyCause::NoSpace,
                        }
                        | CommitError::Indeterminate { .. }
                        | CommitError::Closed { .. },
                    ) => refused += 1,
                    Err(error) => panic!("{what}: {error}"),
                }
            }
            assert!(refused > 0 || after > 0, "{what}");
            drop(store);
            let store = place.try_open().await.expect(&what);
            let shown = content(&store).await;
            for name in &acknowledged {
                assert!(shown.records.iter().any(|(n, ..)| n == name), "{what}: {name}");
            }
            created(&store, "more", "").await;
        }
    }
}

/// The same of the segment that the cleaner asks for, when there was room for the commit itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_the_cleaner_cannot_begin_never_makes_the_store_unopenable() {
    let mut closed = 0;
    for round in 0..24_usize {
        let what = format!("round {round}");
        let place = Place::new();
        let mut options = options();
        options.segment_bytes = 1024;
        let files = std::sync::Arc::new(place.disk.clone());
        let store = dormouse_filesystem::Sled::open_on(&place.path(), options, files)
            .await
            .unwrap();
        let mut stored = std::collections::BTreeMap::new();
        for n in 0..60 {
            let name = format!("k{n}");
            let version = created(&store, &name, &"x".repeat(60)).await;
            stored.insert(name, version);
        }
        // Most of them stay, so that the cleaner has something to move once enough beside them is dead.
        for n in 0..320 {
            if n == 200 {
                place
                    .disk
                    .be_full_at(Step::SyncFolder, u64::try_from(round % 3).unwrap());
            }
            let name = format!("k{}", n % 4);
            let mut batch = dormouse_filesystem::Batch::default();
            let value = "y".repeat((n * 7 + round * 13) % 60);
            batch.put(key(&name), Expected::At(stored[&name]), KIND, value);
            match commit(&store, batch).await {
                Ok(committed) => drop(stored.insert(name, committed.version.unwrap())),
                Err(CommitError::Closed { .. }) => closed += 1,
                Err(CommitError::Busy { .. }) => {}
                Err(error) => panic!("{what}: {error}"),
            }
        }
        drop(store);
        place.disk.rest();
        let store = place.try_open().await.expect(&what);
        for (name, version) in &stored {
            let entry = store.get(&key(name)).await.unwrap().expect(&what);
            assert_eq!(entry.version, *version, "{what}: {name}");
        }
        created(&store, "more", "").await;
    }
    assert!(closed > 0, "no segment was ever refused");
}

/// FS-18, but for the cost beside 10⁶ rows, which the bench measures.
#[tokio::test(flavor = "multi_thread")]
async fn one_corrupt_row_of_ten_is_an_item_and_the_others_are_as_ever() {
    let place = Place::new();
    let store = place.open().await;
    for n in 0..10 {
        created(&store, &format!("k{n}"), &format!("the value of {n}")).await;
    }
    for name in place.disk.segments() {
        place.disk.damage(&name, |bytes| {
            let needle = b"the value of 4";
            if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
                bytes[at] ^= 1;
            }
        });
    }
    let bytes = place.disk.bytes();
    let items = store.list(&Page::of(Prefix::root())).await.unwrap().items;
    let corrupt: Vec<bool> = items
        .iter()
        .map(|item| matches!(item, Item::Corrupt { .. }))
        .collect();
    assert_eq!(
        corrupt,
        [
            false, false, false, false, true, false, false, false, false, false
        ]
    );
    let read = store.get(&key("k4")).await;
    assert!(matches!(read, Err(ReadError::Corrupt { key: k }) if k == key("k4")));
    let many = store.get_many(&[key("k4")]).await;
    assert!(matches!(many, Err(ReadError::Corrupt { .. })), "{many:?}");
    let tail = store.tail(&log(), Position::START, 10).await;
    assert!(tail.is_err(), "{tail:?}");
    assert_eq!(place.disk.bytes(), bytes);
    let Some(Item::Entry(neighbour)) = items.get(5) else {
        panic!("{items:?}");
    };
    let mut batch = dormouse_filesystem::Batch::default();
    batch.put(key("k5"), Expected::At(neighbour.version), KIND, "new".to_owned());
    commit(&store, batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_last_group_is_told_in_health_and_damage_before_it_refuses_to_open() {
    let place = Place::new();
    let store = place.open().await;
    created(&store, "a", "").await;
    created(&store, "b", "").await;
    drop(store);
    let segment = place.disk.segments().pop().unwrap();
    let flip = |disk: &SimFiles, needle: &[u8]| {
        disk.damage(&segment, |bytes| {
            let at = bytes
                .windows(needle.len())
                .position(|window| window == needle)
                .unwrap();
            bytes[at] ^= 1;
        });
    };
    let damaged = place.disk.fork();
    flip(&damaged, b"atest");
    flip(&place.disk, b"btest");
    let store = place.open().await;
    assert_eq!(content(&store).await.records.len(), 1);
    let notices = store.health().await.notices;
    assert!(
        notices.iter().any(|notice| notice.contains("torn")),
        "{notices:?}"
    );
    drop(store);

    let bytes = damaged.bytes();
    let place = Place {
        disk: damaged,
        ..place
    };
    let refused = place.try_open().await;
    assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
    assert_eq!(place.disk.bytes(), bytes);
}

/// Opened and dropped once more, so that a checkpoint stands behind all that was committed.
async fn proved_up_to_its_end() -> Place {
    let place = Place::new();
    let store = place.open().await;
    created(&store, "a", "").await;
    created(&store, "b", "").await;
    drop(store);
    drop(place.open().await);
    place
}

async fn is_refused_untouched(place: &Place, what: &str) {
    let bytes = place.disk.bytes();
    let refused = place.try_open().await;
    assert!(
        matches!(refused, Err(OpenError::Damaged { .. })),
        "{what}: {refused:?}"
    );
    assert_eq!(place.disk.bytes(), bytes, "{what}: nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_group_that_a_checkpoint_proves_is_damaged_and_never_torn() {
    let place = proved_up_to_its_end().await;
    let segment = place.disk.segments().pop().unwrap();
    place.disk.damage(&segment, |bytes| {
        let needle = b"btest";
        let at = bytes.windows(needle.len()).position(|w| w == needle).unwrap();
        bytes[at] ^= 1;
    });
    is_refused_untouched(&place, "in this boot").await;
    place.disk.cut_power(1);
    is_refused_untouched(&place, "in the next boot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_segments_is_refused_whether_it_was_closed_or_not() {
    for is_closed in [true, false] {
        let place = Place::new();
        let store = place.open().await;
        fill(&store).await;
        if is_closed {
            store.close(soon()).await.unwrap();
        }
        drop(store);
        if !is_closed {
            drop(place.open().await);
        }
        let segments = place.disk.segments();
        assert!(segments.len() > 2, "{segments:?}");
        let newest = segments.last().unwrap().clone();
        let checkpoint = String::from("checkpoint");
        let lost = [
            vec![newest],
            vec![segments[0].clone(), checkpoint],
            vec![segments[1].clone()],
            segments.clone(),
        ];
        for names in lost {
            let disk = place.disk.fork();
            for name in &names {
                disk.remove(name).unwrap();
            }
            let damaged = Place {
                folder: tempfile::tempdir().unwrap(),
                disk,
            };
            copy(&place.path(), &damaged.path());
            is_refused_untouched(&damaged, &format!("closed {is_closed}, lost {names:?}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committer_that_dies_with_a_commit_in_its_hands_leaves_it_unknown() {
    let place = Place::new();
    let store = place.open().await;
    created(&store, "before", "").await;
    place.disk.panic_in_sync();
    let lost = commit(&store, create("lost", "")).await;
    assert!(matches!(lost, Err(CommitError::Indeterminate { .. })), "{lost:?}");
    let refused = commit(&store, create("after", "")).await;
    assert!(matches!(refused, Err(CommitError::Closed { .. })), "{refused:?}");
    drop(store);
    let shown = content(&place.open().await).await;
    let names: Vec<&str> = shown.records.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["before", "lost"], "it had reached the disk after all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_answer_is_no_corruption() {
    let place = Place::new();
    let store = place.open().await;
    created(&store, "a", "").await;
    place.disk.fail_reads(true);
    let listed = store.list(&Page::of(Prefix::root())).await;
    assert!(matches!(listed, Err(ReadError::Unavailable { .. })), "{listed:?}");
    place.disk.fail_reads(false);
    let listed = store.list(&Page::of(Prefix::root())).await.unwrap();
    assert!(matches!(listed.items[..], [Item::Entry(_)]), "{listed:?}");
}
