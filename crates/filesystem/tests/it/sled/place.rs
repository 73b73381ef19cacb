//! Where a store may lie, whose it is, and who has it open.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dormouse_filesystem::{
    CommitError, Namespace, OpenError, Opener, Prefix, RecordStore, Requirements, Sled, System, capability,
};

use super::kit::{Place, commit, content, create, created, open_at, soon};

/// Every file below a folder with its bytes, and every folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.path().display().to_string();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
            found.insert(name + "/", Vec::new());
        } else {
            found.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_opener_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open_at(&path).await.unwrap();
    match open_at(&path).await {
        Err(OpenError::InUse {
            pid,
            program,
            path: shown,
        }) => {
            assert_eq!((pid, program.as_str()), (std::process::id(), "dormouse test"));
            assert_eq!(shown, path.display().to_string());
        }
        other => panic!("{other:?}"),
    }
    created(&store, "a", "").await;
    drop(store);
    open_at(&path).await.unwrap();
}

/// FS-59, with the golden stores of `golden.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_format_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(open_at(&path).await.unwrap());
    let format = std::fs::read_to_string(path.join("FORMAT")).unwrap();
    std::fs::write(
        path.join("FORMAT"),
        format.replace("dormouse-store/1", "dormouse-store/2"),
    )
    .unwrap();
    let before = files(folder.path());
    let refused = open_at(&path).await;
    assert!(
        matches!(refused, Err(OpenError::TooNew { found: 2, known: 1 })),
        "{refused:?}"
    );
    assert_eq!(files(folder.path()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_foreign_and_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("other-files", "notes.md", "my notes"),
        ("other-format", "FORMAT", "somebody else's"),
        (
            "other-backend",
            "FORMAT",
            "dormouse-store/1\nbackend=local\nid=00000000000000000000000000000001\n",
        ),
        ("no-id", "FORMAT", "dormouse-store/1\nbackend=sled\n"),
    ];
    for (name, file, text) in cases {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join(file), text).unwrap();
        let before = files(folder.path());
        let refused = open_at(&path).await;
        assert!(
            matches!(refused, Err(OpenError::Foreign { .. })),
            "{name}: {refused:?}"
        );
        assert_eq!(files(folder.path()), before, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_and_one_whose_making_was_killed_become_a_store() {
    let folder = tempfile::tempdir().unwrap();
    drop(open_at(folder.path()).await.unwrap());
    let begun = folder.path().with_extension("begun");
    std::fs::create_dir_all(begun.join("log")).unwrap();
    std::fs::write(begun.join("FORMAT.tmp"), "dormou").unwrap();
    std::fs::write(begun.join("LOCK"), "").unwrap();
    let opened = open_at(&begun).await;
    std::fs::remove_dir_all(&begun).unwrap();
    opened.unwrap();
}

/// FS-58, with the types of nfs and its like in a table beside the code, since none can be mounted here.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cannot_be_written_is_refused_and_nothing_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o500)).unwrap();
    let before = files(folder.path());
    let mut places = vec![file.clone(), file.join("store"), "/proc/dormouse-store".into()];
    // No folder is closed to root.
    if !rustix::process::geteuid().is_root() {
        places.extend([closed.clone(), closed.join("store")]);
    }
    for path in places {
        let refused = open_at(&path).await;
        assert!(
            matches!(refused, Err(OpenError::Refused { .. })),
            "{}: {refused:?}",
            path.display()
        );
    }
    assert_eq!(files(folder.path()), before);
}

/// FS-58
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn in_memory_it_promises_less_and_is_refused_to_those_who_need_more() {
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let store = open_at(&folder.path().join("store")).await.unwrap();
    let durability = store.capabilities(&Prefix::root()).durability;
    assert_eq!(durability, capability::Durability::ProcessCrash);
    assert_eq!(store.health().await.notices.len(), 1);
    let store: std::sync::Arc<dyn RecordStore> = std::sync::Arc::new(store);
    let opened = Namespace::<System>::open(
        store,
        &Requirements::embedded(),
        Opener::at(jiff::Timestamp::UNIX_EPOCH, 1),
    )
    .await;
    match opened {
        Err(OpenError::Lacks { .. }) => {}
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_owner_may_look_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open_at(&path).await.unwrap();
    created(&store, "a", "").await;
    store.close(soon()).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(&path), mode(&path.join("log"))], [0o700, 0o700]);
    let in_folders = ["log", "index"].map(|folder| std::fs::read_dir(path.join(folder)).unwrap());
    let log = in_folders
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file());
    let named = ["FORMAT", "LOCK", "checkpoint"].map(|name| path.join(name));
    for file in log.chain(named) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_file_that_was_replaced_closes_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open_at(&path).await.unwrap();
    created(&store, "a", "").await;
    std::fs::remove_file(path.join("LOCK")).unwrap();
    std::fs::write(path.join("LOCK"), "").unwrap();
    let refused = commit(&store, create("b", "")).await;
    assert!(matches!(refused, Err(CommitError::Closed { .. })), "{refused:?}");
    assert_eq!(content(&store).await.records.len(), 1);
}

/// A folder whose store is being made this moment belongs to somebody: it is in use, never foreign.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_being_made_is_in_use_and_never_foreign() {
    for round in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let looked = path.clone();
        let looking = tokio::task::spawn_blocking(move || {
            // Ends once the other has made it.
            while !Sled::inspect(&looked).expect("never foreign") {}
        });
        let made = tokio::join!(open_at(&path), open_at(&path));
        let is_fine =
            |opened: &Result<Sled, OpenError>| matches!(opened, Ok(_) | Err(OpenError::InUse { .. }));
        assert!(is_fine(&made.0) && is_fine(&made.1), "round {round}: {made:?}");
        looking.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_open_to_others_is_closed_to_them_with_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    drop(open_at(&path).await.unwrap());
    for folder in [path.clone(), path.join("index"), path.join("log")] {
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_lost_while_a_group_is_flushed_leaves_the_group_unknown() {
    let place = Place::new();
    let store = std::sync::Arc::new(place.open().await);
    created(&store, "a", "").await;
    place.disk.shut_gate();
    let committing = tokio::spawn({
        let store = std::sync::Arc::clone(&store);
        async move { commit(&store, create("b", "")).await }
    });
    let disk = place.disk.clone();
    tokio::task::spawn_blocking(move || disk.await_held())
        .await
        .unwrap();
    std::fs::remove_file(place.path().join("LOCK")).unwrap();
    std::fs::write(place.path().join("LOCK"), "pid=1\n").unwrap();
    place.disk.open_gate();
    let lost = committing.await.unwrap();
    assert!(matches!(lost, Err(CommitError::Indeterminate { .. })), "{lost:?}");
    assert_eq!(content(&*store).await.records.len(), 1, "it is not shown");
}
