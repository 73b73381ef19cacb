//! A store in whose way tests stand: hints that never come, commits that fail, a row that goes while it is
//! looked for, or between its read and what is written because of it, a read that gets no answer.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dormouse_filesystem::capability::Reach;
use dormouse_filesystem::wrapper::Between;
use dormouse_filesystem::{
    Batch, Capabilities, CommitError, Committed, Deadline, Entry, Item, Key, Lane, Memory, Page, Prefix,
    ReadError, RecordStore, Watch, between,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::house::House;
use super::place::Place;

/// A store, memory if nothing is said, taken for one that processes of several machines may write.
#[derive(Debug)]
pub(crate) struct Hooked {
    inner: Arc<dyn RecordStore>,
    /// No watch ever rings.
    pub(super) is_deaf: AtomicBool,
    /// Commits are refused.
    pub(crate) is_full: AtomicBool,
    /// The next commit is told that the store is closed, once.
    pub(super) is_away: AtomicBool,
    /// Removed before records are read next.
    pub(super) vanishing: Mutex<Option<Key>>,
    /// Removed before the next commit: it was read before, and is gone when that is written.
    pub(super) vanishing_at_commit: Mutex<Option<Key>>,
    /// The record whose next reads but so many get no answer, once.
    pub(crate) failing: Mutex<Option<(Key, usize)>>,
    /// The kind of which the next record that is read gets no answer, once.
    pub(crate) failing_kind: Mutex<Option<&'static str>>,
    /// The record whose reads are counted, and how many there were.
    pub(super) counted: Mutex<Option<(Key, usize)>>,
    /// The kind of which every record that is read is noted, and which were.
    noted: Mutex<Option<(&'static str, Vec<Key>)>>,
    /// Done after the next read of a record of this kind, before it is answered.
    pub(super) after_read: Mutex<Option<(&'static str, Others)>>,
    /// Done before the next commit: another's, between what was read for this one and its writing.
    /// After so many other commits, that is.
    pub(super) before_commit: Mutex<Option<(usize, Others)>>,
}

/// A house over the store of this place, in whose way tests stand; taken for one that others may write too.
pub(super) async fn hooked(place: &Place) -> (Arc<Hooked>, House) {
    let store = Hooked::over(place.open().await);
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    (store, house)
}

/// What others do meanwhile.
pub(super) struct Others(BoxFuture<'static, ()>);

impl fmt::Debug for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Others")
    }
}

impl Hooked {
    pub(crate) fn new() -> Arc<Self> {
        Self::over(Arc::new(Memory::new(Timestamp::UNIX_EPOCH)))
    }

    /// The same over any store.
    pub(crate) fn over(inner: Arc<dyn RecordStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            is_deaf: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            is_away: AtomicBool::new(false),
            vanishing: Mutex::new(None),
            vanishing_at_commit: Mutex::new(None),
            failing: Mutex::new(None),
            failing_kind: Mutex::new(None),
            counted: Mutex::new(None),
            noted: Mutex::new(None),
            after_read: Mutex::new(None),
            before_commit: Mutex::new(None),
        })
    }

    /// Before the next commit, this is done.
    pub(super) fn before_commit(&self, others: impl Future<Output = ()> + Send + 'static) {
        self.before_nth_commit(0, others);
    }

    /// The same, after so many commits that go on as they are.
    pub(crate) fn before_nth_commit(&self, nth: usize, others: impl Future<Output = ()> + Send + 'static) {
        *self.before_commit.lock().unwrap() = Some((nth, Others(others.boxed())));
    }

    /// Whether what was to be done before a commit, or after a read, was done; it is done no more.
    pub(crate) fn was_met(&self) -> bool {
        let (commit, read) = (
            self.before_commit.lock().unwrap().take(),
            self.after_read.lock().unwrap().take(),
        );
        commit.is_none() && read.is_none()
    }

    /// After the next read of a record of this kind, and before its answer, this is done.
    pub(crate) fn after_read(&self, kind: &'static str, others: impl Future<Output = ()> + Send + 'static) {
        *self.after_read.lock().unwrap() = Some((kind, Others(others.boxed())));
    }

    /// Notes from now on which records of this kind are read.
    pub(super) fn note(&self, kind: &'static str) {
        *self.noted.lock().unwrap() = Some((kind, Vec::new()));
    }

    /// Which were.
    pub(super) fn noted(&self) -> Vec<Key> {
        self.noted.lock().unwrap().take().unwrap().1
    }

    /// Counts the reads of this record from now on.
    pub(super) fn count(&self, key: Key) {
        *self.counted.lock().unwrap() = Some((key, 0));
    }

    /// How many there were.
    pub(super) fn reads(&self) -> usize {
        self.counted.lock().unwrap().as_ref().unwrap().1
    }

    /// The key of the record of this kind and id.
    pub(crate) async fn key_of(&self, kind: &str, id: &impl ToString) -> Key {
        let id = id.to_string();
        let listed = self.inner.list(&Page::of(Prefix::root())).await.unwrap();
        let is_its = |item: Item| match item {
            Item::Entry(entry) => {
                let is_it = entry.kind.as_str() == kind && entry.key.to_string().ends_with(&id);
                is_it.then_some(entry.key)
            }
            other => panic!("{other:?}"),
        };
        listed.items.into_iter().find_map(is_its).unwrap()
    }

    /// Whether this read is the one that gets no answer.
    fn fails(&self, key: &Key) -> bool {
        let failing = &mut *self.failing_kind.lock().unwrap();
        if failing.take_if(|kind| is_of(key, kind)).is_some() {
            return true;
        }
        let mut failing = self.failing.lock().unwrap();
        match &mut *failing {
            Some((failing, more @ 1..)) if failing == key => {
                *more -= 1;
                false
            }
            Some((of, 0)) if of == key => {
                *failing = None;
                true
            }
            _ => false,
        }
    }

    fn note_read(&self, key: &Key) {
        if let Some((counted, reads)) = &mut *self.counted.lock().unwrap() {
            *reads += usize::from(counted == key);
        }
        self.note_many(key);
    }

    /// A read among many is noted, and counted nowhere.
    fn note_many(&self, key: &Key) {
        if let Some((kind, noted)) = &mut *self.noted.lock().unwrap()
            && is_of(key, kind)
        {
            noted.push(key.clone());
        }
    }

    async fn vanish(&self, vanishing: &Mutex<Option<Key>>) {
        let Some(key) = vanishing.lock().unwrap().take() else {
            return;
        };
        let entry = self.inner.get(&key).await.unwrap().unwrap();
        let mut batch = Batch::new(Lane::System);
        batch.delete(key, entry.version);
        let deadline = Deadline::after(std::time::Duration::from_secs(1));
        self.inner.commit(batch, deadline).await.unwrap();
    }
}

/// Whether a key is that of a row of this kind.
fn is_of(key: &Key, kind: &str) -> bool {
    key.to_string().contains(&format!("/r/{kind}/"))
}

impl fmt::Display for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Between for Hooked {
    fn beneath(&self) -> &dyn RecordStore {
        &*self.inner
    }

    fn capabilities(&self, at: &Prefix) -> Capabilities {
        Capabilities {
            reach: Reach::Cluster,
            ..self.inner.capabilities(at)
        }
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        self.note_read(key);
        if self.fails(key) {
            let (reason, source) = ("hooked", None);
            return Err(ReadError::Unavailable { reason, source });
        }
        let read = self.inner.get(key).await;
        let others = self
            .after_read
            .lock()
            .unwrap()
            .take_if(|(kind, _)| is_of(key, kind));
        if let Some((_, Others(others))) = others {
            others.await;
        }
        read
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        self.vanish(&self.vanishing).await;
        keys.iter().for_each(|key| self.note_many(key));
        self.inner.get_many(keys).await
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(CommitError::TooLarge { limit: "hooked" });
        }
        if self.is_away.swap(false, Ordering::SeqCst) {
            return Err(CommitError::Closed { reason: "hooked" });
        }
        self.vanish(&self.vanishing_at_commit).await;
        let others = {
            let mut before = self.before_commit.lock().unwrap();
            match &mut *before {
                Some((more @ 1.., _)) => {
                    *more -= 1;
                    None
                }
                Some((0, _)) | None => before.take(),
            }
        };
        if let Some((_, Others(others))) = others {
            others.await;
        }
        self.inner.commit(batch, deadline).await
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        if self.is_deaf.load(Ordering::SeqCst) {
            return self.inner.watch(&Prefix::parse("nowhere").unwrap()).await;
        }
        self.inner.watch(prefix).await
    }
}

between!(Hooked);
