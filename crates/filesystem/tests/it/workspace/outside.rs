//! What leaves a workspace, and what is no file.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dormouse_filesystem::workspace::{Digest, Workspace, WorkspaceError, WorkspaceOptions};
use rustix::fs::{CWD, RenameFlags};

use super::{NOW, Place};

const SECRET: &str = "secret";

/// Every call, at a path that must be refused; none may change what is outside.
async fn refused(place: &Place, path: &str, is_right: impl Fn(&WorkspaceError) -> bool) {
    let workspace = &place.workspace;
    let at = Path::new(path);
    let digest = Digest::of(SECRET.as_bytes());
    let answers = [
        ("read", workspace.read(at, 100).await.map(drop)),
        ("create", workspace.create(at, "new").await.map(drop)),
        ("replace", workspace.replace(at, "new", digest).await.map(drop)),
        ("append", workspace.append(at, "more").await),
        ("remove", workspace.remove(at, digest).await),
        ("open_dir", workspace.open_dir(at).await.map(drop)),
        ("make_dirs", workspace.make_dirs(at).await.map(drop)),
        ("list", workspace.list(at, 1, None, 10).await.map(drop)),
    ];
    for (call, answer) in answers {
        match answer {
            Err(error) if is_right(&error) => {}
            // A name that is taken by what cannot be reached cannot be made.
            Err(WorkspaceError::Exists { .. }) if call == "create" => {}
            // A file is no folder, whatever it is.
            Err(WorkspaceError::NotAFile { .. }) if matches!(call, "open_dir" | "make_dirs" | "list") => {}
            other => panic!("{call} of {path:?}: {other:?}"),
        }
    }
    let secret = std::fs::read_to_string(place.outside(SECRET)).unwrap();
    assert_eq!(secret, SECRET, "{path}");
    assert_eq!(super::names_in(place.outside("").as_path()), [SECRET], "{path}");
}

fn is_outside(error: &WorkspaceError) -> bool {
    matches!(error, WorkspaceError::Outside { .. })
}

fn is_no_file(error: &WorkspaceError) -> bool {
    matches!(error, WorkspaceError::NotAFile { .. })
}

/// FS-73
#[tokio::test]
async fn what_leaves_is_refused_and_nothing_outside_is_opened() {
    let place = Place::new().await;
    std::fs::write(place.outside(SECRET), SECRET).unwrap();
    std::fs::create_dir(place.inside("folder")).unwrap();
    symlink(place.outside(SECRET), place.inside("file-link")).unwrap();
    symlink(place.outside(""), place.inside("folder-link")).unwrap();
    symlink("../out", place.inside("relative-link")).unwrap();
    symlink(place.outside("nothing"), place.inside("dangling")).unwrap();
    symlink("folder", place.inside("link-within")).unwrap();
    let absolute = place.outside(SECRET);
    for path in [
        "..",
        "../out/secret",
        "folder/../../out/secret",
        "folder/..",
        "nul\0",
        absolute.to_str().unwrap(),
        "file-link",
        "folder-link/secret",
        "folder-link/new",
        "relative-link/secret",
        "dangling",
        "dangling/x",
        "link-within/x",
        "folder-link",
        "link-within",
    ] {
        refused(&place, path, is_outside).await;
    }
    let made = std::process::Command::new("mkfifo")
        .arg(place.inside("fifo"))
        .status();
    assert!(made.unwrap().success());
    let _socket = UnixListener::bind(place.inside("socket")).unwrap();
    place.edit("file", SECRET);
    for path in ["fifo", "socket", "file/below"] {
        refused(&place, path, is_no_file).await;
    }
    let folder = Path::new("folder");
    assert!(is_no_file(&place.workspace.read(folder, 1).await.unwrap_err()));
    assert!(is_no_file(
        &place.workspace.append(folder, "x").await.unwrap_err()
    ));

    let devices = Workspace::open(Path::new("/dev"), WorkspaceOptions::new(NOW))
        .await
        .unwrap();
    let device = devices.read(Path::new("null"), 1).await.unwrap_err();
    assert!(is_no_file(&device), "{device:?}");
    let device = devices.append(Path::new("null"), "x").await.unwrap_err();
    assert!(is_no_file(&device), "{device:?}");
}

/// FS-73, a folder that is swapped for a link all the time: what is read and written is inside or refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_swapped_in_never_leads_outside() {
    let place = Place::new().await;
    std::fs::write(place.outside(SECRET), SECRET).unwrap();
    std::fs::create_dir(place.inside("a")).unwrap();
    std::fs::write(place.inside("a/secret"), "inside").unwrap();
    symlink(place.outside(""), place.inside("b")).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let swapping = {
        let (a, b, is_over) = (place.inside("a"), place.inside("b"), Arc::clone(&is_over));
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).unwrap();
            }
        })
    };
    let (mut inside, mut refused) = (0, 0);
    for round in 0..2000 {
        let new = format!("a/new-{round}");
        match place.read("a/secret").await {
            Ok(read) => {
                assert_eq!(&read.bytes[..], b"inside");
                inside += 1;
            }
            Err(_) => refused += 1,
        }
        if round % 10 == 0 {
            let _ = place.workspace.create(Path::new(&new), "new").await;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    swapping.join().unwrap();
    assert_eq!(super::names_in(place.outside("").as_path()), [SECRET]);
    assert!(
        inside > 0 && refused > 0,
        "both were met: {inside} inside, {refused} refused"
    );
}

/// What a hard link would reach outside is neither replaced nor appended to.
#[tokio::test]
async fn a_hard_link_is_not_written_through() {
    let place = Place::new().await;
    std::fs::write(place.outside(SECRET), SECRET).unwrap();
    std::fs::hard_link(place.outside(SECRET), place.inside("linked")).unwrap();
    let digest = place.digest("linked").await;
    let replaced = place.replace("linked", "new", digest).await;
    assert!(
        matches!(replaced, Err(WorkspaceError::Linked { .. })),
        "{replaced:?}"
    );
    let appended = place.workspace.append(Path::new("linked"), "new").await;
    assert!(
        matches!(appended, Err(WorkspaceError::Linked { .. })),
        "{appended:?}"
    );
    assert_eq!(std::fs::read_to_string(place.outside(SECRET)).unwrap(), SECRET);
    assert_eq!(place.names(), ["linked"]);
}

#[tokio::test]
async fn errors_show_a_hostile_name_harmless_and_no_path_of_the_host() {
    let place = Place::new().await;
    let error = place.read("a\n\u{1b}[2J").await.unwrap_err();
    let shown = error.to_string();
    assert!(!shown.contains(['\n', '\u{1b}']), "{shown:?}");
    let host = place.folder.path().to_str().unwrap();
    assert!(!format!("{error:?} {error} {:?}", place.workspace).contains(host));
}
