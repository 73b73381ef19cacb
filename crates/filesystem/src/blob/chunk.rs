//! Chunks: rows of their own, each with the digest of its bytes and its place before them.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use super::row::{Attached, Row, Staged};
use super::{BlobError, BlobId, Blobs, CHUNK_BYTES};
use crate::namespace::{Namespace, Scope};
use crate::{Entry, Expected, Key, Prefix, RecordKind, Segment, Versioned};

const KIND: RecordKind = RecordKind::of("blob_chunk");
/// Bytes of the digest that a chunk begins with.
const DIGEST_BYTES: usize = 32;
/// So many chunks are written or read at once: with keys and digests they fit a batch.
const AT_ONCE: u64 = 3;

/// Where the chunks of a blob are.
pub(super) fn place<S: Scope>(namespace: &Namespace<S>, id: BlobId) -> Prefix {
    let place = namespace.at(&["b"]).child(&id.segment());
    place.expect("a root, `b` and an id are never too deep")
}

fn key<S: Scope>(namespace: &Namespace<S>, id: BlobId, number: u64) -> Key {
    let key = place(namespace, id).key([&Segment::number(number)]).map_err(drop);
    key.expect("a blob's place and a number fit a key")
}

/// Bytes moved to another place are not that place's.
fn digest_of(id: BlobId, number: u64, bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut digest = Sha256::new();
    digest.update(id.to_string());
    digest.update(number.to_be_bytes());
    digest.update(bytes);
    digest.finalize().into()
}

/// Writes all chunks, as long as the blob is still staged.
pub(super) async fn write<S: Scope>(
    blobs: &Blobs<S>,
    staged: &Versioned<Row<S, Staged>>,
    bytes: &Bytes,
) -> Result<(), BlobError> {
    let size = usize::try_from(CHUNK_BYTES).expect("a chunk fits memory");
    let chunks: Vec<(u64, &[u8])> = (0..).zip(bytes.chunks(size)).collect();
    for some in chunks.chunks(usize::try_from(AT_ONCE).expect("it is small")) {
        let mut batch = blobs.namespace.batch();
        blobs.staged.stage_check(&mut batch, staged);
        for (number, bytes) in some {
            let value = [&digest_of(staged.id, *number, bytes)[..], bytes].concat();
            let key = key(&blobs.namespace, staged.id, *number);
            batch
                .of(blobs.namespace.root())
                .put(key, Expected::Absent, KIND, value);
        }
        blobs.namespace.commit(batch).await?;
    }
    Ok(())
}

/// The bytes of a range that is within the blob.
pub(super) async fn read<S: Scope>(
    blobs: &Blobs<S>,
    row: &Row<S, Attached>,
    range: Range<u64>,
) -> Result<Bytes, BlobError> {
    let length = usize::try_from(range.end - range.start).expect("a blob fits memory");
    let mut bytes = BytesMut::with_capacity(length);
    let numbers = range.start / CHUNK_BYTES..range.end.div_ceil(CHUNK_BYTES);
    let mut next = numbers.start;
    while next < numbers.end && length > 0 {
        let end = numbers.end.min(next + AT_ONCE);
        for (number, chunk) in (next..end).zip(read_some(blobs, row, next..end).await?) {
            let begins = number * CHUNK_BYTES;
            let within = |at: u64| usize::try_from(at.saturating_sub(begins).min(chunk.len() as u64));
            let part = within(range.start).and_then(|from| Ok(from..within(range.end)?));
            bytes.extend_from_slice(&chunk[part.expect("a chunk fits memory")]);
        }
        next = end;
    }
    Ok(bytes.freeze())
}

async fn read_some<S: Scope>(
    blobs: &Blobs<S>,
    row: &Row<S, Attached>,
    numbers: Range<u64>,
) -> Result<Vec<Bytes>, BlobError> {
    let keys: Vec<Key> = numbers
        .clone()
        .map(|number| key(&blobs.namespace, row.id, number))
        .collect();
    let entries = blobs.namespace.backend().get_many(&keys).await?;
    let chunks: Option<Vec<Bytes>> = numbers
        .zip(entries)
        .map(|(number, entry)| believed(row, number, entry.as_ref()?))
        .collect();
    match chunks {
        Some(chunks) => Ok(chunks),
        None => Err(missing(blobs, row.id).await?),
    }
}

/// A chunk's bytes, if they are those that were written there.
fn believed<S>(row: &Row<S, Attached>, number: u64, entry: &Entry) -> Option<Bytes> {
    let length = CHUNK_BYTES.min(row.size - number * CHUNK_BYTES);
    let is_whole = entry.kind == KIND && entry.value.len() as u64 == DIGEST_BYTES as u64 + length;
    let bytes = is_whole.then(|| entry.value.slice(DIGEST_BYTES..))?;
    (entry.value[..DIGEST_BYTES] == digest_of(row.id, number, &bytes)).then_some(bytes)
}

/// Chunks go after their blob: only of one that is there is a missing chunk damage.
async fn missing<S: Scope>(blobs: &Blobs<S>, id: BlobId) -> Result<BlobError, BlobError> {
    Ok(match blobs.attached.get(&id).await? {
        Some(_) => BlobError::Corrupt { id },
        None => BlobError::Removed { id },
    })
}
