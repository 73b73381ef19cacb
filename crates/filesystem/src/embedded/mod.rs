//! What the embedded backends share: the queue, the committer, the readers, the folder and its lock.
//!
//! A commit goes to the queue; the committer, one thread, judges a group of them, writes it to the log, flushes once,
//! and only then shows, hints and acknowledges it. Reads look up the index at one point, then read where the items
//! lie, on a few reader threads; a `get` of what an index knows to be in memory is answered by who asks. What stands behind
//! the log is the [`Index`]'s: there backends differ.

mod answer;
pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod cleaner;
mod committer;
mod decide;
mod ending;
mod export;
pub(crate) mod fetch;
pub(crate) mod filesystem;
pub(crate) mod folder;
mod gone;
pub(crate) mod index;
mod noted;
mod open;
pub(crate) mod opened;
mod queue;
pub(crate) mod read;
mod settle;
pub(crate) mod shared;
pub(crate) mod spot;
mod store;
pub(crate) mod tally;
mod work;

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use self::ending::Ends;
use self::filesystem::Kind;
use self::index::Index;
pub(crate) use self::open::{Options, open};
use self::queue::Ending;
use self::shared::Shared;
use crate::capability::Durability;
use crate::{Capabilities, OpenError};

/// Most threads that read at once.
const READERS_MAX: usize = 4;
/// Bytes.
pub(crate) const MIB: u64 = 1024 * 1024;

/// An open store.
///
/// Dropped without a close it ends as if the process had died. The drop waits for that for a moment; the next opening in
/// this process waits until it has.
pub(crate) struct Embedded<I: Index> {
    path: PathBuf,
    shared: Held<I>,
    durability: Durability,
    readers: Arc<Semaphore>,
    /// How long an export is held of which nobody takes an item.
    export_idle: Duration,
    has_ended: watch::Receiver<bool>,
    committer: Mutex<Option<JoinHandle<()>>>,
    /// Whether a drop waits for its end, however long that takes: where the files are somebody's own.
    ends_at_once: bool,
}

/// What a store in this folder would promise.
///
/// # Errors
/// `Refused` for a filesystem that can hold none, or cannot be looked at.
pub(crate) fn promised_in(path: &Path) -> Result<Capabilities, OpenError> {
    let refused = |reason: String| OpenError::Refused {
        path: path.display().to_string(),
        reason,
    };
    match filesystem::kind_of(path).map_err(|error| refused(error.to_string()))? {
        Kind::Refused(name) => Err(refused(folder::unreliable(name))),
        kind => Ok(store::promised(kind.durability())),
    }
}

/// What a store shares with its threads; none once it was dropped.
struct Held<I: Index>(Option<Arc<Shared<I>>>);

impl<I: Index> Deref for Held<I> {
    type Target = Arc<Shared<I>>;

    fn deref(&self) -> &Arc<Shared<I>> {
        self.0.as_ref().expect("only the drop takes it")
    }
}

#[cfg(all(test, feature = "sled"))]
impl<I: Index> Embedded<I> {
    /// What it shares with its threads.
    pub(crate) fn shared(&self) -> &Arc<Shared<I>> {
        &self.shared
    }
}

impl<I: Index> Drop for Embedded<I> {
    fn drop(&mut self) {
        self.shared.queue.end(Ending::Dropped);
        let committer = self
            .committer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(committer) = committer else { return };
        if self.ends_at_once {
            // Its panics are caught within.
            drop(committer.join());
            return;
        }
        let (shared, ends) = (self.shared.0.take(), Ends::of(&self.path));
        let thread = std::thread::Builder::new().name("dormouse-ending".to_owned());
        let ending = thread.spawn(move || {
            drop(committer.join());
            // With it go the index and the lock, unless somebody still reads.
            drop(shared);
            drop(ends);
        });
        if ending.is_ok() {
            ending::wait_a_moment(&self.path);
        }
    }
}

impl<I: Index> fmt::Debug for Embedded<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.state().fmt(f)
    }
}

impl<I: Index> fmt::Display for Embedded<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", I::BACKEND, self.path.display())
    }
}

/// Makes a public type of one field, an [`Embedded`], a record store.
macro_rules! embedded_store {
    ($store:ident) => {
        #[async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl crate::RecordStore for $store {
            fn capabilities(&self, at: &crate::Prefix) -> crate::Capabilities {
                self.0.capabilities(at)
            }

            async fn get(&self, key: &crate::Key) -> Result<Option<crate::Entry>, crate::ReadError> {
                self.0.get(key).await
            }

            async fn get_many(
                &self,
                keys: &[crate::Key],
            ) -> Result<Vec<Option<crate::Entry>>, crate::ReadError> {
                self.0.get_many(keys).await
            }

            async fn list(&self, page: &crate::Page) -> Result<crate::Listed, crate::ReadError> {
                self.0.list(page).await
            }

            async fn list_many(&self, pages: &[crate::Page]) -> Result<Vec<crate::Listed>, crate::ReadError> {
                self.0.list_many(pages).await
            }

            async fn commit(
                &self,
                batch: crate::Batch,
                deadline: crate::Deadline,
            ) -> Result<crate::Committed, crate::CommitError> {
                self.0.commit(batch, deadline).await
            }

            async fn tail(
                &self,
                log: &crate::Stream,
                after: crate::Position,
                limit: usize,
            ) -> Result<Vec<crate::Logged>, crate::LogError> {
                self.0.tail(log, after, limit).await
            }

            async fn head(&self, log: &crate::Stream) -> Result<crate::LogHead, crate::LogError> {
                self.0.head(log).await
            }

            async fn heads(
                &self,
                under: &crate::Prefix,
                after: Option<&crate::Stream>,
                limit: usize,
            ) -> Result<Vec<(crate::Stream, crate::LogHead)>, crate::LogError> {
                self.0.heads(under, after, limit).await
            }

            async fn truncate(
                &self,
                log: &crate::Stream,
                before: crate::Position,
            ) -> Result<crate::Position, crate::LogError> {
                self.0.truncate(log, before).await
            }

            async fn watch(&self, prefix: &crate::Prefix) -> Result<crate::Watch, crate::ReadError> {
                self.0.watch(prefix).await
            }

            fn export(
                &self,
                prefix: &crate::Prefix,
            ) -> futures::stream::BoxStream<'static, Result<crate::Exported, crate::ReadError>> {
                self.0.export(prefix)
            }

            async fn health(&self) -> crate::Health {
                self.0.health().await
            }

            async fn close(&self, deadline: crate::Deadline) -> Result<(), crate::CloseError> {
                self.0.close(deadline).await
            }
        }

        impl std::fmt::Debug for $store {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($store), "({:?})"), self.0)
            }
        }

        impl std::fmt::Display for $store {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}
pub(crate) use embedded_store;
