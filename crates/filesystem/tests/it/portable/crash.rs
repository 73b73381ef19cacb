//! Kills at any moment of an import. The child is this test binary itself.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::portable;
use dormouse_filesystem::{
    Local, LocalOptions, Memory, Namespace, OpenError, Opener, RecordStore, Requirements, Sled, SledOptions,
    System,
};
use rand::{RngExt, SeedableRng};

use super::kit::{LATER, NOW, export, fill, kept, soon};

const FOLDER: &str = "DORMOUSE_TEST_IMPORT";
const BACKEND: &str = "DORMOUSE_TEST_IMPORT_BACKEND";
const READY: &str = "import child ready";
const DONE: &str = "import child done";

async fn open(backend: &str, folder: &Path) -> Arc<dyn RecordStore> {
    let path = folder.join("store");
    // A process that was killed a moment ago may not have let go yet.
    loop {
        let opened: Result<Arc<dyn RecordStore>, OpenError> = match backend {
            "sled" => Sled::open(&path, SledOptions::new(LATER))
                .await
                .map(|store| Arc::new(store) as _),
            _ => Local::open(&path, LocalOptions::new(LATER))
                .await
                .map(|store| Arc::new(store) as _),
        };
        match opened {
            Err(OpenError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            opened => return opened.unwrap(),
        }
    }
}

#[test]
#[ignore = "the child process of the tests beside it"]
fn child() {
    let (Some(folder), Ok(backend)) = (std::env::var_os(FOLDER), std::env::var(BACKEND)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let folder = Path::new(&folder);
        let store = open(&backend, folder).await;
        let mut file = tokio::fs::File::open(folder.join("export")).await.unwrap();
        println!("{READY}");
        portable::import(&mut file, &*store).await.unwrap();
        println!("{DONE}");
        store.close(soon()).await.unwrap();
    });
}

fn start(backend: &str, folder: &Path) -> (Child, impl Iterator<Item = std::io::Result<String>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "portable::crash::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(BACKEND, backend)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().contains(READY)),
        "the child ended by itself"
    );
    (child, lines)
}

/// FS-72, with cut, changed and newer files and with cursors beside.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_killed_anywhere_leaves_the_store_unusable_and_ends_right_when_begun_again() {
    let seed: u64 = rand::TryRng::try_next_u64(&mut rand::rngs::SysRng).unwrap();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let source = Memory::new(NOW);
    fill(&source).await;
    let (file, _) = export(&source).await;
    let expected = kept(&source).await;
    for backend in ["sled", "local"] {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("export"), &file).unwrap();
        for _ in 0..8 {
            let (mut child, _lines) = start(backend, place.path());
            // Here the time itself is the thing: a random moment is what is tested.
            std::thread::sleep(Duration::from_micros(random.random_range(0..120_000)));
            child.kill().unwrap();
            child.wait().unwrap();
            let store = open(backend, place.path()).await;
            check(&store, &expected).await;
            let is_whole = kept(&*store).await == expected;
            store.close(soon()).await.unwrap();
            drop(store);
            if is_whole {
                std::fs::remove_dir_all(place.path().join("store")).unwrap();
            }
        }
        let store = open(backend, place.path()).await;
        let is_done = kept(&*store).await == expected;
        store.close(soon()).await.unwrap();
        drop(store);
        if !is_done {
            let (mut child, mut lines) = start(backend, place.path());
            assert!(
                lines.any(|line| line.unwrap().contains(DONE)),
                "seed {seed}: {backend}"
            );
            assert!(child.wait().unwrap().success());
        }
        let store = open(backend, place.path()).await;
        assert!(kept(&*store).await == expected, "seed {seed}: {backend}");
        usable(&store).await.unwrap();
        store.close(soon()).await.unwrap();
    }
}

async fn usable(store: &Arc<dyn RecordStore>) -> Result<Namespace<System>, OpenError> {
    let opener = Opener::at(jiff::Timestamp::UNIX_EPOCH, 7);
    Namespace::<System>::open(Arc::clone(store), &Requirements::volatile(), opener).await
}

/// Whole, empty, or unusable.
async fn check(store: &Arc<dyn RecordStore>, expected: &super::kit::Kept) {
    let found = kept(&**store).await;
    if found == *expected || found == super::kit::Kept::default() {
        return;
    }
    let opened = usable(store).await;
    assert!(matches!(opened, Err(OpenError::Importing { .. })), "{opened:?}");
}
