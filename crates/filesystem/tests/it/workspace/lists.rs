//! Lists of a workspace.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use dormouse_filesystem::workspace::{FileKind, FilesListed, LIST_MAX, WorkspaceError, WorkspacePath};

use super::Place;

fn shown(listed: &FilesListed) -> Vec<String> {
    listed.items.iter().map(|item| item.path.to_string()).collect()
}

async fn pages(place: &Place, below: &str, depth: usize, limit: usize) -> Vec<String> {
    let (mut after, mut all) = (None, Vec::new());
    // Ends with the last page.
    loop {
        let page = place
            .workspace
            .list(Path::new(below), depth, after.as_ref(), limit)
            .await
            .unwrap();
        assert!(page.items.len() <= limit);
        all.extend(shown(&page));
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

#[tokio::test]
async fn a_list_is_in_order_and_pages_without_gap_or_repeat() {
    let place = Place::new().await;
    for folder in ["a", "a/b", "a/b/c", "b"] {
        std::fs::create_dir(place.inside(folder)).unwrap();
    }
    for file in ["a-b", "a.b", "z", "a/1", "a/b/2", "a/b/c/3", "b/4"] {
        place.edit(file, "");
    }
    place.edit(".dormouse-0123456789abcdef.tmp", "");
    let whole = [
        "a", "a/1", "a/b", "a/b/2", "a/b/c", "a/b/c/3", "a-b", "a.b", "b", "b/4", "z",
    ];
    for limit in [1, 2, 3, 5, LIST_MAX] {
        assert_eq!(pages(&place, "", 8, limit).await, whole, "by {limit}");
        assert_eq!(
            pages(&place, "", 1, limit).await,
            ["a", "a-b", "a.b", "b", "z"],
            "by {limit}"
        );
        let two = ["a", "a/1", "a/b", "a-b", "a.b", "b", "b/4", "z"];
        assert_eq!(pages(&place, "", 2, limit).await, two, "by {limit}");
        assert_eq!(
            pages(&place, "a/b", 8, limit).await,
            ["a/b/2", "a/b/c", "a/b/c/3"],
            "by {limit}"
        );
    }
    for (after, expected) in [
        ("a/b/0", "a/b/2"),
        ("a/gone", "a-b"),
        ("a/b/c/3", "a-b"),
        ("a", "a/1"),
    ] {
        let after = WorkspacePath::parse(Path::new(after)).unwrap();
        let page = place
            .workspace
            .list(Path::new(""), 8, Some(&after), 1)
            .await
            .unwrap();
        assert_eq!(shown(&page), [expected], "after {after}");
    }
    for (depth, limit) in [(0, 1), (9, 1), (1, 0), (1, LIST_MAX + 1)] {
        let refused = place.workspace.list(Path::new(""), depth, None, limit).await;
        assert!(
            matches!(refused, Err(WorkspaceError::Invalid { .. })),
            "{refused:?}"
        );
    }
    let missing = place.workspace.list(Path::new("gone"), 1, None, 1).await;
    assert!(
        matches!(missing, Err(WorkspaceError::Missing { .. })),
        "{missing:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_reached_is_an_item_of_its_own() {
    let place = Place::new().await;
    place.edit("file", "12345");
    symlink(place.outside(""), place.inside("link")).unwrap();
    std::fs::create_dir(place.inside("folder")).unwrap();
    place.edit("folder/inner", "");
    let latin = std::ffi::OsStr::from_bytes(b"latin-\xe4");
    std::fs::write(place.inside("").join(latin), "").unwrap();
    let listed = place.workspace.list(Path::new(""), 2, None, 10).await.unwrap();
    assert_eq!(
        shown(&listed),
        ["file", "folder", "folder/inner", "latin-\u{fffd}", "link"]
    );
    let kinds: Vec<_> = listed.items.iter().map(|item| item.kind.as_ref()).collect();
    assert!(
        matches!(kinds[0], Ok(FileKind::File { bytes: 5, .. })),
        "{kinds:?}"
    );
    assert!(matches!(kinds[1], Ok(FileKind::Folder)), "{kinds:?}");
    assert!(
        matches!(kinds[4], Err(WorkspaceError::Outside { .. })),
        "{kinds:?}"
    );
    let read = place.workspace.read(&listed.items[3].path, 1).await.unwrap();
    assert!(
        read.bytes.is_empty(),
        "a name that is no text can be read all the same"
    );
}
