//! Limits, and what left its place.

use std::path::Path;

use dormouse_filesystem::workspace::{
    APPEND_MAX, DEPTH_MAX, FILE_MAX, FILES_MAX, USAGE_FRESH, Workspace, WorkspaceError, WorkspaceOptions,
};
use jiff::ToSpan;

use super::{NOW, Place};

fn over<T: std::fmt::Debug>(answer: Result<T, WorkspaceError>) -> &'static str {
    match answer {
        Err(WorkspaceError::TooLarge { limit, .. } | WorkspaceError::Full { limit, .. }) => limit,
        other => panic!("a limit was expected: {other:?}"),
    }
}

/// FS-77
#[tokio::test]
async fn a_file_is_as_large_as_allowed_and_no_larger() {
    let place = Place::new().await;
    let (most, file) = (usize::try_from(FILE_MAX).unwrap(), Path::new("file"));
    let digest = place.workspace.create(file, vec![1_u8; most]).await.unwrap();
    assert_eq!(place.read("file").await.unwrap().bytes.len(), most);
    assert_eq!(
        over(
            place
                .workspace
                .create(Path::new("over"), vec![1_u8; most + 1])
                .await
        ),
        "FILE_MAX"
    );
    assert_eq!(
        over(place.workspace.replace(file, vec![1_u8; most + 1], digest).await),
        "FILE_MAX"
    );
    assert_eq!(over(place.workspace.append(file, "x").await), "FILE_MAX");
    assert_eq!(
        over(
            place
                .workspace
                .append(Path::new("a"), vec![1_u8; APPEND_MAX + 1])
                .await
        ),
        "APPEND_MAX"
    );
    place
        .workspace
        .append(Path::new("a"), vec![1_u8; APPEND_MAX])
        .await
        .unwrap();

    place.edit("edited", vec![1_u8; most + 1]);
    assert_eq!(over(place.read("edited").await), "FILE_MAX");
    let changed = place.replace("edited", "", digest).await;
    assert!(
        matches!(changed, Err(WorkspaceError::Changed { .. })),
        "{changed:?}"
    );
    assert_eq!(
        over(place.workspace.read(Path::new("a"), 9).await),
        "the size asked for"
    );
    assert_eq!(place.names(), ["a", "edited", "file"]);
}

/// FS-77; what `/proc` holds has size 0 until it is read, so it grows by then in every case.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_grows_while_it_is_read_is_too_large() {
    let own = Workspace::open(Path::new("/proc/self"), WorkspaceOptions::new(NOW))
        .await
        .unwrap();
    let status = Path::new("status");
    assert!(own.read(status, FILE_MAX).await.unwrap().bytes.len() > 100);
    assert_eq!(over(own.read(status, 100).await), "the size asked for");
}

/// FS-77
#[tokio::test]
async fn a_workspace_holds_so_many_files_and_no_more() {
    let place = Place::new().await;
    std::fs::create_dir(place.inside("many")).unwrap();
    for n in 2..FILES_MAX {
        place.edit(&format!("many/{n}"), "");
    }
    place.workspace.create(Path::new("last"), "x").await.unwrap();
    for path in ["over", "many/over"] {
        assert_eq!(
            over(place.workspace.create(Path::new(path), "").await),
            "files_max"
        );
        assert_eq!(
            over(place.workspace.append(Path::new(path), "").await),
            "files_max"
        );
        assert_eq!(
            over(place.workspace.make_dirs(Path::new(path)).await),
            "files_max"
        );
    }
    let health = place.workspace.health().await.unwrap();
    assert_eq!((health.files, health.bytes), (FILES_MAX, 1));
    // What there is can be changed still, and once one is gone there is room, at once.
    place.workspace.append(Path::new("last"), "x").await.unwrap();
    let digest = place.digest("last").await;
    place.workspace.remove(Path::new("last"), digest).await.unwrap();
    place.workspace.create(Path::new("again"), "").await.unwrap();
}

#[tokio::test]
async fn a_workspace_holds_so_many_bytes_and_no_more() {
    let options = WorkspaceOptions {
        bytes_max: 100,
        ..WorkspaceOptions::new(NOW)
    };
    let place = Place::with(options).await;
    place.edit("edited", [0; 60]);
    let ours = Path::new("ours");
    let digest = place.workspace.create(ours, vec![0_u8; 30]).await.unwrap();
    assert_eq!(
        over(place.workspace.create(Path::new("over"), vec![0_u8; 11]).await),
        "bytes_max"
    );
    assert_eq!(
        over(place.workspace.append(ours, vec![0_u8; 11]).await),
        "bytes_max"
    );
    assert_eq!(
        over(place.workspace.replace(ours, vec![0_u8; 41], digest).await),
        "bytes_max"
    );
    let digest = place
        .workspace
        .replace(ours, vec![0_u8; 40], digest)
        .await
        .unwrap();
    place
        .workspace
        .replace(ours, vec![0_u8; 1], digest)
        .await
        .unwrap();
    assert_eq!(place.names(), ["edited", "ours"]);
    assert!(USAGE_FRESH.as_secs() <= 1);
}

/// FS-77
#[tokio::test]
async fn a_folder_that_left_its_place_is_told_and_not_written_to() {
    let place = Place::new().await;
    let workspace = &place.workspace;
    let below = workspace.make_dirs(Path::new("a/b")).await.unwrap();
    let digest = below.create(Path::new("file"), "1").await.unwrap();
    std::fs::rename(place.inside("a/b"), place.inside("a/c")).unwrap();
    moved(&below, digest).await;
    std::fs::create_dir(place.inside("a/b")).unwrap();
    moved(&below, digest).await;
    assert_eq!(super::names_in(&place.inside("a/b")), [""; 0]);
    assert_eq!(super::names_in(&place.inside("a/c")), ["file"]);
    std::fs::remove_dir(place.inside("a/b")).unwrap();
    std::fs::rename(place.inside("a/c"), place.inside("a/b")).unwrap();
    below.read(Path::new("file"), 9).await.expect("it is back");

    let elsewhere = place.folder.path().join("elsewhere");
    std::fs::rename(place.inside(""), &elsewhere).unwrap();
    moved(&below, digest).await;
    moved(workspace, digest).await;
    std::fs::create_dir(place.inside("")).unwrap();
    moved(workspace, digest).await;
    assert_eq!(place.names(), [""; 0]);
    assert_eq!(super::names_in(&elsewhere), ["a"]);
}

async fn moved(workspace: &Workspace, digest: dormouse_filesystem::workspace::Digest) {
    let file = Path::new("file");
    let answers = [
        workspace.read(file, 9).await.map(drop),
        workspace.create(Path::new("new"), "").await.map(drop),
        workspace.replace(file, "new", digest).await.map(drop),
        workspace.append(file, "more").await,
        workspace.remove(file, digest).await,
        workspace.make_dirs(Path::new("new")).await.map(drop),
        workspace.list(Path::new(""), 1, None, 1).await.map(drop),
        workspace.sweep(NOW).await.map(drop),
        workspace.health().await.map(drop),
    ];
    for (at, answer) in answers.into_iter().enumerate() {
        assert!(
            matches!(answer, Err(WorkspaceError::Moved { .. })),
            "{at}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn depth_counts_from_the_workspace_whatever_handle_is_asked() {
    let place = Place::new().await;
    let deepest = ["d"; DEPTH_MAX].join("/");
    let handle = place.workspace.make_dirs(Path::new(&deepest)).await.unwrap();
    handle.create(Path::new("file"), "").await.unwrap();
    assert_eq!(over(handle.make_dirs(Path::new("e")).await), "DEPTH_MAX");
    assert_eq!(over(handle.create(Path::new("e/file"), "").await), "DEPTH_MAX");
    assert_eq!(
        over(
            place
                .workspace
                .make_dirs(Path::new(&format!("{deepest}/e")))
                .await
        ),
        "DEPTH_MAX"
    );
}

#[tokio::test]
async fn temporaries_left_behind_go_after_an_hour_and_not_before() {
    let place = Place::new().await;
    std::fs::create_dir(place.inside("a")).unwrap();
    for path in [
        ".dormouse-0123456789abcdef.tmp",
        "a/.dormouse-0123456789abcdef.tmp",
        ".dormouse",
        "a/x.tmp",
    ] {
        place.edit(path, "left");
    }
    let made = std::fs::metadata(place.inside("a/x.tmp"))
        .unwrap()
        .modified()
        .unwrap();
    let made = jiff::Timestamp::try_from(made).unwrap();
    assert_eq!(place.workspace.sweep(made + 59.minutes()).await.unwrap(), 0);
    assert_eq!(
        place.workspace.sweep(made - 2.hours()).await.unwrap(),
        0,
        "a clock that was set back"
    );
    let below = place.workspace.open_dir(Path::new("a")).await.unwrap();
    assert_eq!(
        below.sweep(made + 61.minutes()).await.unwrap(),
        1,
        "a handle sweeps its own folder"
    );
    let options = WorkspaceOptions::new(made + 61.minutes());
    Workspace::open(&place.inside(""), options).await.unwrap();
    assert_eq!(place.names(), [".dormouse", "a"]);
    assert_eq!(super::names_in(&place.inside("a")), ["x.tmp"]);
}
