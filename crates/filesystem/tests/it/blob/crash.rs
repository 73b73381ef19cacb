//! Kills at any moment of staging, attaching, removing and sweeping. The child is this test binary itself.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::blob::{BlobId, Blobs, CHUNK_BYTES};
use dormouse_filesystem::{
    Class, Deadline, IndexEntry, Namespace, OpenError, Opener, Query, Record, RecordKind, RecordStore,
    Records, Requirements, Segment, Sled, SledOptions, System, Tenant, Versioned, indexes,
};
use jiff::ToSpan;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::{NOW, content, keys};

const FOLDER: &str = "DORMOUSE_TEST_BLOBS";
const SEED: &str = "DORMOUSE_TEST_SEED";
const READY: &str = "blobs child ready";
const OWNERS: u64 = 3;

/// A record that owns a blob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Owner {
    id: Segment,
    blob: BlobId,
    size: u64,
}

indexes! {
    enum OwnerIndex {
        All = own "all",
    }
}

impl Record for Owner {
    type Scope = Tenant;
    type Id = Segment;
    type Index = OwnerIndex;
    const KIND: RecordKind = RecordKind::of("owner");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<OwnerIndex>> {
        vec![IndexEntry::new(OwnerIndex::All, [])]
    }
}

async fn open(folder: &Path) -> (Arc<Sled>, Namespace<Tenant>) {
    // A process that was killed a moment ago may not have let go yet.
    let mut opened = Sled::open(folder, SledOptions::new(NOW)).await;
    while let Err(OpenError::InUse { .. }) = opened {
        tokio::time::sleep(Duration::from_millis(5)).await;
        opened = Sled::open(folder, SledOptions::new(NOW)).await;
    }
    let store = Arc::new(opened.unwrap());
    let shared: Arc<dyn RecordStore> = Arc::new(Arc::clone(&store));
    let need = Requirements::volatile();
    let system = Namespace::<System>::open(
        shared,
        &need,
        Opener::at(jiff::Timestamp::UNIX_EPOCH, std::process::id().into()),
    )
    .await
    .unwrap();
    (store, system.tenant(&Segment::parse("acme").unwrap()))
}

#[test]
#[ignore = "the child process of the test beside it"]
fn child() {
    let (Some(folder), Ok(seed)) = (std::env::var_os(FOLDER), std::env::var(SEED)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (_store, tenant) = open(Path::new(&folder)).await;
        println!("{READY}");
        change(&tenant, seed.parse().unwrap()).await;
    });
}

/// Gives owners blobs, replaces and removes them, and sweeps, for ever: it is killed.
async fn change(tenant: &Namespace<Tenant>, seed: u64) {
    let (blobs, owners) = (Blobs::new(tenant), Records::<Owner>::new(tenant));
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    // Ends with the process.
    loop {
        let id = Segment::number(random.random_range(0..OWNERS));
        let owner = owners.get(&id).await.unwrap();
        let mut batch = tenant.batch();
        if let Some(owner) = &owner {
            let blob = blobs
                .get(&owner.blob)
                .await
                .unwrap()
                .expect("an owner's blob is there");
            blobs.remove(&mut batch, &blob).await.unwrap();
        }
        let size = random.random_range(0..3 * CHUNK_BYTES);
        let staged = blobs
            .stage(BlobId::new(random.random()), content(size), NOW)
            .await
            .unwrap();
        match (owner, random.random_range(0..4)) {
            // Staged and never attached.
            (_, 0) => continue,
            (Some(owner), 1) => owners.stage_remove(&mut batch, &owner).await.unwrap(),
            (owner, _) => {
                blobs.attach(&mut batch, &staged).await.unwrap();
                let new = Owner {
                    id,
                    blob: *staged.id(),
                    size,
                };
                put(&owners, &mut batch, owner.as_ref(), &new).await;
            }
        }
        if batch.writes() {
            tenant.commit(batch).await.unwrap();
        }
        blobs.sweep(NOW, 1).await.unwrap();
    }
}

async fn put(
    owners: &Records<Owner>,
    batch: &mut dormouse_filesystem::ScopedBatch<Tenant>,
    old: Option<&Versioned<Owner>>,
    new: &Owner,
) {
    match old {
        Some(old) => owners.stage_replace(batch, old, new).await.unwrap(),
        None => owners.stage_create(batch, new).unwrap(),
    }
}

fn start(folder: &Path, seed: u64) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "blob::crash::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(SEED, seed.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().contains(READY)),
        "the child ended by itself"
    );
    child
}

/// FS-52
#[tokio::test]
async fn a_blob_is_whole_or_missing_wherever_the_process_was_killed() {
    let seed: u64 = rand::TryRng::try_next_u64(&mut rand::rngs::SysRng).unwrap();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("store");
    for _ in 0..12 {
        let mut child = start(&folder, random.random());
        // Here the time itself is the thing: a random moment is what is tested.
        std::thread::sleep(Duration::from_micros(random.random_range(0..80_000)));
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        whole(&folder, random.random_range(0..2) == 0).await;
    }
    whole(&folder, true).await;
}

/// Every owner's blob is whole; after a sweep nothing else is left.
async fn whole(folder: &Path, sweeps: bool) {
    let (store, tenant) = open(folder).await;
    let (blobs, owners) = (Blobs::new(&tenant), Records::<Owner>::new(&tenant));
    let found = owners.find(&Query::of(OwnerIndex::All)).await.unwrap();
    assert_eq!(found.issues, []);
    let mut chunks = BTreeSet::new();
    for owner in &found.rows {
        let blob = blobs
            .get(&owner.blob)
            .await
            .unwrap()
            .expect("an owner's blob is there");
        assert!(blobs.read(&blob).await.unwrap() == content(owner.size));
        chunks.extend((0..owner.size.div_ceil(CHUNK_BYTES)).map(|n| super::chunk_key(&owner.blob, n)));
    }
    if sweeps {
        while blobs.sweep(NOW + 25.hours(), 10).await.unwrap().is_more {}
        let left = keys(&*store).await;
        let left_chunks = left
            .iter()
            .filter(|key| key.segments().nth(2) == Some("b"))
            .cloned()
            .collect();
        assert_eq!(chunks, left_chunks, "no chunk without an owner");
        // A row and an index entry for each owner, a row for each blob.
        assert_eq!(left.len(), chunks.len() + 3 * found.rows.len(), "{left:?}");
    }
    drop((blobs, owners, tenant));
    store
        .close(Deadline::after(Duration::from_secs(30)))
        .await
        .unwrap();
}
