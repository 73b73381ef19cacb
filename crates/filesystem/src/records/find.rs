//! Finding records by an index: one page at a time, by keyset.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use super::{
    IndexScope, IndexState, IndexValue, Indexes, Issue, Record, RecordError, RecordId, Records, Versioned,
    index,
};
use crate::{GET_MANY_MAX, Key, Listed, Order, PAGE_MAX, Page, Prefix, ReadError, RecordStore, Store, Want};

/// A question to one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<I: Indexes> {
    pub(super) index: I,
    pub(super) equals: Vec<IndexValue>,
    pub(super) from: Option<IndexValue>,
    pub(super) to: Option<IndexValue>,
    pub(super) order: Order,
    pub(super) after: Option<Cursor>,
    pub(super) limit: usize,
}

impl<I: Indexes> Query<I> {
    /// Everything the index holds, ascending, 100 a page.
    #[must_use]
    pub fn of(index: I) -> Self {
        Self {
            index,
            equals: Vec::new(),
            from: None,
            to: None,
            order: Order::Up,
            after: None,
            limit: 100,
        }
    }

    /// Only entries whose first values are these.
    #[must_use]
    pub fn equals(mut self, values: impl IntoIterator<Item = IndexValue>) -> Self {
        self.equals = values.into_iter().collect();
        self
    }

    /// Only entries whose next value is `from` or more, and below `to`.
    #[must_use]
    pub fn range(mut self, from: Option<IndexValue>, to: Option<IndexValue>) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    /// Which way.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Strictly behind this cursor of the same query.
    #[must_use]
    pub fn after(mut self, cursor: Option<Cursor>) -> Self {
        self.after = cursor;
        self
    }

    /// 1 to [`PAGE_MAX`] rows.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// What a cursor is bound to: everything but where it stands and how much is asked.
    fn digest(&self, prefix: &Prefix) -> [u8; 8] {
        let text = format!(
            "{}|{:?}|{:?}|{:?}|{:?}",
            prefix.stored(),
            self.equals,
            self.from,
            self.to,
            self.order
        );
        Sha256::digest(text)[..8]
            .try_into()
            .expect("a digest has more than 8 bytes")
    }

    /// The page of index keys that it asks for, the place below which they lie, and what a cursor is bound to.
    fn page(&self, prefix: &Prefix) -> Result<(Page, Prefix, [u8; 8]), RecordError> {
        if !(1..=PAGE_MAX).contains(&self.limit) {
            return Err(ReadError::Invalid {
                reason: "a page has 1 to 1000 items",
            }
            .into());
        }
        let digest = self.digest(prefix);
        let below = self
            .equals
            .iter()
            .try_fold(prefix.clone(), |p, value| p.child(value.as_segment()));
        let below = below.map_err(|_| ReadError::Invalid {
            reason: "the query names too many values",
        })?;
        let after = match &self.after {
            Some(cursor) => Some(cursor.key(digest)?),
            None => self.bound(&below, self.start())?,
        };
        let page = Page {
            prefix: below.clone(),
            after,
            order: self.order,
            want: Want::Keys,
            limit: self.limit,
        };
        Ok((page, below, digest))
    }

    /// One page of index keys below `prefix`, within the range.
    pub(super) async fn keys(
        &self,
        store: &dyn RecordStore,
        prefix: &Prefix,
    ) -> Result<(Vec<Key>, Option<Cursor>), RecordError> {
        let (page, below, digest) = self.page(prefix)?;
        let listed = store.list(&page).await?;
        let end = self.bound(&below, self.end())?;
        Ok(self.cut(listed, end.as_ref(), digest))
    }

    /// No entry has the bound itself as its key, since an entry goes on with its id. So `after` the lower bound
    /// begins at it going up, and `after` the upper bound ends before it going down.
    fn start(&self) -> Option<&IndexValue> {
        match self.order {
            Order::Up => self.from.as_ref(),
            Order::Down => self.to.as_ref(),
        }
    }

    fn end(&self) -> Option<&IndexValue> {
        match self.order {
            Order::Up => self.to.as_ref(),
            Order::Down => self.from.as_ref(),
        }
    }

    fn bound(&self, below: &Prefix, value: Option<&IndexValue>) -> Result<Option<Key>, RecordError> {
        let key = value.map(|value| below.key([value.as_segment()])).transpose();
        key.map_err(|_| {
            ReadError::Invalid {
                reason: "the query names too many values",
            }
            .into()
        })
    }

    fn cut(&self, listed: Listed, end: Option<&Key>, digest: [u8; 8]) -> (Vec<Key>, Option<Cursor>) {
        let within = |key: &Key| match self.order {
            Order::Up => end.is_none_or(|end| key < end),
            Order::Down => end.is_none_or(|end| key > end),
        };
        let read = listed.items.len();
        let keys: Vec<Key> = listed
            .items
            .iter()
            .map(|item| item.key().clone())
            .take_while(within)
            .collect();
        let next = if keys.len() == read { listed.next } else { None };
        (keys, next.map(|key| Cursor::new(digest, &key)))
    }
}

/// Where a page ended: opaque text, bound to its query. It never expires, and its row may be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    fn new(digest: [u8; 8], key: &Key) -> Self {
        Self(BASE64URL_NOPAD.encode(&[&digest[..], key.stored().as_bytes()].concat()))
    }

    /// A cursor that came back from a caller; whether it fits is judged by the query.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    fn key(&self, digest: [u8; 8]) -> Result<Key, RecordError> {
        let bytes = BASE64URL_NOPAD
            .decode(self.0.as_bytes())
            .map_err(|_| RecordError::CursorScope)?;
        let key = bytes
            .strip_prefix(&digest[..])
            .and_then(|rest| std::str::from_utf8(rest).ok());
        key.and_then(|stored| Key::from_stored(stored).ok())
            .ok_or(RecordError::CursorScope)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One page of what a query found.
#[derive(Debug, Clone)]
pub struct Found<R> {
    /// In the query's order. A row gone since the index was read is left out.
    pub rows: Vec<Versioned<R>>,
    /// For the next page; none only at the end.
    pub next: Option<Cursor>,
    /// Rows that cannot be believed, left out and untouched.
    pub issues: Vec<Issue>,
}

/// The id at the end of an index key that begins with `prefix` and `values` values.
pub(super) fn tail_of<'k>(key: &'k Key, prefix: &Prefix) -> Vec<&'k str> {
    key.segments().skip(prefix.segments().count()).collect()
}

impl<R: Record> Records<R> {
    /// The page of index keys that a query asks for.
    pub(crate) fn page_of(&self, query: &Query<R::Index>) -> Result<Page, RecordError> {
        let prefix = index::prefix_in::<R>(query.index, IndexScope::Own, self.namespace().root())?;
        Ok(query.page(&prefix)?.0)
    }

    /// One page of the records an index of their own namespace finds.
    ///
    /// # Errors
    /// `NoIndex` for one declared in system scope, `IndexBuilding` while rows may lack their entries, `CursorScope` for another query's cursor, `Read` as any list.
    pub async fn find(&self, query: &Query<R::Index>) -> Result<Found<R>, RecordError> {
        let prefix = index::prefix_in::<R>(query.index, IndexScope::Own, self.namespace().root())?;
        self.is_built(query.index).await?;
        let (keys, next) = query.keys(self.namespace().backend(), &prefix).await?;
        let mut found = Found {
            rows: Vec::with_capacity(keys.len()),
            next,
            issues: Vec::new(),
        };
        for part in keys.chunks(GET_MANY_MAX) {
            self.add(&mut found, part, &prefix).await?;
        }
        Ok(found)
    }

    async fn is_built(&self, index: R::Index) -> Result<(), RecordError> {
        is_built::<R>(self.namespace().combiner(), index).await
    }

    /// Some rows of a page: left out when they went or moved since, an issue when they cannot be believed.
    async fn add(&self, found: &mut Found<R>, keys: &[Key], prefix: &Prefix) -> Result<(), RecordError> {
        let (mut named, mut ids) = (Vec::new(), Vec::new());
        for key in keys {
            match id_of::<R>(&tail_of(key, prefix)) {
                Some(id) => (named.push(key), ids.push(id)).1,
                None => found.issues.push(unnamed::<R>(key)),
            }
        }
        let rows = match self.get_each(&ids).await {
            // One damaged row must not hide its neighbours: they are read one by one.
            Err(RecordError::Read(ReadError::Corrupt { .. })) => self.get_alone(&ids).await,
            other => other?,
        };
        for (row, key) in rows.into_iter().zip(named) {
            match row {
                Ok(Some(row)) if self.is_found_by(&row, key) => found.rows.push(row),
                Ok(_) => {}
                Err(other) => found.issues.push(issue_of::<R>(other)?),
            }
        }
        Ok(())
    }

    async fn get_alone(&self, ids: &[R::Id]) -> Vec<RowRead<R>> {
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            rows.push(self.get(id).await);
        }
        rows
    }

    fn is_found_by(&self, row: &Versioned<R>, key: &Key) -> bool {
        row.index_entries()
            .iter()
            .any(|entry| index::key_of::<R>(self.namespace(), entry, &row.id()).is_ok_and(|k| k == *key))
    }
}

/// Refuses to read an index that is being built: what is missing there is not missing.
pub(super) async fn is_built<R: Record>(store: &Store, index: R::Index) -> Result<(), RecordError> {
    let (known, kind, scope) = (store.known(), R::KIND, index.scope().into());
    if known.state(&kind, index.name(), scope) != Some(IndexState::Building) {
        return Ok(());
    }
    // Another process may have built it since.
    if let Some((key, _)) = known.guard(&kind) {
        known.refresh(&**store, &key).await?;
    }
    match known.state(&kind, index.name(), scope) {
        Some(IndexState::Building) => Err(RecordError::IndexBuilding {
            kind,
            index: index.name(),
        }),
        Some(IndexState::Ready | IndexState::Dropping) | None => Ok(()),
    }
}

type RowRead<R> = Result<Option<Versioned<R>>, RecordError>;

fn unnamed<R: Record>(key: &Key) -> Issue {
    let cause = "the index entry names no id".to_owned();
    Issue {
        kind: R::KIND,
        id: key.to_string(),
        field: "id".to_owned(),
        cause,
        key: None,
    }
}

/// What is wrong with one row, which must not hide its neighbours; any other error is of the whole page.
pub(super) fn issue_of<R: Record>(error: RecordError) -> Result<Issue, RecordError> {
    let of = |id: String, field: &str, cause: &str, key: Option<Key>| Issue {
        kind: R::KIND,
        id,
        field: field.to_owned(),
        cause: cause.to_owned(),
        key,
    };
    match error {
        RecordError::Invalid(issue) => Ok(issue),
        RecordError::Misplaced { id, key, .. } => {
            Ok(of(id, "record", "holds the record of another place", Some(key)))
        }
        RecordError::TooNew { id, found, known, .. } => {
            let cause = format!("has schema {found}, this build knows up to {known}; upgrade dormouse");
            Ok(of(id, "schema", &cause, None))
        }
        RecordError::UnknownKind { id, found, .. } => {
            let cause =
                format!("is stored as {found}, which this build does not know there; upgrade dormouse");
            Ok(of(id, "kind", &cause, None))
        }
        RecordError::Read(ReadError::Corrupt { key }) => Ok(damaged::<R>(&key)),
        other => Err(other),
    }
}

fn damaged<R: Record>(key: &Key) -> Issue {
    let cause = "the bytes are damaged".to_owned();
    Issue {
        kind: R::KIND,
        id: key.to_string(),
        field: "record".to_owned(),
        cause,
        key: None,
    }
}

/// Ids have a fixed number of segments per type, but values come before them: the longest suffix that reads back wins.
pub(super) fn id_of<R: Record>(tail: &[&str]) -> Option<R::Id> {
    (0..tail.len()).find_map(|from| R::Id::from_segments(&tail[from..]))
}
