//! The mark of an import that has not ended: while it is there the store is not usable.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    Deadline, Digest, Entry, Expected, Key, LogError, OpenError, PAGE_MAX, Page, Prefix, ReadError,
    RecordKind, RecordStore, Stream, Version, Want,
};

use super::{ImportError, Summary, is_scratch, needed_now};
use crate::{Batch, CommitError, Lane};

const KIND: RecordKind = RecordKind::of("import");
const TEXT: &str = "dormouse-import/1 sha256=";
/// Most commits to make the mark one's own, when their answers are lost.
const TAKE_OVER_MAX: u32 = 8;
/// How long an import waits behind a lost answer before it asks again.
pub(super) const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Longest wait for a commit of an import.
pub(super) const COMMIT_MAX: Duration = Duration::from_secs(60);

/// Where the mark is.
pub(super) fn key() -> Key {
    Key::parse("s/import").expect("a fixed name is legal")
}

/// Whether a key is the mark's.
pub(super) fn is_key(key: &Key) -> bool {
    key.stored() == "s!import"
}

/// Whether an import is begun, or goes on where one was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    Anew,
    Again,
}

/// Refuses a store whose import has not ended, before a namespace is opened on it.
///
/// # Errors
/// `Importing` tells of which file; `Unavailable` when there is no answer.
pub(crate) async fn refuse_unfinished(store: &dyn RecordStore) -> Result<(), OpenError> {
    match store.get(&key()).await {
        Ok(Some(entry)) => Err(OpenError::Importing {
            sha256: digest_of(&entry),
        }),
        // Whether it must read is the requirements' to say.
        Ok(None) | Err(ReadError::Unsupported { .. } | ReadError::Unrouted { .. }) => Ok(()),
        Err(error) => Err(OpenError::Unavailable {
            reason: "whether an import has ended".to_owned(),
            source: Some(Box::new(error)),
        }),
    }
}

fn digest_of(mark: &Entry) -> String {
    let text = String::from_utf8_lossy(&mark.value);
    text.trim_end().strip_prefix(TEXT).unwrap_or("unknown").to_owned()
}

fn text(digest: Digest) -> String {
    format!("{TEXT}{digest}\n")
}

/// Marks an empty store, or finds the mark of this very file. Returns the mark's version.
pub(super) async fn set(store: &dyn RecordStore, file: &Summary) -> Result<(Version, Begun), ImportError> {
    // A commit whose answer was lost is found as the mark of this file.
    for _ in 0..2 {
        if let Some(mark) = store.get(&key()).await? {
            return found(store, file, &mark).await;
        }
        refuse_full(store).await?;
        let mut batch = Batch::new(Lane::System);
        batch.put(key(), Expected::Absent, KIND, text(file.digest));
        match store.commit(batch, Deadline::after(COMMIT_MAX)).await {
            Ok(committed) => {
                let version = committed.version.expect("a commit that writes has a version");
                above(store, file, version).await?;
                return Ok((version, Begun::Anew));
            }
            Err(CommitError::Indeterminate { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ImportError::Commit(CommitError::Indeterminate { source: None }))
}

async fn found(
    store: &dyn RecordStore,
    file: &Summary,
    mark: &Entry,
) -> Result<(Version, Begun), ImportError> {
    if mark.value != text(file.digest).as_bytes() {
        return Err(ImportError::Another {
            begun: digest_of(mark),
        });
    }
    let version = take_over(store, mark).await?;
    above(store, file, version).await?;
    Ok((version, Begun::Again))
}

/// Makes the mark one's own: every commit of an import is under the mark it began with, so one of another, or of an
/// earlier try whose answer was lost, is either done by now or never will be.
async fn take_over(store: &dyn RecordStore, mark: &Entry) -> Result<Version, ImportError> {
    let mut at = mark.version;
    for _ in 0..TAKE_OVER_MAX {
        let mut batch = Batch::new(Lane::System);
        batch.put(key(), Expected::At(at), KIND, mark.value.clone());
        match store.commit(batch, Deadline::after(COMMIT_MAX)).await {
            Ok(committed) => return Ok(committed.version.expect("a commit that writes has a version")),
            // Another try of ours may have come after all; a version that was told to nobody is nobody's.
            Err(CommitError::Indeterminate { .. }) => {}
            Err(error) if error.is_congestion() => {}
            Err(error) => return Err(error.into()),
        }
        sleep(AGAIN_AFTER).await;
        match store.get(&key()).await? {
            Some(now) => at = now.version,
            None => break,
        }
    }
    Err(ImportError::Commit(CommitError::Indeterminate { source: None }))
}

/// The mark is the first version the store gave out for this file; those that follow are above it.
async fn above(store: &dyn RecordStore, file: &Summary, version: Version) -> Result<(), ImportError> {
    if version > file.highest {
        return Ok(());
    }
    remove(store, version).await?;
    Err(ImportError::VersionsBehind {
        highest: file.highest,
        needed: needed_now(file.highest),
    })
}

/// All that the file has is there: the store is usable.
pub(super) async fn remove(store: &dyn RecordStore, version: Version) -> Result<(), ImportError> {
    let mut batch = Batch::new(Lane::System);
    batch.delete(key(), version);
    match store.commit(batch, Deadline::after(COMMIT_MAX)).await {
        Ok(_) => Ok(()),
        Err(error) => match store.get(&key()).await {
            // It was done, and the answer lost.
            Ok(None) => Ok(()),
            Ok(Some(_)) | Err(_) => Err(error.into()),
        },
    }
}

/// Anything but what openers leave.
async fn refuse_full(store: &dyn RecordStore) -> Result<(), ImportError> {
    let mut page = Page {
        want: Want::Keys,
        limit: PAGE_MAX,
        ..Page::of(Prefix::root())
    };
    // Ends with the last page of what openers left.
    loop {
        let listed = store.list(&page).await?;
        if listed.items.iter().any(|item| !is_scratch(item.key())) {
            return Err(ImportError::NotEmpty);
        }
        match listed.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    let mut after: Option<Stream> = None;
    // As does this.
    loop {
        let heads = store.heads(&Prefix::root(), after.as_ref(), PAGE_MAX).await;
        let heads = heads.map_err(|error: LogError| ImportError::from(error))?;
        if heads.iter().any(|(log, _)| !is_scratch(log.key())) {
            return Err(ImportError::NotEmpty);
        }
        match heads.into_iter().next_back() {
            Some((log, _)) => after = Some(log),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_known_by_its_stored_form() {
        assert!(is_key(&key()));
        assert!(!is_key(&Key::parse("s/imports").unwrap()));
    }
}
