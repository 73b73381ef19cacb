//! Reading ahead: what a command is going to ask for one by one, asked together and at once.
//!
//! A command reads rows that tell it what to read next, but most of what it reads is known from the start. Each trip to a
//! store waits for a thread or a server; so the trips are made together, and the command finds what they brought.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::future::try_join;
use futures::stream::BoxStream;

use crate::{
    Batch, Capabilities, CloseError, CommitError, Committed, Deadline, Entry, Exported, GET_MANY_MAX, Health,
    Key, LIST_MANY_MAX, Listed, LogError, LogHead, Logged, Namespace, Page, Position, Prefix, Query,
    ReadError, Record, RecordStore, Records, Scope, Stream, Watch,
};

/// What is going to be asked of a namespace.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::sync::Arc;
/// # use dormouse_filesystem::{Ahead, Class, IndexEntry, Memory, Namespace, NoIndexes, Opener, Record, RecordKind, Records, Requirements, Segment, System};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// # struct Note { id: Segment }
/// # impl Record for Note {
/// #     const KIND: RecordKind = RecordKind::of("note");
/// #     const SCHEMA: u32 = 1;
/// #     const CLASS: Class = Class::Advisory;
/// #     type Id = Segment;
/// #     type Scope = System;
/// #     type Index = NoIndexes;
/// #     fn id(&self) -> Segment { self.id.clone() }
/// #     fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> { Vec::new() }
/// # }
/// # let now = jiff::Timestamp::UNIX_EPOCH;
/// # let need = Requirements::default();
/// # let space = Namespace::open(Arc::new(Memory::new(now)), &need, Opener::at(now, 1)).await?;
/// let (one, two) = (Segment::parse("one")?, Segment::parse("two")?);
/// let ahead = Ahead::of(&space).record::<Note>(&one).record::<Note>(&two);
/// let notes = Records::<Note>::new(&ahead.read().await?);
/// // One trip for both.
/// assert!(notes.get(&one).await?.is_none() && notes.get(&two).await?.is_none());
/// # Ok(())
/// # }
/// ```
pub struct Ahead<S: Scope> {
    space: Namespace<S>,
    keys: Vec<Key>,
    pages: Vec<Page>,
}

impl<S: Scope> fmt::Debug for Ahead<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Ahead({}, {} records, {} pages)",
            self.space.root(),
            self.keys.len(),
            self.pages.len()
        )
    }
}

impl<S: Scope> Ahead<S> {
    /// Nothing yet.
    #[must_use]
    pub fn of(space: &Namespace<S>) -> Self {
        Self {
            space: space.clone(),
            keys: Vec::new(),
            pages: Vec::new(),
        }
    }

    /// A record. More than [`GET_MANY_MAX`] are left to be asked for one by one.
    #[must_use]
    pub fn record<R: Record<Scope = S>>(mut self, id: &R::Id) -> Self {
        // What cannot be asked is said to who asks.
        if let Ok(key) = Records::<R>::new(&self.space).row(id) {
            self.key(key);
        }
        self
    }

    fn key(&mut self, key: Key) {
        if self.keys.len() < GET_MANY_MAX {
            self.keys.push(key);
        }
    }

    /// The entries of these indexes that a record has as it is known: whoever replaces or removes it asks for those that
    /// it has no more.
    #[must_use]
    pub fn entries<R: Record<Scope = S>>(mut self, record: &R, indexes: &[R::Index]) -> Self {
        let rows = Records::<R>::new(&self.space);
        // What cannot be asked is said to who asks.
        for key in rows.keys_of(record, indexes).unwrap_or_default() {
            self.key(key);
        }
        self
    }

    /// Which records an index finds, without what they say: worth it where most often there are none. More than
    /// [`LIST_MANY_MAX`] are left to be asked for one by one.
    #[must_use]
    pub fn found<R: Record<Scope = S>>(mut self, query: &Query<R::Index>) -> Self {
        let page = Records::<R>::new(&self.space).page_of(query);
        if let (Ok(page), true) = (page, self.pages.len() < LIST_MANY_MAX) {
            self.pages.push(page);
        }
        self
    }

    /// Asks. In the namespace that is returned the first who asks for something of it has the answer at once, as it was
    /// now; all else is asked of the store, and writes go there.
    ///
    /// # Errors
    /// As any read.
    pub async fn read(self) -> Result<Namespace<S>, ReadError> {
        let store = Arc::clone(self.space.combiner().underneath());
        let entries = async {
            match self.keys.is_empty() {
                true => Ok(Vec::new()),
                false => store.get_many(&self.keys).await,
            }
        };
        let listed = async {
            match self.pages.is_empty() {
                true => Ok(Vec::new()),
                false => store.list_many(&self.pages).await,
            }
        };
        let (entries, listed) = try_join(entries, listed).await?;
        let known = Known {
            entries: self.keys.into_iter().zip(entries).collect(),
            pages: self.pages.into_iter().zip(listed).collect(),
        };
        let read = Read {
            store,
            known: Mutex::new(known),
        };
        Ok(self.space.over(Arc::new(read)))
    }
}

#[derive(Debug)]
struct Known {
    entries: HashMap<Key, Option<Entry>>,
    pages: Vec<(Page, Listed)>,
}

/// A store of which some is known already. Each answer is given once: who asks again wants to know how it is then.
#[derive(Debug)]
struct Read {
    store: Arc<dyn RecordStore>,
    known: Mutex<Known>,
}

impl Read {
    fn entry(&self, key: &Key) -> Option<Option<Entry>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entries.remove(key)
    }

    fn page(&self, page: &Page) -> Option<Listed> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let at = known.pages.iter().position(|(asked, _)| asked == page)?;
        Some(known.pages.swap_remove(at).1)
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.store)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RecordStore for Read {
    fn capabilities(&self, at: &Prefix) -> Capabilities {
        self.store.capabilities(at)
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        match self.entry(key) {
            Some(entry) => Ok(entry),
            None => self.store.get(key).await,
        }
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
        let mut entries: Vec<Option<Option<Entry>>> = keys.iter().map(|key| self.entry(key)).collect();
        let left = keys.iter().zip(&entries).filter(|(_, entry)| entry.is_none());
        let left: Vec<Key> = left.map(|(key, _)| key.clone()).collect();
        if !left.is_empty() {
            let read = self.store.get_many(&left).await?;
            let unknown = entries.iter_mut().filter(|entry| entry.is_none());
            unknown.zip(read).for_each(|(entry, read)| *entry = Some(read));
        }
        Ok(entries.into_iter().map(Option::flatten).collect())
    }

    async fn list(&self, page: &Page) -> Result<Listed, ReadError> {
        match self.page(page) {
            Some(listed) => Ok(listed),
            None => self.store.list(page).await,
        }
    }

    async fn list_many(&self, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
        self.store.list_many(pages).await
    }

    async fn commit(&self, batch: Batch, deadline: Deadline) -> Result<Committed, CommitError> {
        self.store.commit(batch, deadline).await
    }

    async fn tail(&self, log: &Stream, after: Position, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.store.tail(log, after, limit).await
    }

    async fn head(&self, log: &Stream) -> Result<LogHead, LogError> {
        self.store.head(log).await
    }

    async fn heads(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, LogError> {
        self.store.heads(under, after, limit).await
    }

    async fn truncate(&self, log: &Stream, before: Position) -> Result<Position, LogError> {
        self.store.truncate(log, before).await
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, ReadError> {
        self.store.watch(prefix).await
    }

    fn export(&self, prefix: &Prefix) -> BoxStream<'static, Result<Exported, ReadError>> {
        self.store.export(prefix)
    }

    async fn health(&self) -> Health {
        self.store.health().await
    }

    async fn close(&self, deadline: Deadline) -> Result<(), CloseError> {
        self.store.close(deadline).await
    }
}
