//! The catalogue: which indexes each kind has in a store, and how far each is.
//!
//! A build enlists the kinds it writes when it opens a store. From then on each write of such a kind has the version of
//! the kind's row as a precondition. The version is held in memory and read again only when that precondition failed, so
//! a write reads nothing more; and a precondition alone conflicts with no other. A build that adds an index or
//! drops one raises [`Record::INDEX_GENERATION`], and writes the row anew: every build
//! that does not know the index then stops with [`IndexUnknown`](CommitError::IndexUnknown) instead of writing rows
//! without entries. Rows of before get their entries in steps of [`BACKFILL_ROWS`].

mod backfill;
mod guarded;
mod kind;
mod known;
mod row;
mod walk;

use std::fmt;

use tokio_util::sync::CancellationToken;

use self::backfill::{Step, Work};
use self::row::{CatalogueRow, ListedIndex};
use super::{Record, RecordError, Records, Versioned, stored};
use crate::namespace::{Namespace, System, fixed};
use crate::{CommitError, Item, Page, ReadError, RecordKind, RecordStore, Segment, Want};

pub(crate) use self::guarded::Guarded;
pub use self::kind::Kind;
pub(crate) use self::known::Known;
pub use self::row::IndexState;

/// Rows that one commit of a backfill gives their entries: with a check and an entry each they fit a batch.
pub const BACKFILL_ROWS: usize = 500;
/// Rows of a kind that opening waits for; a backfill of more goes on beside traffic.
pub const BACKFILL_OPEN_ROWS: u64 = 10_000;
/// How often two that open a store at once may be in one another's way.
const ENLIST_ATTEMPTS_MAX: usize = 16;

/// The catalogue of a store, with the kinds that this process writes.
#[derive(Debug, Clone)]
pub struct Catalogue {
    system: Namespace<System>,
    kinds: Vec<Kind>,
}

/// How far one index is that is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unready {
    /// The kind it is of.
    pub kind: RecordKind,
    /// Its name.
    pub index: String,
    /// Building or dropping.
    pub state: IndexState,
}

impl Catalogue {
    /// Enlists kinds, and gives indexes that are new their entries, where a kind has up to [`BACKFILL_OPEN_ROWS`] rows.
    /// What is left is for [`build`](Self::build). Enlisting again is harmless.
    ///
    /// # Errors
    /// `Commit(IndexUnknown)` when a newer build wrote a kind's row, or one of the same generation declares other
    /// indexes: upgrade, or raise the generation. Else as any read or commit.
    pub async fn enlist(system: &Namespace<System>, kinds: Vec<Kind>) -> Result<Self, RecordError> {
        let catalogue = Self {
            system: system.clone(),
            kinds,
        };
        let mut lost = 0;
        // Ends when nobody else wrote a row meanwhile, or after ENLIST_ATTEMPTS_MAX.
        loop {
            match catalogue.write_rows().await {
                Ok(()) => break,
                Err(RecordError::Commit(CommitError::Conflict { .. })) if lost < ENLIST_ATTEMPTS_MAX => {
                    lost += 1;
                }
                Err(error) => return Err(error),
            }
        }
        catalogue
            .work(Some(BACKFILL_OPEN_ROWS), &CancellationToken::new())
            .await?;
        Ok(catalogue)
    }

    /// Goes on with what opening did not wait for, until it is done or called off. It may be dropped at any moment, and
    /// goes on from its cursor.
    ///
    /// # Errors
    /// As any read or commit.
    pub async fn build(&self, until: &CancellationToken) -> Result<(), RecordError> {
        self.work(None, until).await
    }

    /// What is not ready, as it is stored.
    ///
    /// # Errors
    /// As any read.
    pub async fn unready(&self) -> Result<Vec<Unready>, RecordError> {
        let names: Vec<Segment> = self.kinds.iter().map(id_of).collect();
        let rows = self.rows().get_many(&names).await?;
        let rows = rows.into_iter().flatten();
        Ok(rows.flat_map(|row| unready_of(&row)).collect())
    }

    /// What is not ready in a store that nobody has opened records in, of every kind it lists; rows that cannot be
    /// believed are left out.
    ///
    /// # Errors
    /// As any list.
    pub async fn unready_in(store: &dyn RecordStore) -> Result<Vec<Unready>, ReadError> {
        let mut page = Page::of(fixed(&["s", "r", CatalogueRow::KIND.as_str()]));
        let mut unready = Vec::new();
        // Ends with the last page.
        loop {
            let listed = store.list(&page).await?;
            for item in listed.items {
                let Item::Entry(entry) = item else { continue };
                let id = entry.key.segments().next_back().map(Segment::parse);
                let Some(Ok(id)) = id else { continue };
                if let Ok(row) = stored::decode::<CatalogueRow>(&entry, &id, None) {
                    unready.extend(unready_of(&row));
                }
            }
            page.after = listed.next;
            if page.after.is_none() {
                return Ok(unready);
            }
        }
    }

    fn rows(&self) -> Records<CatalogueRow> {
        Records::new(&self.system)
    }

    /// One read of all rows, and one commit of those that are missing or older than this build.
    async fn write_rows(&self) -> Result<(), RecordError> {
        let rows = self.rows();
        let names: Vec<Segment> = self.kinds.iter().map(id_of).collect();
        let read = rows.get_many(&names).await?;
        let mut batch = self.system.batch();
        let mut written = Vec::new();
        for (kind, read) in self.kinds.iter().zip(&read) {
            if let Some(row) = self.row_of(kind, read.as_ref()).await? {
                match read {
                    Some(read) => rows.stage_replace(&mut batch, read, &row).await?,
                    None => rows.stage_create(&mut batch, &row)?,
                }
                written.push((kind, row));
            }
        }
        if batch.writes() {
            let committed = self.system.commit(batch).await?;
            for (kind, row) in written {
                let row = rows.written(&row, committed.version)?;
                self.learn(kind, row);
            }
        }
        let unchanged = self
            .kinds
            .iter()
            .zip(read)
            .filter_map(|(kind, read)| Some((kind, read?)));
        for (kind, read) in unchanged {
            if read.is_known_to(kind.generation(), &kind.declared()) {
                self.learn(kind, read);
            }
        }
        Ok(())
    }

    fn learn(&self, kind: &Kind, row: Versioned<CatalogueRow>) {
        let version = row.version();
        self.system
            .combiner()
            .known()
            .learn(kind, version, row.into_inner());
    }

    /// What a kind's row has to become; none when it is so.
    async fn row_of(
        &self,
        kind: &Kind,
        read: Option<&Versioned<CatalogueRow>>,
    ) -> Result<Option<CatalogueRow>, RecordError> {
        let declared = kind.declared();
        let Some(read) = read else {
            let state = self.first_state(kind).await?;
            return Ok(Some(CatalogueRow {
                kind: id_of(kind),
                generation: kind.generation(),
                indexes: declared.iter().map(|own| own.listed(state)).collect(),
            }));
        };
        if read.is_known_to(kind.generation(), &declared) {
            return Ok(None);
        }
        if read.generation >= kind.generation() {
            return Err(CommitError::IndexUnknown { kind: kind.name() }.into());
        }
        let stays = |index: &ListedIndex| declared.iter().find(|own| own.digest == index.digest);
        let mut indexes: Vec<ListedIndex> = Vec::new();
        for index in &read.indexes {
            let state = match (stays(index), index.state) {
                (Some(_), IndexState::Dropping) => IndexState::Building,
                (Some(_), state) => state,
                (None, _) => IndexState::Dropping,
            };
            indexes.push(ListedIndex {
                state,
                ..index.clone()
            });
        }
        for own in &declared {
            if read.indexes.iter().all(|index| index.digest != own.digest) {
                indexes.push(own.listed(IndexState::Building));
            }
        }
        Ok(Some(CatalogueRow {
            kind: id_of(kind),
            generation: kind.generation(),
            indexes,
        }))
    }

    /// Of a store made before there was a catalogue: every build until then wrote the entries of the first generation.
    async fn first_state(&self, kind: &Kind) -> Result<IndexState, RecordError> {
        if kind.generation() == 1 {
            return Ok(IndexState::Ready);
        }
        let name = kind.name();
        let names = ["r", name.as_str()];
        let first = walk::next(self.system.backend(), kind, &names, None, Want::Keys, 1).await?;
        let state = match first {
            None => IndexState::Ready,
            Some(_) => IndexState::Building,
        };
        Ok(state)
    }

    /// Works on what is not ready, up to so many rows of each kind.
    async fn work(&self, rows_max: Option<u64>, until: &CancellationToken) -> Result<(), RecordError> {
        for kind in &self.kinds {
            let mut looked = 0;
            // Ends when all of the kind is ready, or enough was looked at.
            while rows_max.is_none_or(|max| looked <= max) && !until.is_cancelled() {
                let Some(index) = self.next_of(kind) else { break };
                let work = Work {
                    system: &self.system,
                    kind,
                    index,
                };
                match work.step().await? {
                    Step::Rows(rows) => looked += rows,
                    Step::Done => {
                        let known = self.system.combiner().known();
                        let key = known::key_of(&kind.name());
                        known.refresh(self.system.backend(), &key).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The first index of a kind that is not ready, by what is known.
    fn next_of(&self, kind: &Kind) -> Option<ListedIndex> {
        self.system
            .combiner()
            .known()
            .unready(&kind.name())
            .into_iter()
            .next()
    }
}

fn unready_of(row: &CatalogueRow) -> Vec<Unready> {
    let indexes = row.indexes.iter();
    let unready = indexes.filter(|index| index.state != IndexState::Ready);
    unready
        .filter_map(|index| {
            Some(Unready {
                kind: RecordKind::parse(row.kind.as_str())?,
                index: index.name.as_str().to_owned(),
                state: index.state,
            })
        })
        .collect()
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            IndexState::Building => "is being built",
            IndexState::Ready => "is ready",
            IndexState::Dropping => "is being dropped",
        };
        write!(f, "{} of {} {state}", self.index, self.kind)
    }
}

fn id_of(kind: &Kind) -> Segment {
    Segment::parse(kind.name().as_str()).expect("a kind is a segment")
}
