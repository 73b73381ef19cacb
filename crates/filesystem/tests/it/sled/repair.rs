//! A log that is damaged: refused, told, repaired with the bytes kept.

use std::path::{Path, PathBuf};

use dormouse_filesystem::{Checked, LogError, OpenError, Position, ReadError, RecordStore, Sled};

use super::kit::{Content, commit, content, create, created, key, log, open_at, options, soon};

struct Damaged {
    folder: tempfile::TempDir,
    before: Content,
}

impl Damaged {
    /// A store of several segments, closed.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open_at(&folder.path().join("store")).await.unwrap();
        for n in 0..80 {
            created(
                &store,
                &format!("k/{n:03}"),
                &format!("the value of {n} {}", "x".repeat(n * 9)),
            )
            .await;
        }
        let before = content(&store).await;
        store.close(soon()).await.unwrap();
        Self { folder, before }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn segments(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path().join("log")).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
        paths.sort();
        paths
    }

    async fn check(&self) -> Checked {
        Sled::check(&self.path(), options()).await.unwrap()
    }

    /// Refused, told, repaired and opened, with what was lost as many records.
    async fn is_repaired(&self, lost: std::ops::RangeInclusive<usize>, what: &str) -> Checked {
        // So that all of the log is looked at, whatever the last checkpoint says.
        let index = self.path().join("index");
        let is_refused = |opened: Result<Sled, OpenError>| matches!(opened, Err(OpenError::Damaged { .. }));
        std::fs::remove_dir_all(index).unwrap();
        let before = files(&self.path());
        assert!(is_refused(open_at(&self.path()).await), "{what}");
        let checked = self.check().await;
        assert!(
            !checked.damages.is_empty() && checked.kept.is_empty(),
            "{what}: {checked:?}"
        );
        assert!(files(&self.path()) == before, "{what}: nothing was changed");
        let repaired = Sled::repair(&self.path(), options()).await.unwrap();
        assert_eq!(repaired.damages, checked.damages, "{what}");
        assert_eq!(self.check().await.damages, [], "{what}");
        let store = open_at(&self.path()).await.expect(what);
        let after = content_of_records(&store).await;
        let missing = self
            .before
            .records
            .iter()
            .filter(|record| !after.contains(record));
        let missing = missing.count();
        assert!(
            lost.contains(&missing) && after.len() + missing == self.before.records.len(),
            "{what}: {missing}"
        );
        created(&store, "new", "").await;
        store.close(soon()).await.unwrap();
        drop(store);
        let store = open_at(&self.path()).await.unwrap();
        assert_eq!(content_of_records(&store).await.len(), after.len() + 1, "{what}");
        repaired
    }
}

/// Without the log, some of whose entries may be lost.
async fn content_of_records(store: &Sled) -> Vec<(String, String, dormouse_filesystem::Version)> {
    let mut page = dormouse_filesystem::Page::of(dormouse_filesystem::Prefix::root());
    page.limit = 1000;
    let listed = store.list(&page).await.unwrap();
    let records = listed.items.into_iter().map(|item| match item {
        dormouse_filesystem::Item::Entry(entry) => {
            let value = String::from_utf8(entry.value.to_vec()).unwrap();
            (entry.key.to_string(), value, entry.version)
        }
        other => panic!("{other:?}"),
    });
    records.collect()
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The index is made anew at will.
        if path.is_dir() && path.file_name().is_some_and(|name| name != "index") {
            found.extend(files(&path));
        } else if path.is_file() && path.file_name().is_some_and(|name| name != "LOCK") {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

fn end_of(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).unwrap()
}

/// FS-56 with the tests of the log: damage is refused, and moved aside on repair.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_frame_is_moved_aside_and_all_others_stay() {
    let damaged = Damaged::new().await;
    let whole = damaged.check().await;
    assert!(
        whole.damages.is_empty() && whole.commits == 80 && whole.torn.is_none(),
        "{whole:?}"
    );
    let segment = damaged.segments().remove(1);
    edit(&segment, |bytes| {
        let at = end_of(bytes) / 2;
        bytes[at] ^= 0x41;
    });
    let bad = std::fs::read(&segment).unwrap();
    let repaired = damaged.is_repaired(1..=1, "a byte").await;
    let [damage] = &repaired.damages[..] else {
        panic!("{repaired:?}");
    };
    assert!(
        damage.bytes > 0 && damage.place.contains(" offset "),
        "{damage:?}"
    );
    let kept = std::fs::read(damaged.path().join(&repaired.kept[0])).unwrap();
    assert!(kept == bad, "the bytes are kept as they were");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_lost_is_corrupt_and_those_beside_it_are_read() {
    let damaged = Damaged::new().await;
    let segment = damaged.segments().remove(0);
    edit(&segment, |bytes| {
        let needle = b"the value of 7 ";
        let at = bytes
            .windows(needle.len())
            .position(|window| window == needle)
            .unwrap();
        bytes[at] ^= 1;
    });
    damaged.is_repaired(1..=1, "a value").await;
    let store = open_at(&damaged.path()).await.unwrap();
    assert_eq!(store.get(&key("k/007")).await.unwrap(), None);
    let tail = store.tail(&log(), Position::START, 1000).await.unwrap();
    assert_eq!(tail.len(), 7, "up to before the one that is lost");
    let lost = store.tail(&log(), Position::new(7), 1000).await;
    assert!(
        matches!(lost, Err(LogError::Read(ReadError::Corrupt { .. }))),
        "{lost:?}"
    );
    let tail = store.tail(&log(), Position::new(8), 1000).await.unwrap();
    assert_eq!((tail.len(), tail[0].position), (73, Position::new(9)));
    store.truncate(&log(), Position::new(9)).await.unwrap();
    commit(&store, create("more", "")).await.unwrap();
    assert_eq!(
        store.tail(&log(), Position::new(8), 1000).await.unwrap().len(),
        74
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_ends_and_whole_segments_that_are_lost_are_made_up_for() {
    type Change = (&'static str, std::ops::RangeInclusive<usize>, fn(&[PathBuf]));
    let changes: [Change; 8] = [
        ("a header", 0..=0, |s| edit(&s[1], |bytes| bytes[20] ^= 1)),
        ("the first header", 0..=0, |s| edit(&s[0], |bytes| bytes[20] ^= 1)),
        ("an end", 1..=3, |s| {
            edit(&s[0], |bytes| {
                let end = end_of(bytes);
                bytes[end - 700..].fill(0);
            });
        }),
        ("a file cut short", 1..=3, |s| {
            edit(&s[1], |bytes| bytes.truncate(end_of(bytes) - 700));
        }),
        ("the proved end", 1..=3, |s| {
            edit(s.last().unwrap(), |bytes| {
                let end = end_of(bytes);
                bytes[end - 700..].fill(0);
            });
        }),
        ("a segment between", 5..=50, |s| {
            std::fs::remove_file(&s[1]).unwrap();
        }),
        ("the first segment", 5..=60, |s| {
            std::fs::remove_file(&s[0]).unwrap();
        }),
        ("the last segment", 1..=50, |s| {
            std::fs::remove_file(s.last().unwrap()).unwrap();
        }),
    ];
    for (what, lost, change) in changes {
        let damaged = Damaged::new().await;
        let segments = damaged.segments();
        assert!(segments.len() > 2, "{segments:?}");
        change(&segments);
        damaged.is_repaired(lost, what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_last_group_is_told_and_left_to_the_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open_at(&path).await.unwrap();
    created(&store, "a", "").await;
    created(&store, "b", "").await;
    drop(store);
    let name = std::fs::read_dir(path.join("log"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    edit(&name.path(), |bytes| {
        let needle = b"btest";
        let at = bytes
            .windows(needle.len())
            .position(|window| window == needle)
            .unwrap();
        bytes[at] ^= 1;
    });
    let checked = Sled::repair(&path, options()).await.unwrap();
    assert!(
        checked.torn.is_some() && checked.damages.is_empty() && checked.kept.is_empty(),
        "{checked:?}"
    );
    assert_eq!(content(&open_at(&path).await.unwrap()).await.records.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_or_no_store_is_not_looked_through() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = Sled::check(folder.path(), options()).await;
    assert!(matches!(nothing, Err(OpenError::Refused { .. })), "{nothing:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let path = folder.path().join("store");
    let store = open_at(&path).await.unwrap();
    let open = Sled::repair(&path, options()).await;
    assert!(matches!(open, Err(OpenError::InUse { .. })), "{open:?}");
    drop(store);
}
