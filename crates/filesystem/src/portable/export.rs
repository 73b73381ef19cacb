//! Writing a file, a frame at a time, in bounded memory.

use futures::StreamExt;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::check::Checked;
use super::frame::first_line;
use super::item::{FileItem, Header};
use super::{ExportError, Summary, is_scratch, mark};
use crate::{Digest, ExportPoint, Exported, Prefix, ReadError, RecordStore};

/// Bytes written at once, about.
const WRITE_BYTES: usize = 256 * 1024;

/// Writes all that is below a prefix, at one commit point, while writers go on.
///
/// The writer is flushed at the end; syncing a file to its disk is its owner's. What was written when it fails has no
/// trailer, so that nobody takes it for whole.
///
/// # Errors
/// `Store`, also for the first damaged record or entry, and for a writer that takes nothing for
/// [`EXPORT_IDLE`](crate::EXPORT_IDLE); `Unfinished` for a store whose import was not ended; `Io`.
pub async fn export<W: AsyncWrite + Unpin + Send>(
    store: &dyn RecordStore,
    prefix: &Prefix,
    writer: &mut W,
    now: Timestamp,
) -> Result<Summary, ExportError> {
    let mut items = store.export(prefix);
    let point = match items.next().await.transpose()? {
        Some(Exported::Point(point)) => point,
        _ => return Err(not_whole()),
    };
    let milliseconds = now.as_millisecond();
    let mut file = FileWriter::begin(writer, point, prefix, milliseconds);
    // An entry is of the log before it.
    let mut is_left_out = false;
    while let Some(item) = items.next().await {
        match item? {
            Exported::Record(entry) if mark::is_key(&entry.key) => return Err(ExportError::Unfinished),
            Exported::Record(entry) if is_scratch(&entry.key) => {}
            Exported::Record(entry) => file.write(FileItem::Record(entry)).await?,
            Exported::Log { log, head } => {
                is_left_out = is_scratch(log.key());
                if !is_left_out {
                    file.write(FileItem::Log(log, head)).await?;
                }
            }
            Exported::Logged(_) if is_left_out => {}
            Exported::Logged(logged) => file.write(FileItem::Entry(logged)).await?,
            Exported::End(_) => return file.end(point, prefix, milliseconds).await,
            Exported::Point(_) => return Err(not_whole()),
        }
    }
    Err(not_whole())
}

/// The store's export did not come to its end.
fn not_whole() -> ExportError {
    ExportError::Store(ReadError::Unavailable {
        reason: "the end of the export",
        source: None,
    })
}

/// A file being written.
struct FileWriter<'a, W> {
    to: &'a mut W,
    buffer: Vec<u8>,
    written: u64,
    sha: Sha256,
    checked: Checked,
}

impl<'a, W: AsyncWrite + Unpin + Send> FileWriter<'a, W> {
    fn begin(to: &'a mut W, point: ExportPoint, prefix: &Prefix, milliseconds: i64) -> Self {
        let mut file = Self {
            to,
            buffer: first_line().into_bytes(),
            written: 0,
            sha: Sha256::new(),
            checked: Checked::default(),
        };
        file.add(&FileItem::Header(Header {
            store: point.store,
            version: point.version,
            milliseconds,
            prefix: prefix.clone(),
        }))
        .expect("a file begins with its header");
        file
    }

    /// Items are held against what a reader will hold them against: a store that yields another order is found out
    /// here, and not when the file is needed.
    fn add(&mut self, item: &FileItem) -> Result<(), &'static str> {
        self.checked.take(item, None)?;
        item.encode(&mut self.buffer);
        Ok(())
    }

    async fn write(&mut self, item: FileItem) -> Result<(), ExportError> {
        self.add(&item)
            .map_err(|reason| ExportError::Store(ReadError::Unavailable { reason, source: None }))?;
        if self.buffer.len() >= WRITE_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), ExportError> {
        self.sha.update(&self.buffer);
        self.to.write_all(&self.buffer).await?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    async fn end(
        mut self,
        point: ExportPoint,
        prefix: &Prefix,
        milliseconds: i64,
    ) -> Result<Summary, ExportError> {
        self.send().await?;
        let digest = Digest::new(self.sha.clone().finalize().into());
        let trailer = self.checked.trailer_of(digest);
        FileItem::Trailer(trailer).encode(&mut self.buffer);
        self.send().await?;
        self.to.flush().await?;
        Ok(Summary {
            point,
            at: Timestamp::from_millisecond(milliseconds).expect("it was a time's"),
            prefix: prefix.clone(),
            counts: trailer.counts,
            bytes: trailer.bytes,
            highest: trailer.highest,
            file_bytes: self.written,
            digest,
        })
    }
}
