use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use dormouse_cli::owner::lock::{Attempt, Holder, OwnerLock, holder};
use dormouse_cli::owner::socket::bind;
use dormouse_cli::place::ensure_folder;

fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("run");
    ensure_folder(&folder).unwrap();
    (outer, folder)
}

#[test]
fn a_lock_is_held_by_one_and_free_when_dropped() {
    let (_outer, folder) = folder();
    let path = folder.join("owner.lock");
    assert!(matches!(holder(&path), Holder::Nobody));
    let Attempt::Held(lock) = OwnerLock::attempt(&path, "process 7").unwrap() else {
        panic!("it is free")
    };
    let Attempt::Busy(note) = OwnerLock::attempt(&path, "process 8").unwrap() else {
        panic!("it is held")
    };
    assert_eq!(note.as_deref(), Some("process 7"));
    assert!(matches!(holder(&path), Holder::Process(note) if note == "process 7"));
    drop(lock);
    assert!(matches!(holder(&path), Holder::Nobody));
    assert!(matches!(
        OwnerLock::attempt(&path, "process 9").unwrap(),
        Attempt::Held(_)
    ));
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_bound_socket_is_narrow_answers_and_leaves_no_file() {
    let (_outer, folder) = folder();
    let path = folder.join("control.sock");
    let (listener, mut file) = bind(&path, 1).unwrap();
    let found = std::fs::symlink_metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert!(UnixStream::connect(&path).is_ok());
    assert_eq!(names(&folder), ["control.sock"], "no temporary name is left");
    file.remove();
    assert!(!path.exists());
    drop(listener);
}

#[test]
fn leftovers_of_an_owner_that_was_killed_are_replaced() {
    let (_outer, folder) = folder();
    let path = folder.join("control.sock");
    let (listener, file) = bind(&path, 1).unwrap();
    std::mem::forget(file);
    drop(listener);
    std::fs::write(folder.join("c00000000007"), "").unwrap();
    assert!(
        path.exists() && UnixStream::connect(&path).is_err(),
        "it is stale"
    );
    let _bound = bind(&path, 2).unwrap();
    assert!(UnixStream::connect(&path).is_ok());
    assert_eq!(names(&folder), ["control.sock"]);
}

#[test]
fn a_socket_that_somebody_answers_is_not_taken_away() {
    let (_outer, folder) = folder();
    let path = folder.join("control.sock");
    let _bound = bind(&path, 1).unwrap();
    let refused = bind(&path, 2).expect_err("it is answered");
    assert_eq!(refused.exit().code(), 6);
    assert!(UnixStream::connect(&path).is_ok());
}

#[test]
fn a_socket_is_not_bound_in_a_folder_others_may_enter() {
    let (_outer, folder) = folder();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        bind(&folder.join("control.sock"), 1)
            .expect_err("it is wide")
            .exit()
            .code(),
        2
    );
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
