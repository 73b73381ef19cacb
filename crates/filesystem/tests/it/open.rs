//! Opening by url: every backend is reachable by name, and what is refused is named.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::wrapper::{Fault, FaultKind, Operation};
use dormouse_filesystem::{
    Deadline, InvalidUrl, Key, Namespace, OpenError, OpenOptions, RecordKind, RecordStore, RecordStoreExt,
    Requirements, Segment, System, open,
};
use jiff::Timestamp;

fn options() -> OpenOptions {
    OpenOptions {
        segment_bytes: 1024 * 1024,
        cache_bytes: 1024 * 1024,
        reserve_bytes: 1024 * 1024,
        ..OpenOptions::new(Timestamp::UNIX_EPOCH, 7)
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// The url of the same folder, from the working folder on.
fn relative(scheme: &str, folder: &Path) -> String {
    let working = std::env::current_dir().unwrap();
    let up: String = working.components().skip(1).map(|_| "../").collect();
    let down = folder.strip_prefix("/").unwrap().display();
    format!("{scheme}:{up}{down}")
}

async fn kept(store: &dyn RecordStore) -> Option<String> {
    let found = store.get(&Key::parse("notes/first").unwrap()).await.unwrap();
    found.map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
}

async fn keep(store: &dyn RecordStore) {
    let key = Key::parse("notes/first").unwrap();
    store
        .create(key, RecordKind::of("note"), "hello", soon())
        .await
        .unwrap();
}

#[tokio::test]
async fn memory_is_opened_by_its_name_and_is_another_each_time() {
    let store = open("memory:", &options()).await.unwrap();
    keep(&*store).await;
    assert_eq!(store.to_string(), "memory");
    let another = open("memory:", &options()).await.unwrap();
    assert_eq!(kept(&*another).await, None);
}

#[cfg(all(feature = "sled", feature = "local"))]
#[tokio::test]
async fn a_folder_is_opened_by_its_absolute_and_its_relative_name() {
    for scheme in ["sled", "file"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("store");
        let store = open(&format!("{scheme}:{}", path.display()), &options())
            .await
            .unwrap();
        keep(&*store).await;
        store.close(soon()).await.unwrap();
        drop(store);
        let same = open(&relative(scheme, &path), &options()).await.unwrap();
        assert_eq!(kept(&*same).await.as_deref(), Some("hello"), "{scheme}");
        let other = if scheme == "sled" { "file" } else { "sled" };
        same.close(soon()).await.unwrap();
        drop(same);
        let refused = open(&format!("{other}:{}", path.display()), &options()).await;
        assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
    }
}

#[cfg(not(feature = "postgres"))]
#[tokio::test]
async fn a_backend_that_is_not_built_is_named_with_its_feature() {
    let refused = open("postgres://u:hunter2@localhost/d", &options())
        .await
        .unwrap_err();
    let said = format!("{refused} {refused:?}");
    assert!(
        said.contains("feature `postgres`") && !said.contains("hunter2"),
        "{said}"
    );
}

#[tokio::test]
async fn an_unknown_backend_is_refused_with_those_there_are() {
    let refused = open("sleds:/nowhere", &options()).await.unwrap_err();
    assert!(
        matches!(refused, OpenError::Url(InvalidUrl::Scheme { near: Some(_) })),
        "{refused:?}"
    );
    assert_eq!(
        refused.to_string(),
        "the store's url is refused: it begins with none of memory:, file:, sled:, postgres:; did you mean sled:?"
    );
}

#[tokio::test]
async fn an_option_out_of_its_bounds_is_named_whatever_the_backend() {
    let none = OpenOptions { pool: 0, ..options() };
    let refused = open("memory:", &none).await.unwrap_err().to_string();
    assert!(refused.contains("pool is 0; 1 to 1000 is taken"), "{refused}");
}

#[tokio::test]
async fn memory_lacks_what_a_program_needs() {
    let store = open("memory:", &options()).await.unwrap();
    let opened = Namespace::<System>::open(store, &Requirements::embedded(), options().opener()).await;
    assert!(
        matches!(
            opened,
            Err(OpenError::Lacks {
                capability: "durability",
                ..
            })
        ),
        "{opened:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_a_namespace_has_the_time_that_its_opener_gave() {
    for (seconds, is_done) in [(4, false), (6, true)] {
        let options = OpenOptions {
            commit_deadline: Duration::from_secs(seconds),
            ..options()
        };
        let store = Arc::new(Fault::scripted(open("memory:", &options).await.unwrap()));
        let shared: Arc<dyn RecordStore> = Arc::clone(&store) as Arc<dyn RecordStore>;
        let system = Namespace::<System>::open(shared, &Requirements::volatile(), options.opener())
            .await
            .unwrap();
        let tenant = system.tenant(&Segment::parse("acme").unwrap());
        store.next(Operation::Commit, FaultKind::Delay(Duration::from_secs(5)));
        let mut batch = tenant.batch();
        batch.append(&tenant.log(&[Segment::parse("events").unwrap()]), "x");
        let committed = tenant.commit(batch).await;
        assert_eq!(committed.is_ok(), is_done, "{committed:?}");
    }
}
