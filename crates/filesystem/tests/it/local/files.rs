//! What people see in a local store's folder, and what they do there.

use std::path::Path;

use dormouse_filesystem::{
    BATCH_OPERATIONS_MAX, Batch, CommitError, Expected, LOCAL_RECORDS_MAX, Local, LocalOptions, OpenError,
    Position, ReadError, RecordStore, Repair, Repaired, Version,
};

use super::NOW;
use super::kit::{KIND, commit, content, created, key, log, open_at, soon};

async fn closed(path: &Path, names: &[&str]) -> Vec<Version> {
    let store = open_at(path).await.unwrap();
    let mut versions = Vec::new();
    for name in names {
        versions.push(created(&store, name, &format!("the value of {name}")).await);
    }
    store.close(soon()).await.unwrap();
    versions
}

/// FS-61, but for the kill, which the crash test has.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_a_folder_and_a_log_of_one_name_lie_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let versions = closed(&path, &["log", "log/b"]).await;
    let text = std::fs::read_to_string(path.join("records/log/b=.rec")).unwrap();
    let (line, value) = text.split_once('\n').unwrap();
    assert!(line.starts_with(&format!(
        "dormouse-record/1 kind=test version={} len=18 crc=",
        versions[1]
    )));
    assert_eq!(value, "the value of log/b");
    assert!(path.join("records/log=.rec").is_file());
    let part = std::fs::read_to_string(path.join("logs/log=/00000000000000000001.log")).unwrap();
    assert!(part.starts_with(&format!(
        "dormouse-log/1 incarnation={} first=1 next=3 ",
        versions[0]
    )));
    assert!(part.ends_with(&format!("version={} len=5\nlog/b\n", versions[1])));
    let store = open_at(&path).await.unwrap();
    let mut batch = Batch::default();
    batch.delete(key("log/b"), versions[1]);
    commit(&store, batch).await.unwrap();
    store.truncate(&log(), Position::new(3)).await.unwrap();
    store.close(soon()).await.unwrap();
    assert!(!path.join("records/log").exists(), "an empty folder goes");
    let head = store.head(&log()).await.unwrap();
    drop(store);
    let store = open_at(&path).await.unwrap();
    assert_eq!(store.head(&log()).await.unwrap(), head);
    assert_eq!(content(&store).await.records.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_files_of_a_life_before_are_removed_and_what_people_put_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    closed(&path, &["a/b"]).await;
    let stray = ["records/a/b=.12.tmp", "logs/log=/00000000000000000001=.tmp"];
    let theirs = [
        "records/readme.md",
        "records/a/b=.12.kept",
        "logs/notes",
        "records/A.txt",
    ];
    for name in stray.iter().chain(&theirs) {
        std::fs::write(path.join(name), "half").unwrap();
    }
    let store = open_at(&path).await.unwrap();
    assert_eq!(content(&store).await.records.len(), 1);
    assert!(stray.iter().all(|name| !path.join(name).exists()));
    assert!(theirs.iter().all(|name| path.join(name).exists()));
}

/// FS-62
#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_is_corrupt_until_repair_takes_it_as_a_new_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let versions = closed(&path, &["a", "b", "c", "d"]).await;
    let file = |name: &str| path.join(format!("records/{name}=.rec"));
    let edit = |name: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(file(name)).unwrap();
        std::fs::write(file(name), text.replacen(from, to, 1)).unwrap();
    };
    edit("a", "value", "edited value");
    let store = open_at(&path).await.unwrap();
    edit("b", "version=", "version=x");
    edit("c", "dormouse-record", "");
    std::fs::remove_file(file("d")).unwrap();
    for (name, version) in ["a", "b", "c", "d"].iter().zip(&versions) {
        let read = store.get(&key(name)).await;
        assert!(matches!(read, Err(ReadError::Corrupt { .. })), "{name}: {read:?}");
        let before = std::fs::read(file(name)).ok();
        let mut batch = Batch::default();
        batch.put(key(name), Expected::At(*version), KIND, "over it".to_owned());
        let written = commit(&store, batch).await;
        assert!(
            matches!(written, Err(CommitError::Corrupt { .. })),
            "{name}: {written:?}"
        );
        let mut batch = Batch::default();
        batch.delete(key(name), *version);
        let deleted = commit(&store, batch).await;
        assert!(
            matches!(deleted, Err(CommitError::Corrupt { .. })),
            "{name}: {deleted:?}"
        );
        assert_eq!(std::fs::read(file(name)).ok(), before, "{name}");
    }

    let repaired = store.repair(soon()).await.unwrap();
    let [
        Repaired {
            repair: Repair::Taken { version: a },
            ..
        },
        Repaired {
            repair: Repair::Taken { version: b },
            ..
        },
        Repaired {
            repair: Repair::Unreadable,
            ..
        },
        Repaired {
            repair: Repair::Removed,
            ..
        },
    ] = repaired[..]
    else {
        panic!("{repaired:?}");
    };
    assert!(a > versions[3] && b > a);
    store.close(soon()).await.unwrap();
    drop(store);
    let store = open_at(&path).await.unwrap();
    for (name, version, value) in [("a", a, "the edited value of a"), ("b", b, "the value of b")] {
        let entry = store.get(&key(name)).await.unwrap().unwrap();
        assert_eq!((entry.version, &entry.value[..]), (version, value.as_bytes()));
    }
    assert!(store.get(&key("c")).await.is_err());
    assert_eq!(store.get(&key("d")).await.unwrap(), None);
    let names: Vec<String> = std::fs::read_dir(path.join("records"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| name.ends_with("=.rec")), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_edited_between_a_commit_and_its_file_are_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let versions = closed(&path, &["a"]).await;
    let store = open_at(&path).await.unwrap();
    let mut batch = Batch::default();
    batch.put(key("a"), Expected::At(versions[0]), KIND, "new".to_owned());
    let version = commit(&store, batch).await.unwrap().version.unwrap();
    std::fs::write(path.join("records/a=.rec"), "mine").unwrap();
    store.close(soon()).await.unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap().unwrap().version, version);
    let kept = std::fs::read_to_string(path.join(format!("records/a=.{version}.kept")));
    assert_eq!(kept.unwrap(), "mine");
    assert_eq!(store.health().await.notices.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_part_of_a_log_is_corrupt_and_the_log_goes_on_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    closed(&path, &["a", "b"]).await;
    let part = path.join("logs/log=/00000000000000000001.log");
    let edited = std::fs::read_to_string(&part).unwrap().replace("\na\n", "\nA\n");
    std::fs::write(&part, &edited).unwrap();
    closed(&path, &["c"]).await;
    let store = open_at(&path).await.unwrap();
    assert!(store.tail(&log(), Position::START, 10).await.is_err());
    let tail = store.tail(&log(), Position::new(2), 10).await.unwrap();
    assert_eq!(tail.len(), 1);
    let truncated = store.truncate(&log(), Position::new(2)).await;
    assert!(truncated.is_err(), "{truncated:?}");
    assert_eq!(std::fs::read_to_string(&part).unwrap(), edited);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_removed_by_hand_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    closed(&path, &["a", "b"]).await;
    std::fs::remove_file(path.join("records/a=.rec")).unwrap();
    let store = open_at(&path).await.unwrap();
    assert_eq!(content(&store).await.records.len(), 1);
    let notices = store.health().await.notices;
    assert!(
        notices.iter().any(|notice| notice.contains("by hand")),
        "{notices:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_another_backend_is_foreign() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    std::fs::create_dir(&path).unwrap();
    let format = "dormouse-store/1\nbackend=sled\nid=00000000000000000000000000000001\n";
    std::fs::write(path.join("FORMAT"), format).unwrap();
    let opened = open_at(&path).await;
    assert!(matches!(opened, Err(OpenError::Foreign { .. })), "{opened:?}");
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_owner_may_look_into_it() {
    use std::os::unix::fs::PermissionsExt;
    fn check(path: &Path) {
        let about = std::fs::metadata(path).unwrap();
        let mode = about.permissions().mode() & 0o777;
        assert_eq!(
            mode,
            if about.is_dir() { 0o700 } else { 0o600 },
            "{}",
            path.display()
        );
        if about.is_dir() {
            std::fs::read_dir(path)
                .unwrap()
                .for_each(|entry| check(&entry.unwrap().path()));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    closed(&path, &["a/b/c", "a"]).await;
    check(&path);
}

/// In memory: the limit is what is tested, not the disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_records_are_held_and_no_more() {
    let disk = crate::sim_files::SimFiles::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Local::open_on(&path, LocalOptions::new(NOW), std::sync::Arc::new(disk))
        .await
        .unwrap();
    let mut made = 0;
    let mut last = None;
    while made < LOCAL_RECORDS_MAX {
        let mut batch = Batch::default();
        for n in made..LOCAL_RECORDS_MAX.min(made + BATCH_OPERATIONS_MAX) {
            batch.put(key(&format!("k{n:06}")), Expected::Absent, KIND, "");
        }
        made += batch.puts.len();
        last = commit(&store, batch).await.unwrap().version;
    }
    let mut batch = Batch::default();
    batch.put(key("one-more"), Expected::Absent, KIND, "");
    let refused = commit(&store, batch.clone()).await;
    assert!(
        matches!(&refused, Err(CommitError::TooLarge { limit }) if limit.contains("sled")),
        "{refused:?}"
    );
    batch.delete(key(&format!("k{:06}", made - 1)), last.unwrap());
    commit(&store, batch).await.unwrap();
}
