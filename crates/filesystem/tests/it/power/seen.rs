//! What readers saw before the power failed is there when it comes back.

use super::lives::Backend;
use crate::seen::Work;
use crate::sim_files::SimFiles;

/// Enough that the power fails in most of it.
const COMMITS: u64 = 120;
const SEEDS: u64 = 12;

async fn outlives(backend: Backend) {
    let mut seen = 0;
    for seed in 0..SEEDS {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let (folder, disk) = (folder.unwrap(), SimFiles::default());
        let path = folder.path().join("store");
        let store = backend.open(&path, &disk).await.unwrap();
        disk.light_fuse(20 + seed * 37 % 450);
        let work = Work::on(&store, COMMITS, seed, |_| async {}).await;
        drop(store);
        disk.cut_power(seed);
        let store = backend.open(&path, &disk).await.unwrap();
        work.is_there(&*store, &format!("{backend:?} seed {seed}")).await;
        seen += work.count();
    }
    assert!(seen > 1000, "{seen}");
}

/// FS-13 on the sled store, with the test of its groups that nothing is seen before its flush.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_of_a_sled_store_outlives_the_power() {
    outlives(Backend::Sled).await;
}

/// FS-13 on the local store.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_of_a_local_store_outlives_the_power() {
    outlives(Backend::Local).await;
}
