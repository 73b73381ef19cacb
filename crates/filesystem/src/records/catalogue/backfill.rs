//! Giving rows that were there before the entries of a new index, and taking those of a dropped one away.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::{INDEX_KIND, RecordError, Records};
use super::kind::Kind;
use super::row::{BackfillCursor, CatalogueRow, CursorId, IndexState, ListedIndex, ListedScope};
use super::walk::{self, Rows};
use super::{BACKFILL_ROWS, known};
use crate::namespace::{Namespace, System, fixed};
use crate::{
    CommitError, Entry, Expected, GET_MANY_MAX, Item, Key, Lane, ReadError, RecordStore, Segment, Version,
    Want,
};

/// What one step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// This many rows were looked at, and the cursor stands behind them.
    Rows(u64),
    /// Every row has its entries, or none is left: the catalogue says so.
    Done,
}

/// The work on one index.
pub(super) struct Work<'a> {
    pub(super) system: &'a Namespace<System>,
    pub(super) kind: &'a Kind,
    pub(super) index: ListedIndex,
}

impl Work<'_> {
    fn store(&self) -> &dyn RecordStore {
        self.system.backend()
    }

    fn rows(&self) -> Records<CatalogueRow> {
        Records::new(self.system)
    }

    fn id(&self) -> Segment {
        Segment::parse(self.kind.name().as_str()).expect("a kind is a segment")
    }

    /// One commit of the work.
    pub(super) async fn step(&self) -> Result<Step, RecordError> {
        match self.index.state {
            IndexState::Building => self.fill().await,
            IndexState::Dropping => self.drop_entries().await,
            IndexState::Ready => Ok(Step::Done),
        }
    }

    /// A page of rows whose entries are written where they lack. Where rows change meanwhile it is done again, smaller.
    async fn fill(&self) -> Result<Step, RecordError> {
        let mut limit = BACKFILL_ROWS;
        // Ends with a commit, or an error; a page of one row that changes each time goes on being read.
        loop {
            match self.fill_page(limit).await {
                Err(RecordError::Commit(CommitError::Conflict { .. } | CommitError::TooLarge { .. })) => {
                    limit = (limit / 2).max(1);
                    tokio::task::yield_now().await;
                }
                other => return other,
            }
        }
    }

    async fn fill_page(&self, limit: usize) -> Result<Step, RecordError> {
        let cursors = Records::<BackfillCursor>::new(self.system);
        let digest = Segment::parse(&self.index.digest).expect("a digest is a segment");
        let id = CursorId(self.id(), digest);
        let read = cursors.get(&id).await?;
        let after = match &read {
            Some(cursor) => Some(Key::from_stored(&cursor.after).map_err(|_| ReadError::Corrupt {
                key: known::key_of(&self.kind.name()),
            })?),
            None => None,
        };
        let kind = self.kind.name();
        let page = walk::next(
            self.store(),
            self.kind,
            &["r", kind.as_str()],
            after.as_ref(),
            Want::Entries,
            limit,
        )
        .await?;
        let Some(page) = page else {
            self.finish().await?;
            return Ok(Step::Done);
        };
        let looked = page.items.len() as u64;
        let last = page.items.last().expect("a page has items").key().clone();
        let mut batch = self.system.batch();
        let cursor = BackfillCursor {
            of: id,
            after: last.stored().to_owned(),
            rows: read.as_ref().map_or(0, |cursor| cursor.rows) + looked,
        };
        match &read {
            Some(read) => cursors.stage_replace(&mut batch, read, &cursor).await?,
            None => cursors.stage_create(&mut batch, &cursor)?,
        }
        let mut batch = batch.into_batch(self.system.root())?;
        batch.lane = Lane::System;
        for (row, version, keys) in self.lacking(&page).await? {
            batch.check(row, Expected::At(version));
            for key in keys {
                batch.put(key, Expected::Absent, INDEX_KIND, Bytes::new());
            }
        }
        if let Some((key, version)) = self.system.combiner().known().guard(&kind) {
            batch.check(key, Expected::At(version));
        }
        self.store().commit(batch, self.system.deadline()).await?;
        Ok(Step::Rows(looked))
    }

    /// The rows of a page that lack entries, and which. Rows that cannot be believed have none.
    async fn lacking(&self, page: &Rows) -> Result<Vec<(Key, Version, Vec<Key>)>, RecordError> {
        let mut wanted: Vec<(&Entry, Vec<Key>)> = Vec::new();
        for item in &page.items {
            let Item::Entry(entry) = item else { continue };
            let name = self.index.name.as_str();
            if let Ok(keys) = self.kind.entries(entry, &page.root, name, self.index.scope) {
                wanted.push((entry, keys));
            }
        }
        let keys: Vec<Key> = wanted.iter().flat_map(|(_, keys)| keys.clone()).collect();
        let mut is_there = BTreeMap::new();
        for part in keys.chunks(GET_MANY_MAX) {
            let found = self.store().get_many(part).await?;
            is_there.extend(
                part.iter()
                    .cloned()
                    .zip(found.into_iter().map(|entry| entry.is_some())),
            );
        }
        let lacking = wanted.into_iter().filter_map(|(entry, keys)| {
            let lacks = |key: &Key| is_there.get(key) == Some(&false);
            let keys: Vec<Key> = keys.into_iter().filter(lacks).collect();
            (!keys.is_empty()).then(|| (entry.key.clone(), entry.version, keys))
        });
        Ok(lacking.collect())
    }

    async fn drop_entries(&self) -> Result<Step, RecordError> {
        let kind = self.kind.name();
        let names = ["i", kind.as_str(), self.index.name.as_str()];
        let items = match self.index.scope {
            ListedScope::Own => {
                let page = walk::next(self.store(), self.kind, &names, None, Want::Keys, BACKFILL_ROWS);
                page.await?.map(|page| page.items).unwrap_or_default()
            }
            ListedScope::System => {
                let page = crate::Page {
                    want: Want::Keys,
                    limit: BACKFILL_ROWS,
                    ..crate::Page::of(fixed(&["s", names[0], names[1], names[2]]))
                };
                self.store().list(&page).await?.items
            }
        };
        if items.is_empty() {
            self.finish().await?;
            return Ok(Step::Done);
        }
        let mut batch = crate::Batch::new(Lane::System);
        for item in &items {
            if let Item::Key { key, version } = item {
                batch.delete(key.clone(), *version);
            }
        }
        match self.store().commit(batch, self.system.deadline()).await {
            // An older process removed some of them with their rows.
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(Step::Rows(items.len() as u64)),
            Err(error) => Err(error.into()),
        }
    }

    /// Says in the catalogue that the work is done.
    async fn finish(&self) -> Result<(), RecordError> {
        let rows = self.rows();
        let Some(read) = rows.get(&self.id()).await? else {
            return Ok(());
        };
        let mut row = read.clone().into_inner();
        match self.index.state {
            IndexState::Building => {
                for index in &mut row.indexes {
                    if index.digest == self.index.digest && index.state == IndexState::Building {
                        index.state = IndexState::Ready;
                    }
                }
            }
            IndexState::Dropping => row
                .indexes
                .retain(|index| index.digest != self.index.digest || index.state != IndexState::Dropping),
            IndexState::Ready => {}
        }
        let mut batch = self.system.batch();
        rows.stage_replace(&mut batch, &read, &row).await?;
        let digest = Segment::parse(&self.index.digest).expect("a digest is a segment");
        let cursors = Records::<BackfillCursor>::new(self.system);
        if let Some(cursor) = cursors.get(&CursorId(self.id(), digest)).await? {
            cursors.stage_remove(&mut batch, &cursor).await?;
        }
        match self.system.commit(batch).await {
            // Another process was first, or goes on with something else: the catalogue is read again either way.
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
