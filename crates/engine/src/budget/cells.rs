//! The rows of one kind in one commit: read once, changed by its commands in order, undone for those that are refused.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_filesystem::{
    Bad, BadStore, Class, Key, ReadError, Record, RecordError, Records, Tenant, Versioned,
};
use futures::future::join_all;

use crate::CommandError;
use crate::bad::{Doubted, is_copied, tell};
use crate::core::Core;
use crate::draft::Draft;

/// One row: as it was read, and as it is by now.
#[derive(Debug)]
struct Cell<R> {
    read: Option<Versioned<R>>,
    now: Option<R>,
    /// Why it cannot be believed.
    trouble: Option<Trouble>,
    /// What is there, where that cannot be believed and is no newer build's. An advisory row makes way for the next.
    bad: Option<Bad>,
}

/// Why a row cannot be believed.
#[derive(Debug)]
struct Trouble {
    why: String,
    /// Where it is.
    key: Option<Key>,
    /// Whether a newer build wrote it, which is no damage.
    is_newer: bool,
}

impl Trouble {
    /// What is wrong with one row; none where the store did not answer.
    fn of(error: &RecordError) -> Option<Self> {
        let is_newer = match error {
            RecordError::Read(ReadError::TooNew { .. })
            | RecordError::TooNew { .. }
            | RecordError::UnknownKind { .. } => true,
            RecordError::Read(ReadError::Corrupt { .. }) => false,
            RecordError::Read(_) => return None,
            _ => false,
        };
        Some(Self {
            why: error.to_string(),
            key: error.bad_key().cloned(),
            is_newer,
        })
    }

    fn error(&self) -> CommandError {
        let (why, key) = (self.why.clone(), self.key.clone());
        if self.is_newer {
            CommandError::TooNew(why.into())
        } else {
            CommandError::Corrupt(Doubted { why, key }.into())
        }
    }
}

impl<R: Record> Cell<R> {
    fn of(read: Result<Option<Versioned<R>>, RecordError>) -> Result<Self, CommandError> {
        let (read, trouble) = match read {
            Ok(read) => (read, None),
            Err(error) => match Trouble::of(&error) {
                Some(trouble) => (None, Some(trouble)),
                None => return Err(error.into()),
            },
        };
        let now = read.as_deref().cloned();
        let bad = None;
        Ok(Self {
            read,
            now,
            trouble,
            bad,
        })
    }

    /// Whether it is there and cannot be believed, which no newer build's row is.
    pub(super) fn is_doubted(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| !trouble.is_newer)
    }

    fn has_changed(&self) -> bool {
        self.trouble.is_none() && self.now.as_ref() != self.read.as_deref()
    }

    fn believed(&self) -> Result<Option<&R>, CommandError> {
        match &self.trouble {
            None => Ok(self.now.as_ref()),
            Some(trouble) => Err(trouble.error()),
        }
    }
}

/// Rows of one kind, and what they were before the command at hand.
#[derive(Debug)]
pub(super) struct Cells<R: Record> {
    cells: BTreeMap<R::Id, Cell<R>>,
    undo: Vec<(R::Id, Option<R>)>,
}

impl<R: Record<Scope = Tenant>> Cells<R> {
    pub(super) async fn read(core: &Core, mut ids: Vec<R::Id>) -> Result<Self, CommandError> {
        ids.sort();
        ids.dedup();
        let rows = Records::<R>::new(&core.space);
        let read: Vec<_> = match rows.get_many(&ids).await {
            Ok(read) => read.into_iter().map(Ok).collect(),
            Err(error) if Trouble::of(&error).is_none() => return Err(error.into()),
            // Each by itself: one that cannot be believed is in nobody else's way.
            Err(_) => join_all(ids.iter().map(|id| rows.get(id))).await,
        };
        let mut cells = BTreeMap::new();
        for (id, read) in ids.into_iter().zip(read) {
            let mut cell = Cell::of(read)?;
            if cell.is_doubted() {
                cell.bad = rows.bad(&id).await.ok().flatten();
            }
            if cell.bad.is_some() && R::CLASS == Class::Advisory {
                cell.trouble = None;
            }
            cells.insert(id, cell);
        }
        let undo = Vec::new();
        Ok(Self { cells, undo })
    }

    pub(super) fn is_doubted(&self, id: &R::Id) -> bool {
        self.cells.get(id).is_some_and(Cell::is_doubted)
    }

    /// There is none under an id that was just made.
    pub(super) fn add_new(&mut self, id: R::Id) {
        let (read, now, trouble, bad) = (None, None, None, None);
        self.cells.entry(id).or_insert(Cell {
            read,
            now,
            trouble,
            bad,
        });
    }

    pub(super) fn get(&self, id: &R::Id) -> Result<Option<&R>, CommandError> {
        self.cells.get(id).map_or(Ok(None), Cell::believed)
    }

    pub(super) fn put(&mut self, row: R) {
        let id = row.id();
        if let Some(cell) = self.cells.get_mut(&id) {
            let before = cell.now.replace(row);
            self.undo.push((id, before));
        }
    }

    pub(super) fn remove(&mut self, id: &R::Id) {
        if let Some(cell) = self.cells.get_mut(id) {
            let before = cell.now.take();
            self.undo.push((id.clone(), before));
        }
    }

    /// The rows that the command at hand changed.
    pub(super) fn touched(&self) -> BTreeSet<R::Id> {
        self.undo.iter().map(|(id, _)| id.clone()).collect()
    }

    /// What is done from here on is of the next command.
    pub(super) fn begin(&mut self) {
        self.undo.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn undo(&mut self) {
        for (id, before) in self.undo.drain(..).rev() {
            if let Some(cell) = self.cells.get_mut(&id) {
                cell.now = before;
            }
        }
    }

    /// Stages what changed. Of a row that cannot be believed a copy is kept, once; an advisory one makes way.
    pub(super) async fn stage(&self, core: &Core, draft: &mut Draft) -> Result<(), CommandError> {
        let (rows, now) = (Records::<R>::new(&core.space), draft.now());
        for bad in self
            .cells
            .values()
            .filter(|cell| cell.is_doubted())
            .filter_map(|cell| cell.bad.as_ref())
        {
            if !is_copied(core, bad).await? {
                rows.stage_copy(draft.batch(), bad, now)?;
                tell(draft, BadStore::Quarantine, bad)?;
            }
        }
        for cell in self.cells.values().filter(|cell| cell.has_changed()) {
            match (&cell.read, &cell.now) {
                (None, Some(row)) if let Some(bad) = &cell.bad => {
                    rows.stage_anew(draft.batch(), bad, row, now).await?;
                    tell(draft, BadStore::DeadLetter, bad)?;
                }
                (None, Some(now)) => rows.stage_create(draft.batch(), now)?,
                (Some(read), Some(now)) => rows.stage_replace(draft.batch(), read, now).await?,
                (Some(read), None) => rows.stage_remove(draft.batch(), read).await?,
                (None, None) => {}
            }
        }
        Ok(())
    }
}
