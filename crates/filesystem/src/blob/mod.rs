//! Blobs: values too large for a record, kept in chunks, owned by one record.
//!
//! A blob is written first ([`stage`](Blobs::stage)) and is nobody's. The owner's batch makes it the owner's
//! ([`attach`](Blobs::attach)), and the batch that removes or replaces the owner removes it
//! ([`remove`](Blobs::remove)): so owner and blob never disagree, and nothing counts references. What was staged and
//! never attached is swept a day later, what was removed at once or by the next [`sweep`](Blobs::sweep); a kill
//! anywhere between leaves rows that say how to go on.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dormouse_filesystem::blob::{BlobId, Blobs};
//! # use dormouse_filesystem::{Memory, Namespace, Requirements, Segment, System};
//! # let store = std::sync::Arc::new(Memory::new(jiff::Timestamp::UNIX_EPOCH));
//! # let system = Namespace::<System>::open(store, &Requirements::volatile(), dormouse_filesystem::Opener::at(jiff::Timestamp::UNIX_EPOCH, 7)).await?;
//! # let tenant = system.tenant(&Segment::parse("acme")?);
//! # let now = jiff::Timestamp::UNIX_EPOCH;
//! let blobs = Blobs::new(&tenant);
//! let staged = blobs.stage(BlobId::new(1), "a long text".repeat(100_000), now).await?;
//! let mut batch = tenant.batch();
//! // Beside it goes the record that names the blob.
//! blobs.attach(&mut batch, &staged).await?;
//! tenant.commit(batch).await?;
//!
//! let blob = blobs.get(staged.id()).await?.expect("it was attached");
//! assert_eq!(&blobs.read_range(&blob, 2..6).await?[..], b"long");
//! # Ok(())
//! # }
//! ```

mod chunk;
mod error;
mod id;
mod row;
mod sweep;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

pub use error::BlobError;
pub use id::BlobId;
pub use sweep::Swept;

use row::{Attached, Removed, Row, Staged};

use crate::namespace::{Namespace, Scope, ScopedBatch};
use crate::{CommitError, Digest, Records, Versioned};

/// Largest blob, in bytes.
pub const BLOB_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of a chunk; the last one may have fewer.
pub const CHUNK_BYTES: u64 = 256 * 1024;
/// A value up to this size is better kept in its record.
pub const INLINE_MAX: u64 = 64 * 1024;
/// What was staged and not attached is swept after so long.
pub const STAGED_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A blob that was written and is nobody's yet: the proof that all of it is there.
#[derive(Clone)]
pub struct StagedBlob<S: Scope>(Versioned<Row<S, Staged>>);

/// A blob with an owner.
#[derive(Clone)]
pub struct Blob<S: Scope>(Versioned<Row<S, Attached>>);

macro_rules! described {
    ($($name:ident),*) => {$(
        impl<S: Scope> $name<S> {
            /// Its name.
            #[must_use]
            pub fn id(&self) -> &BlobId {
                &self.0.id
            }

            /// Its length in bytes.
            #[must_use]
            pub fn size(&self) -> u64 {
                self.0.size
            }

            /// The digest of all of it.
            #[must_use]
            pub fn digest(&self) -> Digest {
                self.0.sha256
            }
        }

        impl<S: Scope> fmt::Debug for $name<S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}, {} bytes)", stringify!($name), self.0.id, self.0.size)
            }
        }
    )*};
}
described!(StagedBlob, Blob);

/// The blobs of a namespace. Cloning is cheap.
pub struct Blobs<S: Scope> {
    namespace: Namespace<S>,
    staged: Records<Row<S, Staged>>,
    attached: Records<Row<S, Attached>>,
    removed: Records<Row<S, Removed>>,
}

impl<S: Scope> Clone for Blobs<S> {
    fn clone(&self) -> Self {
        Self::new(&self.namespace)
    }
}

impl<S: Scope> fmt::Debug for Blobs<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blobs({:?})", self.namespace)
    }
}

impl<S: Scope> Blobs<S> {
    /// The blobs of a namespace.
    #[must_use]
    pub fn new(namespace: &Namespace<S>) -> Self {
        Self {
            namespace: namespace.clone(),
            staged: Records::new(namespace),
            attached: Records::new(namespace),
            removed: Records::new(namespace),
        }
    }

    /// Writes a blob that is nobody's yet, until [`STAGED_MAX`] after `now`.
    ///
    /// In several commits: on an error, or when the future is dropped, what is there is swept in time. Stage it again
    /// under another id then.
    ///
    /// # Errors
    /// `TooLarge` over [`BLOB_MAX`], before anything is written; `Exists`; as any commit.
    pub async fn stage(
        &self,
        id: BlobId,
        bytes: impl Into<Bytes>,
        now: Timestamp,
    ) -> Result<StagedBlob<S>, BlobError> {
        let bytes = bytes.into();
        let size = bytes.len() as u64;
        if size > BLOB_MAX {
            return Err(BlobError::TooLarge { limit: "BLOB_MAX" });
        }
        let until = now.checked_add(STAGED_MAX).unwrap_or(Timestamp::MAX);
        let staged = self
            .begin(Row::new(id, size, Digest::of(&bytes), Some(until)))
            .await?;
        chunk::write(self, &staged, &bytes).await?;
        Ok(StagedBlob(staged))
    }

    /// The row comes before the chunks, so that no chunk is ever without a row that leads to it.
    async fn begin(&self, row: Row<S, Staged>) -> Result<Versioned<Row<S, Staged>>, BlobError> {
        let mut batch = self.namespace.batch();
        self.staged.stage_create(&mut batch, &row)?;
        self.attached.stage_absent(&mut batch, &row.id)?;
        self.removed.stage_absent(&mut batch, &row.id)?;
        match self.namespace.commit(batch).await {
            Ok(committed) => Ok(self.staged.written(&row, committed.version)?),
            Err(CommitError::Conflict { .. }) => Err(BlobError::Exists { id: row.id }),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a staged blob its owner's: put the record that names it into the same batch.
    ///
    /// The commit is a `Conflict` when it was attached or swept meanwhile.
    ///
    /// # Errors
    /// As any read.
    pub async fn attach(&self, batch: &mut ScopedBatch<S>, staged: &StagedBlob<S>) -> Result<(), BlobError> {
        self.staged.stage_remove(batch, &staged.0).await?;
        self.attached.stage_create(batch, &staged.0.in_phase())?;
        Ok(())
    }

    /// The blob of this id, if it has an owner.
    ///
    /// # Errors
    /// `Corrupt` for a row that claims more than [`BLOB_MAX`]; as any read of a record.
    pub async fn get(&self, id: &BlobId) -> Result<Option<Blob<S>>, BlobError> {
        let Some(row) = self.attached.get(id).await? else {
            return Ok(None);
        };
        // Nothing was ever staged so large: what it says is not believed, and no memory is taken for it.
        if row.size > BLOB_MAX {
            return Err(BlobError::Corrupt { id: *id });
        }
        Ok(Some(Blob(row)))
    }

    /// All of a blob, its length and digest compared.
    ///
    /// # Errors
    /// `Corrupt` when it is not what was staged; `Removed` when it was removed meanwhile.
    pub async fn read(&self, blob: &Blob<S>) -> Result<Bytes, BlobError> {
        let bytes = chunk::read(self, &blob.0, 0..blob.size()).await?;
        if Digest::of(&bytes) != blob.digest() {
            return Err(BlobError::Corrupt { id: *blob.id() });
        }
        Ok(bytes)
    }

    /// Some bytes of a blob. Only the chunks they are in are read, each with its digest compared.
    ///
    /// # Errors
    /// As [`read`](Self::read); `Range` when the blob has no such bytes.
    pub async fn read_range(&self, blob: &Blob<S>, range: Range<u64>) -> Result<Bytes, BlobError> {
        if range.start > range.end || range.end > blob.size() {
            return Err(BlobError::Range { size: blob.size() });
        }
        chunk::read(self, &blob.0, range).await
    }

    /// Takes a blob from its owner: put the owner's removal or replacement into the same batch.
    ///
    /// After the commit its space is given back by [`purge`](Self::purge), or by the next [`sweep`](Self::sweep).
    ///
    /// # Errors
    /// As any read.
    pub async fn remove(&self, batch: &mut ScopedBatch<S>, blob: &Blob<S>) -> Result<(), BlobError> {
        self.attached.stage_remove(batch, &blob.0).await?;
        self.removed.stage_create(batch, &blob.0.in_phase())?;
        Ok(())
    }
}
