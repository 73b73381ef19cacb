//! Writing a file into a store: the whole file is checked first, the store is usable last.

use std::io::SeekFrom;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncSeek, AsyncSeekExt};

use super::chunk::Chunk;
use super::item::FileItem;
use super::mark::{self, Begun};
use super::read::FileReader;
use super::{FileError, ImportError, Summary, verify};
use crate::{CommitError, RecordStore, Version};

/// Most commits on their way at once: 8 MiB, as many as an embedded store writes and flushes as one group.
const COMMITS_MAX: usize = 32;
/// Most times that an import begins again by itself after an answer that was lost. Each goes on where the last one was.
const TRIES_MAX: u32 = 64;

/// Imports a whole file into an empty store. Killed, or failed, it is begun again with the same file, and then ends
/// like one that was not.
///
/// The store's versions must be above [`Summary::highest`]: it is opened for the first time with a `now` of at least
/// [`needed_now`](super::needed_now).
///
/// # Errors
/// [`ImportError`]: `File` before anything is written; `NotEmpty`, `Another` and `VersionsBehind` with nothing of the
/// file written; after any other the store is unusable until the same file is imported again.
pub async fn import<R>(file: &mut R, store: &dyn RecordStore) -> Result<Summary, ImportError>
where
    R: AsyncRead + AsyncSeek + Unpin + Send,
{
    let begin = file.seek(SeekFrom::Start(0)).await;
    begin.map_err(FileError::Io)?;
    let summary = verify(&mut *file).await?;
    let mut tries = 1;
    // Ends with the import, or after TRIES_MAX.
    loop {
        match once(file, store, &summary).await {
            Err(ImportError::Commit(CommitError::Indeterminate { .. })) if tries < TRIES_MAX => tries += 1,
            Err(error) => return Err(error),
            Ok(()) => return Ok(summary),
        }
        tokio::time::sleep(mark::AGAIN_AFTER).await;
    }
}

/// Goes through the file once, under a mark that is this try's alone.
async fn once<R>(file: &mut R, store: &dyn RecordStore, summary: &Summary) -> Result<(), ImportError>
where
    R: AsyncRead + AsyncSeek + Unpin + Send,
{
    let (mark, begun) = mark::set(store, summary).await?;
    file.seek(SeekFrom::Start(0)).await.map_err(FileError::Io)?;
    let read = write(file, store, mark, begun).await?;
    if read != *summary {
        let what = "it is another than a moment ago";
        return Err(FileError::Changed { at: 0, what }.into());
    }
    mark::remove(store, mark).await
}

async fn write<R>(
    file: &mut R,
    store: &dyn RecordStore,
    mark: Version,
    begun: Begun,
) -> Result<Summary, ImportError>
where
    R: AsyncRead + Unpin + Send,
{
    let mut file = FileReader::begin(file).await?;
    let mut chunk = Chunk::default();
    let is_sure = begun == Begun::Anew;
    let mut on_their_way = FuturesUnordered::new();
    while let Some(item) = file.next().await? {
        if chunk.is_full_for(bytes_of(&item)) {
            let next = if matches!(item, FileItem::Entry(_)) {
                chunk.following()
            } else {
                Chunk::default()
            };
            let full = std::mem::replace(&mut chunk, next);
            // What goes on in a log comes behind all that its beginning may be among.
            let most = if full.continues() { 0 } else { COMMITS_MAX - 1 };
            while on_their_way.len() > most {
                on_their_way.next().await.transpose()?;
            }
            on_their_way.push(full.commit(store, mark, is_sure));
            // It is on its way once it is looked at.
            if let std::task::Poll::Ready(Some(done)) = futures::poll!(on_their_way.next()) {
                done?;
            }
        }
        match item {
            FileItem::Record(entry) => chunk.record(entry),
            FileItem::Log(log, head) => chunk.log(log, &head),
            FileItem::Entry(logged) => chunk.entry(logged.entry),
            FileItem::Header(_) | FileItem::Trailer(_) => {}
        }
    }
    while let Some(done) = on_their_way.next().await {
        done?;
    }
    if !chunk.is_empty() {
        chunk.commit(store, mark, is_sure).await?;
    }
    Ok(file.summary())
}

/// About what an item adds to a commit.
fn bytes_of(item: &FileItem) -> usize {
    match item {
        FileItem::Record(entry) => crate::filling::entry_bytes(entry),
        FileItem::Log(log, _) => log.key().stored().len(),
        FileItem::Entry(logged) => logged.entry.len() + crate::KEY_MAX,
        FileItem::Header(_) | FileItem::Trailer(_) => 0,
    }
}
