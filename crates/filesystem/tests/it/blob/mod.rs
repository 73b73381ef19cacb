//! Blobs: whole or missing, its owner's or nobody's, and never somebody else's.

#[cfg(feature = "sled")]
mod crash;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dormouse_filesystem::blob::{
    BLOB_MAX, Blob, BlobError, BlobId, Blobs, CHUNK_BYTES, STAGED_MAX, StagedBlob,
};
use dormouse_filesystem::wrapper::Counted;
use dormouse_filesystem::{
    Batch, CommitError, Committed, Deadline, Digest, Expected, Item, Key, Lane, Memory, Namespace, Opener,
    Page, Prefix, RecordKind, RecordStore, RecordStoreExt, Requirements, Segment, System, Tenant, Want,
};
use futures::TryStreamExt;
use jiff::{Timestamp, ToSpan};

const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);

type Store = Arc<Counted<Memory>>;

async fn tenant() -> (Store, Namespace<Tenant>) {
    let store: Store = Arc::new(Counted::new(Memory::new(NOW)));
    let shared: Arc<dyn RecordStore> = Arc::new(Arc::clone(&store));
    let system = Namespace::<System>::open(
        shared,
        &Requirements::volatile(),
        Opener::at(Timestamp::UNIX_EPOCH, 7),
    )
    .await
    .unwrap();
    (store, system.tenant(&Segment::parse("acme").unwrap()))
}

/// Bytes in which no chunk is like another.
fn content(size: u64) -> Bytes {
    (0..size)
        .map(|n| u8::try_from((n / 251 + n) % 256).unwrap())
        .collect()
}

async fn attach(tenant: &Namespace<Tenant>, staged: &StagedBlob<Tenant>) -> Result<Committed, CommitError> {
    let mut batch = tenant.batch();
    Blobs::new(tenant).attach(&mut batch, staged).await.unwrap();
    tenant.commit(batch).await
}

async fn attached(tenant: &Namespace<Tenant>, number: u128, size: u64) -> Blob<Tenant> {
    let blobs = Blobs::new(tenant);
    let staged = blobs
        .stage(BlobId::new(number), content(size), NOW)
        .await
        .unwrap();
    attach(tenant, &staged).await.unwrap();
    blobs.get(staged.id()).await.unwrap().unwrap()
}

async fn remove(tenant: &Namespace<Tenant>, blob: &Blob<Tenant>) -> Result<Committed, CommitError> {
    let mut batch = tenant.batch();
    Blobs::new(tenant).remove(&mut batch, blob).await.unwrap();
    tenant.commit(batch).await
}

/// Every key of the tenant.
async fn keys(store: &dyn RecordStore) -> Vec<Key> {
    let all = store.list_all(Prefix::parse("t/acme").unwrap(), Want::Keys);
    all.map_ok(|item| item.key().clone()).try_collect().await.unwrap()
}

#[tokio::test]
async fn a_blob_comes_back_as_it_was_whole_and_in_ranges() {
    let (_, tenant) = tenant().await;
    let blobs = Blobs::new(&tenant);
    for (number, size) in [
        0,
        1,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        4 * CHUNK_BYTES + 7,
    ]
    .into_iter()
    .enumerate()
    {
        let blob = attached(&tenant, number as u128, size).await;
        assert_eq!((blob.size(), blob.digest()), (size, Digest::of(&content(size))));
        assert!(blobs.read(&blob).await.unwrap() == content(size), "{size}");
        let edges = [
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            3 * CHUNK_BYTES,
            size.saturating_sub(1),
            size,
        ];
        for from in edges {
            for to in edges {
                let read = blobs.read_range(&blob, from..to).await;
                if from <= to && to <= size {
                    let range = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
                    assert!(
                        read.unwrap() == content(size).slice(range),
                        "{size}: {from}..{to}"
                    );
                } else {
                    assert!(
                        matches!(read, Err(BlobError::Range { .. })),
                        "{size}: {from}..{to}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_range_touches_its_chunks_only() {
    let (store, tenant) = tenant().await;
    let blob = attached(&tenant, 1, 8 * CHUNK_BYTES).await;
    let before = store.counts();
    let range = 2 * CHUNK_BYTES + 5..2 * CHUNK_BYTES + 9;
    assert_eq!(
        Blobs::new(&tenant).read_range(&blob, range).await.unwrap().len(),
        4
    );
    let after = store.counts();
    assert_eq!(after.operations() - before.operations(), 1);
    assert_eq!(after.items_read - before.items_read, 1);
}

#[tokio::test]
async fn what_is_staged_is_nobodys_until_its_owners_batch_is_done() {
    let (_, tenant) = tenant().await;
    let blobs = Blobs::new(&tenant);
    let staged = blobs.stage(BlobId::new(1), content(9), NOW).await.unwrap();
    assert!(blobs.get(staged.id()).await.unwrap().is_none());
    let again = blobs.stage(BlobId::new(1), content(9), NOW).await;
    assert!(matches!(again, Err(BlobError::Exists { .. })), "{again:?}");
    attach(&tenant, &staged).await.unwrap();
    let again = attach(&tenant, &staged).await;
    assert!(
        matches!(again, Err(CommitError::Conflict { .. })),
        "one owner: {again:?}"
    );
    for _ in 0..2 {
        let again = blobs.stage(BlobId::new(1), content(9), NOW).await;
        assert!(matches!(again, Err(BlobError::Exists { .. })), "{again:?}");
        if let Some(blob) = blobs.get(staged.id()).await.unwrap() {
            remove(&tenant, &blob).await.unwrap();
            let read = blobs.read(&blob).await;
            assert!(read.is_ok(), "its chunks are still there");
        }
    }
    assert!(blobs.purge(staged.id()).await.unwrap());
    assert!(!blobs.purge(staged.id()).await.unwrap());
}

/// FS-52, but for kills, which are beside.
#[tokio::test]
async fn what_was_cut_or_changed_or_moved_is_corrupt_and_too_much_too_large() {
    let (store, tenant) = tenant().await;
    let blobs = Blobs::new(&tenant);
    let other = attached(&tenant, 2, 2 * CHUNK_BYTES).await;
    let foreign = chunk(&store, other.id(), 1).await;
    type Damage = fn(&Bytes) -> Option<Bytes>;
    let damages: [(&str, Damage); 5] = [
        ("cut", |bytes| Some(bytes.slice(..bytes.len() - 1))),
        ("emptied", |_| Some(Bytes::new())),
        ("changed", |bytes| {
            let mut bytes = bytes.to_vec();
            bytes[1000] ^= 1;
            Some(bytes.into())
        }),
        ("gone", |_| None),
        ("grown", |bytes| Some([&bytes[..], b"x"].concat().into())),
    ];
    for (number, (name, damage)) in (10..).zip(damages) {
        let blob = attached(&tenant, number, 3 * CHUNK_BYTES).await;
        let before = chunk(&store, blob.id(), 1).await;
        write_chunk(&store, blob.id(), damage(&before)).await;
        corrupt(&blobs, &blob, name).await;
    }
    let blob = attached(&tenant, 3, 3 * CHUNK_BYTES).await;
    write_chunk(&store, blob.id(), Some(foreign)).await;
    corrupt(&blobs, &blob, "another's").await;
    let blob = attached(&tenant, 4, 3 * CHUNK_BYTES).await;
    let first = chunk(&store, blob.id(), 0).await;
    write_chunk(&store, blob.id(), Some(first)).await;
    corrupt(&blobs, &blob, "its own first").await;

    let before = store.counts();
    let over = blobs
        .stage(
            BlobId::new(5),
            vec![0_u8; usize::try_from(BLOB_MAX).unwrap() + 1],
            NOW,
        )
        .await;
    assert!(
        matches!(over, Err(BlobError::TooLarge { limit: "BLOB_MAX" })),
        "{over:?}"
    );
    assert_eq!(store.counts(), before, "refused before anything was asked");
}

async fn corrupt(blobs: &Blobs<Tenant>, blob: &Blob<Tenant>, name: &str) {
    let whole = blobs.read(blob).await;
    assert!(
        matches!(whole, Err(BlobError::Corrupt { .. })),
        "{name}: {whole:?}"
    );
    let range = blobs.read_range(blob, CHUNK_BYTES..CHUNK_BYTES + 1).await;
    assert!(
        matches!(range, Err(BlobError::Corrupt { .. })),
        "{name}: {range:?}"
    );
    let beside = blobs.read_range(blob, 2 * CHUNK_BYTES..2 * CHUNK_BYTES + 1).await;
    assert!(beside.is_ok(), "{name}: its neighbours are whole");
}

fn chunk_key(id: &BlobId, number: u64) -> Key {
    Key::parse(&format!("t/acme/b/{id}/{number:020}")).unwrap()
}

async fn chunk(store: &Store, id: &BlobId, number: u64) -> Bytes {
    store.get(&chunk_key(id, number)).await.unwrap().unwrap().value
}

/// Writes over the second chunk, or removes it, as no caller of blobs can.
async fn write_chunk(store: &Store, id: &BlobId, bytes: Option<Bytes>) {
    let key = chunk_key(id, 1);
    let read = store.get(&key).await.unwrap().unwrap();
    let mut batch = Batch::new(Lane::System);
    match bytes {
        Some(bytes) => batch.put(key, Expected::At(read.version), read.kind, bytes),
        None => batch.delete(key, read.version),
    };
    store
        .commit(batch, Deadline::after(Duration::from_secs(9)))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_largest_blob_is_done() {
    let (_, tenant) = tenant().await;
    let bytes = Bytes::from(vec![7_u8; usize::try_from(BLOB_MAX).unwrap()]);
    let staged = Blobs::new(&tenant)
        .stage(BlobId::new(1), bytes.clone(), NOW)
        .await
        .unwrap();
    attach(&tenant, &staged).await.unwrap();
    let blob = Blobs::new(&tenant).get(staged.id()).await.unwrap().unwrap();
    assert!(Blobs::new(&tenant).read_range(&blob, 0..BLOB_MAX).await.unwrap() == bytes);
}

#[tokio::test]
async fn what_nobody_attached_is_swept_a_day_later_and_what_was_removed_at_once() {
    let (store, tenant) = tenant().await;
    let blobs = Blobs::new(&tenant);
    let day = STAGED_MAX.as_secs() / 3600;
    assert_eq!(day, 24);
    let kept = attached(&tenant, 1, CHUNK_BYTES).await;
    let with_one = keys(&*store).await;
    let staged = blobs
        .stage(BlobId::new(2), content(5 * CHUNK_BYTES), NOW)
        .await
        .unwrap();
    let removed = attached(&tenant, 3, 3 * CHUNK_BYTES).await;
    remove(&tenant, &removed).await.unwrap();

    let swept = blobs.sweep(NOW + 23.hours(), 10).await.unwrap();
    assert_eq!((swept.purged, swept.is_more), (1, false));
    let gone = blobs.read(&removed).await;
    assert!(matches!(gone, Err(BlobError::Removed { .. })), "{gone:?}");
    let swept = blobs.sweep(NOW + 25.hours(), 10).await.unwrap();
    assert_eq!((swept.purged, swept.is_more), (1, false));
    assert_eq!(keys(&*store).await, with_one, "nothing is left of either");
    let late = attach(&tenant, &staged).await;
    assert!(
        matches!(late, Err(CommitError::Conflict { .. })),
        "swept is not attached: {late:?}"
    );
    assert!(blobs.read(&kept).await.is_ok());

    let before = store.counts();
    assert_eq!(blobs.sweep(NOW + 25.hours(), 10).await.unwrap().purged, 0);
    assert_eq!(
        store.counts().operations() - before.operations(),
        2,
        "idle costs two reads"
    );
}

/// The chunk rows of each stage batch are guarded by the staged row: a stager that is late writes nothing after a sweep.
#[tokio::test]
async fn a_stager_that_was_swept_leaves_no_chunk_behind() {
    let (store, tenant) = tenant().await;
    let blobs = Blobs::new(&tenant);
    let sweeping = {
        let blobs = blobs.clone();
        async move {
            // Sweeps whatever is staged, again and again, as long as the other stages.
            for _ in 0..200 {
                blobs.sweep(NOW + 48.hours(), 10).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    };
    let staging = async {
        let mut lost = 0;
        for number in 0..50 {
            match blobs
                .stage(BlobId::new(number), content(7 * CHUNK_BYTES), NOW)
                .await
            {
                Ok(_) => {}
                Err(BlobError::Commit(CommitError::Conflict { .. })) => lost += 1,
                Err(other) => panic!("{other:?}"),
            }
            tokio::task::yield_now().await;
        }
        lost
    };
    let (lost, ()) = futures::join!(staging, sweeping);
    println!("{lost} stagings were swept under way");
    blobs.sweep(NOW + 48.hours(), 100).await.unwrap();
    assert_eq!(keys(&*store).await, []);
}

/// A row may come from a file that was imported, with every checksum right.
#[tokio::test]
async fn a_row_that_claims_more_than_a_blob_may_have_is_corrupt() {
    let (store, tenant) = tenant().await;
    let blobs = Blobs::new(&tenant);
    for (number, size) in [(1, BLOB_MAX + 1), (2, 1 << 40), (3, 1 << 62), (4, u64::MAX)] {
        let blob = attached(&tenant, number, 3).await;
        let key = Key::parse(&format!("t/acme/r/blob/{}", blob.id())).unwrap();
        let entry = store.get(&key).await.unwrap().unwrap();
        let text = String::from_utf8(entry.value.to_vec()).unwrap();
        let claimed = text.replace(r#""size":3,"#, &format!(r#""size":{size},"#));
        assert_ne!(claimed, text);
        store
            .replace(
                key,
                entry.version,
                entry.kind,
                claimed,
                Deadline::after(Duration::from_secs(60)),
            )
            .await
            .unwrap();
        let found = blobs.get(blob.id()).await;
        assert!(
            matches!(found, Err(BlobError::Corrupt { id }) if id == *blob.id()),
            "{size}: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_row_is_stored_as_it_is_documented() {
    let (store, tenant) = tenant().await;
    let blob = attached(&tenant, 1, 3).await;
    let key = Key::parse(&format!("t/acme/r/blob/{}", blob.id())).unwrap();
    let entry = store.get(&key).await.unwrap().unwrap();
    assert_eq!(entry.kind, RecordKind::of("blob"));
    let golden = format!(
        r#"{{"kind":"blob","schema":1,"id":"{id}","scope":"acme","value":{{"id":"{id}","size":3,"sha256":"{}"}}}}"#,
        blob.digest(),
        id = blob.id()
    );
    assert_eq!(String::from_utf8(entry.value.to_vec()).unwrap(), golden);
    let staged = Blobs::new(&tenant)
        .stage(BlobId::new(2), "abc", NOW)
        .await
        .unwrap();
    let key = Key::parse(&format!("t/acme/r/blob_staged/{}", staged.id())).unwrap();
    let text = String::from_utf8(store.get(&key).await.unwrap().unwrap().value.to_vec()).unwrap();
    assert!(
        text.ends_with(r#""staged_until":"2026-09-22T14:13:20Z"}}"#),
        "{text}"
    );
    let listed = store
        .list(&Page::of(Prefix::parse("t/acme/b").unwrap()))
        .await
        .unwrap();
    assert!(matches!(&listed.items[0], Item::Entry(entry) if entry.value.len() == 32 + 3));
}
