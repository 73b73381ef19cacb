//! Replacing, removing, appending, beside people and programs that do the same.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dormouse_filesystem::workspace::{Digest, WorkspaceError};

use super::Place;

fn is_changed<T: std::fmt::Debug>(answer: Result<T, WorkspaceError>) -> Option<String> {
    match answer {
        Err(WorkspaceError::Changed { aside, .. }) => aside,
        other => panic!("a change was expected: {other:?}"),
    }
}

/// FS-74
#[tokio::test]
async fn what_an_editor_saved_stands() {
    let place = Place::new().await;
    place.edit("file", "read");
    let read = place.digest("file").await;

    place.edit("file", "saved in place");
    assert_eq!(is_changed(place.replace("file", "ours", read).await), None);
    assert_eq!(
        is_changed(place.workspace.remove(Path::new("file"), read).await),
        None
    );
    assert_eq!(place.bytes("file"), b"saved in place");

    place.edit("new", "saved by rename");
    std::fs::rename(place.inside("new"), place.inside("file")).unwrap();
    assert_eq!(is_changed(place.replace("file", "ours", read).await), None);
    assert_eq!(
        is_changed(place.workspace.remove(Path::new("file"), read).await),
        None
    );
    assert_eq!(place.bytes("file"), b"saved by rename");

    std::fs::remove_file(place.inside("file")).unwrap();
    let missing = place.replace("file", "ours", read).await;
    assert!(
        matches!(missing, Err(WorkspaceError::Missing { .. })),
        "{missing:?}"
    );
    assert_eq!(place.names(), [""; 0], "no temporary is left");
}

/// FS-74, with an editor that saves at any moment of a replacement or removal: the last thing it saved stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_editor_saves_meanwhile_stands() {
    let place = Place::new().await;
    let (mut replaced, mut changed) = (0, 0);
    for round in 0..400_u64 {
        place.edit("file", format!("read {round}"));
        place.edit("new", format!("saved {round}"));
        let read = place.digest("file").await;
        let goes = Arc::new(AtomicBool::new(false));
        let editor = {
            let (new, file, goes) = (place.inside("new"), place.inside("file"), Arc::clone(&goes));
            std::thread::spawn(move || {
                while !goes.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
                // From before the first look to after the last.
                std::thread::sleep(std::time::Duration::from_micros(round % 40 * 50));
                std::fs::rename(new, file).unwrap();
            })
        };
        goes.store(true, Ordering::Release);
        let answer = if round % 2 == 0 {
            place.replace("file", "ours", read).await.map(drop)
        } else {
            place.workspace.remove(Path::new("file"), read).await
        };
        editor.join().unwrap();
        match answer {
            Ok(()) => replaced += 1,
            // Between moving aside and giving back another may find the name free; then it keeps it.
            Err(WorkspaceError::Changed { .. } | WorkspaceError::Missing { .. }) => changed += 1,
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(place.bytes("file"), format!("saved {round}").as_bytes());
        assert_eq!(place.names(), ["file"], "round {round}");
    }
    // How often each was met is for whoever looks: it depends on the machine.
    println!("{replaced} replaced or removed, {changed} changed");
}

/// FS-75
#[tokio::test]
async fn bytes_and_mode_are_kept_as_they_are() {
    let place = Place::new().await;
    for bytes in [
        &b"a\r\nb\r\n"[..],
        b"no last newline",
        b"\xff\xfe not utf-8 \x80",
        b"",
        b"\0",
    ] {
        place.edit("file", "before");
        let mode = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(place.inside("file"), mode).unwrap();
        let read = place.digest("file").await;
        let path = Path::new("file");
        let digest = place.workspace.replace(path, bytes.to_vec(), read).await.unwrap();
        let read = place.read("file").await.unwrap();
        assert_eq!((&read.bytes[..], read.digest, read.mode), (bytes, digest, 0o640));
        assert_eq!(place.bytes("file"), bytes);

        let before = std::fs::metadata(place.inside("file")).unwrap();
        let again = place
            .workspace
            .replace(path, bytes.to_vec(), digest)
            .await
            .unwrap();
        let after = std::fs::metadata(place.inside("file")).unwrap();
        assert_eq!(again, digest);
        let written = |m: &std::fs::Metadata| (m.ino(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
        assert_eq!(written(&before), written(&after), "equal bytes: no write");
    }
}

#[tokio::test]
async fn a_file_is_made_once_and_for_its_owner() {
    let place = Place::new().await;
    let path = Path::new("file");
    let digest = place.workspace.create(path, "first").await.unwrap();
    assert_eq!(digest, Digest::of(b"first"));
    let second = place.workspace.create(path, "second").await;
    assert!(matches!(second, Err(WorkspaceError::Exists { .. })), "{second:?}");
    let read = place.read("file").await.unwrap();
    assert_eq!((&read.bytes[..], read.mode), (&b"first"[..], 0o600));
    place.workspace.remove(path, digest).await.unwrap();
    assert_eq!(place.names(), [""; 0]);
    let missing = place.workspace.create(Path::new("no/folder"), "").await;
    assert!(
        matches!(missing, Err(WorkspaceError::Missing { .. })),
        "{missing:?}"
    );
}

#[tokio::test]
async fn an_append_makes_the_file_and_adds_to_its_end() {
    let place = Place::new().await;
    let path = Path::new("log");
    place.workspace.append(path, "one\n").await.unwrap();
    place.workspace.append(path, "two\n").await.unwrap();
    place.workspace.append(path, "").await.unwrap();
    let read = place.read("log").await.unwrap();
    assert_eq!((&read.bytes[..], read.mode), (&b"one\ntwo\n"[..], 0o600));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_replacements_of_one_read_one_wins() {
    let place = Place::new().await;
    place.edit("file", "read");
    let read = place.digest("file").await;
    let replacing = (0..16).map(|n| {
        let workspace = place.workspace.clone();
        tokio::spawn(async move {
            workspace
                .replace(Path::new("file"), format!("ours {n}"), read)
                .await
        })
    });
    let mut won = Vec::new();
    for answer in futures::future::join_all(replacing).await {
        match answer.unwrap() {
            Ok(digest) => won.push(digest),
            Err(WorkspaceError::Changed { aside: None, .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(won, [place.digest("file").await]);
    assert_eq!(place.names(), ["file"]);
}

#[tokio::test]
async fn folders_are_made_for_their_owner_and_narrow() {
    let place = Place::new().await;
    let topics = place
        .workspace
        .make_dirs(Path::new("memory/topics"))
        .await
        .unwrap();
    place
        .workspace
        .make_dirs(Path::new("memory/topics"))
        .await
        .unwrap();
    for folder in ["memory", "memory/topics"] {
        let mode = std::fs::metadata(place.inside(folder))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o700, "{folder}");
    }
    topics.create(Path::new("one.md"), "1").await.unwrap();
    assert_eq!(place.bytes("memory/topics/one.md"), b"1");
    let memory = place.workspace.open_dir(Path::new("memory")).await.unwrap();
    assert!(memory.read(Path::new("topics/one.md"), 9).await.is_ok());
    let up = memory.read(Path::new("../memory/topics/one.md"), 9).await;
    assert!(matches!(up, Err(WorkspaceError::Outside { .. })), "{up:?}");
    let missing = place.workspace.open_dir(Path::new("nothing")).await;
    assert!(
        matches!(missing, Err(WorkspaceError::Missing { .. })),
        "{missing:?}"
    );
}
