//! Reading the records whose ids begin alike: one range of keys, without an index.

use super::find::issue_of;
use super::{Issue, Record, RecordError, RecordId, Records, Versioned, stored};
use crate::{Item, Page, Segment};

/// One page of the records of a range.
#[derive(Debug, Clone)]
pub struct Ranged<R: Record> {
    /// In the order of their ids.
    pub rows: Vec<Versioned<R>>,
    /// What to give as `after` for the next page; none only at the end.
    pub next: Option<R::Id>,
    /// Rows that cannot be believed, left out and untouched; the id is the key's end.
    pub issues: Vec<Issue>,
}

impl<R: Record> Records<R> {
    /// One page of the records whose ids begin with these segments, all of them for none: one read of the store.
    ///
    /// The page ends after `limit` rows, or earlier where a page of the store does.
    ///
    /// # Errors
    /// `Read(Invalid)` for a limit that is not 1 to [`PAGE_MAX`](crate::PAGE_MAX); `Invalid` for segments that are too
    /// deep; as any list.
    pub async fn range(
        &self,
        first: &[Segment],
        after: Option<&R::Id>,
        limit: usize,
    ) -> Result<Ranged<R>, RecordError> {
        let prefix = first
            .iter()
            .try_fold(self.rows.clone(), |prefix, segment| prefix.child(segment));
        let prefix = prefix.map_err(|cause| RecordError::invalid::<R>("range", "id", &cause.to_string()))?;
        let page = Page {
            after: after.map(|id| self.row(id)).transpose()?,
            limit,
            ..Page::of(prefix)
        };
        let listed = self.namespace.backend().list(&page).await?;
        let mut ranged = Ranged {
            rows: Vec::with_capacity(listed.items.len()),
            next: listed.next.as_ref().and_then(|key| self.id_in(key)),
            issues: Vec::new(),
        };
        for item in listed.items {
            match self.of_item(item) {
                Ok(row) => ranged.rows.push(row),
                Err(error) => ranged.issues.push(issue_of::<R>(error)?),
            }
        }
        Ok(ranged)
    }

    fn of_item(&self, item: Item) -> Result<Versioned<R>, RecordError> {
        let tail = |key: &crate::Key| {
            let segments: Vec<&str> = key.segments().skip(self.rows.segments().count()).collect();
            segments.join("/")
        };
        match item {
            Item::Entry(entry) => match self.id_in(&entry.key) {
                Some(id) => stored::decode(&entry, &id, self.owner.as_deref()),
                None => Err(RecordError::invalid::<R>(
                    &tail(&entry.key),
                    "id",
                    "the key names no id",
                )),
            },
            Item::Key { key, .. } | Item::Corrupt { key } => Err(RecordError::invalid::<R>(
                &tail(&key),
                "record",
                "the bytes are damaged",
            )),
        }
    }

    fn id_in(&self, key: &crate::Key) -> Option<R::Id> {
        let segments: Vec<&str> = key.segments().skip(self.rows.segments().count()).collect();
        R::Id::from_segments(&segments)
    }
}
