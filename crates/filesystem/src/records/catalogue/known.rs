//! What this process knows of the catalogue: the version that its writes have as a precondition.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};

use super::super::stored;
use super::kind::Kind;
use super::row::{CatalogueRow, Declared, IndexState, ListedIndex, ListedScope};
use crate::namespace::fixed;
use crate::{CommitError, Expected, Key, ReadError, RecordKind, RecordStore, Segment, Version};

/// The kinds that were enlisted here. A kind that was not has no precondition.
#[derive(Debug, Default)]
pub(crate) struct Known {
    kinds: RwLock<HashMap<RecordKind, Enlisted>>,
}

#[derive(Debug)]
struct Enlisted {
    kind: Kind,
    key: Key,
    declared: Vec<Declared>,
    seen: Mutex<(Version, CatalogueRow)>,
}

/// Where the catalogue's row of a kind is.
pub(crate) fn key_of(kind: &RecordKind) -> Key {
    let name = Segment::parse(kind.as_str()).expect("a kind is a segment");
    fixed(&["s", "r", CATALOGUE])
        .key(&[name])
        .expect("four segments are never too deep")
}

/// The kind whose catalogue row has this key.
fn kind_of(key: &Key) -> Option<RecordKind> {
    RecordKind::parse(key.stored().strip_prefix("s!r!catalogue!")?)
}

const CATALOGUE: &str = "catalogue";

impl Known {
    /// Takes up what was read or written of a kind's row.
    pub(super) fn learn(&self, kind: &Kind, version: Version, row: CatalogueRow) {
        let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        let name = kind.name();
        let enlisted = Enlisted {
            kind: kind.clone(),
            key: key_of(&name),
            declared: kind.declared(),
            seen: Mutex::new((version, row)),
        };
        kinds.insert(name, enlisted);
    }

    fn with<T>(&self, kind: &RecordKind, f: impl FnOnce(&Enlisted) -> T) -> Option<T> {
        let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        kinds.get(kind).map(f)
    }

    /// What a write of this kind expects of its catalogue row; none of a kind that was not enlisted.
    pub(crate) fn guard(&self, kind: &RecordKind) -> Option<(Key, Version)> {
        self.with(kind, |known| (known.key.clone(), known.version()))
    }

    /// Kind and version of what is expected of one key, if that is a row of the catalogue.
    pub(crate) fn is_guard(&self, key: &Key) -> bool {
        kind_of(key).is_some_and(|kind| self.with(&kind, |_| ()).is_some())
    }

    /// The expectation as it is now.
    pub(crate) fn expected(&self, key: &Key) -> Option<Expected> {
        let (_, version) = self.guard(&kind_of(key)?)?;
        Some(Expected::At(version))
    }

    /// What is known of an index; none of a kind that was not enlisted.
    pub(crate) fn state(&self, kind: &RecordKind, name: &str, scope: ListedScope) -> Option<IndexState> {
        let of = |known: &Enlisted| {
            let seen = known.seen();
            seen.1.find(name, scope).map(|index| index.state)
        };
        self.with(kind, of)?
    }

    /// The indexes of a kind that are not ready.
    pub(super) fn unready(&self, kind: &RecordKind) -> Vec<ListedIndex> {
        let of = |known: &Enlisted| {
            let row = known.seen().1.clone();
            let unready = row.indexes.into_iter();
            unready.filter(|index| index.state != IndexState::Ready).collect()
        };
        self.with(kind, of).unwrap_or_default()
    }

    /// Reads the row anew, since somebody wrote it.
    ///
    /// # Errors
    /// `IndexUnknown` when it asks for what this build does not write.
    pub(crate) async fn refresh(&self, store: &dyn RecordStore, key: &Key) -> Result<(), CommitError> {
        let Some(name) = kind_of(key) else { return Ok(()) };
        let unknown = || CommitError::IndexUnknown { kind: name.clone() };
        let entry = store.get(key).await.map_err(of_read)?.ok_or_else(unknown)?;
        let id = Segment::parse(name.as_str()).expect("a kind is a segment");
        let read = stored::decode::<CatalogueRow>(&entry, &id, None).map_err(|_| unknown())?;
        let (version, row) = (read.version(), read.into_inner());
        let is_known = self.with(&name, |known| {
            let is_known = row.is_known_to(known.kind.generation(), &known.declared);
            if is_known {
                *known.seen() = (version, row);
            }
            is_known
        });
        if is_known == Some(true) {
            Ok(())
        } else {
            Err(unknown())
        }
    }
}

impl Enlisted {
    fn seen(&self) -> std::sync::MutexGuard<'_, (Version, CatalogueRow)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn version(&self) -> Version {
        self.seen().0
    }
}

fn of_read(error: ReadError) -> CommitError {
    match error {
        ReadError::Corrupt { key } => CommitError::Corrupt { key },
        other => CommitError::Unavailable {
            source: Some(Box::new(other)),
        },
    }
}
