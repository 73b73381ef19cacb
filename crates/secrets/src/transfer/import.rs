//! Importing: checked whole first, then written in one commit, so that a reader sees all of it or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use dormouse_filesystem::{CommitError, RecordError};
use zeroize::Zeroizing;

use super::form::{self, Entry, Parsed};
use super::{ImportKey, age, blocking};
use crate::attempts::{ATTEMPTS, is_conflict};
use crate::place::Place;
use crate::ring::Ring;
use crate::row::{Live, SecretRow};
use crate::sealing::Sealing;
use crate::secrets::{Going, Secrets, check_meta, check_name, check_value, replaced};
use crate::{
    AgentAt, Call, Change, ImportError, PutMeta, Registrar, SecretError, SecretName, SecretRef, Short,
};

/// An import of more entries than this, or more bytes of values, is staged.
const WHOLE_ENTRIES: usize = 100;
const WHOLE_BYTES: usize = 256 * 1024;

/// What of a secret that exists and differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Nothing is imported, and all such are named.
    #[default]
    Refuse,
    /// It stays as it is.
    Keep,
    /// The imported one replaces it.
    Overwrite,
}

/// What an import came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Written.
    pub written: Vec<SecretRef>,
    /// There already, equal in all.
    pub unchanged: Vec<SecretRef>,
    /// There already, different, and kept.
    pub kept: Vec<SecretRef>,
    /// Without a scope in an export of version 1: they are the tenant's now.
    pub unscoped: Vec<SecretName>,
}

/// What becomes of an entry.
pub(super) enum Fate {
    Unchanged,
    Kept,
    Exists,
    Written(Box<SecretRow>),
}

impl Secrets {
    /// Imports all entries of an export, or none. Times, category and origins are restored; generations go on from
    /// what each name had.
    ///
    /// What fits one commit is one. More is staged page by page, unseen; one commit sets it in force for every reader,
    /// and pages fold it in. Until then other puts, deletes and imports of the tenant meet `ImportOpen`. Cut anywhere,
    /// the same call goes on; without it, others end the import 10 minutes after it began.
    ///
    /// # Errors
    /// Nothing was imported: `Version`, `Malformed`, `Truncated`, `Decrypt`, `TooLarge`,
    /// `OverCommit`, `NoAge`; `Exists` with all
    /// that exist; `Secret(Sealed | Locked | NotFound | Full | ImportOpen)`. After `Secret(Indeterminate)` it may be repeated.
    pub async fn import(
        &self,
        call: &Call,
        export: &[u8],
        key: &ImportKey,
        existing: Existing,
    ) -> Result<Imported, ImportError> {
        let (export, key) = (Zeroizing::new(export.to_vec()), key.copied());
        let registrar = Arc::clone(self.registrar());
        let (lines, parsed) = blocking(move || opened(&export, &key, &*registrar)).await?;
        let bytes: usize = parsed
            .entries
            .iter()
            .map(|entry| entry.value.expose().len())
            .sum();
        let done = if parsed.entries.len() <= WHOLE_ENTRIES && bytes <= WHOLE_BYTES {
            self.import_whole(call, &parsed.entries, existing).await?
        } else {
            self.import_staged(call, &lines, &parsed.entries, existing)
                .await?
        };
        Ok(Imported {
            unscoped: parsed.unscoped,
            ..done
        })
    }

    async fn import_whole(
        &self,
        call: &Call,
        entries: &[Entry],
        existing: Existing,
    ) -> Result<Imported, ImportError> {
        for _ in 0..ATTEMPTS {
            if let Some(done) = self.import_once(call, entries, existing).await? {
                return Ok(done);
            }
        }
        Err(SecretError::contended().into())
    }

    async fn import_once(
        &self,
        call: &Call,
        entries: &[Entry],
        existing: Existing,
    ) -> Result<Option<Imported>, ImportError> {
        let keys = self.keys_for_put(call).await?;
        if self.no_import(call, keys.import()).await? == Going::Again {
            return Ok(None);
        }
        let mut batch = self.namespace().batch();
        let ring = self.ring_for_put(&keys, &mut batch)?;
        let (mut done, mut refused) = (Imported::default(), Vec::new());
        let mut new_of_scope = BTreeMap::new();
        for entry in entries {
            let place = self.place(&entry.at).await?;
            let read = self.row(&place, None).await?;
            match self.fate(call, &ring, &place, read.as_deref(), entry, existing)? {
                Fate::Unchanged => done.unchanged.push(entry.at.clone()),
                Fate::Kept => done.kept.push(entry.at.clone()),
                Fate::Exists => refused.push(entry.at.clone()),
                Fate::Written(row) => {
                    if read.as_ref().is_none_or(|read| read.live.is_none()) {
                        *new_of_scope.entry(place.agent().cloned()).or_insert(0) += 1;
                    }
                    match &read {
                        Some(read) => self.rows().stage_replace(&mut batch, read.raw(), &row).await?,
                        None => self.rows().stage_create(&mut batch, &row)?,
                    }
                    done.written.push(entry.at.clone());
                }
            }
        }
        if !refused.is_empty() {
            return Err(ImportError::Exists { refs: refused });
        }
        self.check_rooms(new_of_scope).await?;
        let (written, unchanged) = (done.written.len() as u64, done.unchanged.len() as u64);
        if written > 0 {
            call.journal
                .tenant(&mut batch, &Change::Imported { written, unchanged });
            match self.namespace().commit(batch).await.map_err(RecordError::from) {
                Ok(_) => {}
                Err(RecordError::Commit(CommitError::TooLarge { .. })) => {
                    return Err(ImportError::OverCommit);
                }
                Err(error) if is_conflict(&error) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(done))
    }

    /// Whether so many more have room, by scope.
    pub(super) async fn check_rooms(&self, new: BTreeMap<Option<AgentAt>, usize>) -> Result<(), ImportError> {
        for (agent, new) in new {
            self.check_room(agent.as_ref(), new).await?;
        }
        Ok(())
    }

    pub(super) fn fate(
        &self,
        call: &Call,
        ring: &Ring,
        place: &Place,
        read: Option<&SecretRow>,
        entry: &Entry,
        existing: Existing,
    ) -> Result<Fate, ImportError> {
        if let Some(stays) = stays(ring, place, read, entry, existing) {
            return Ok(stays);
        }
        let generation = read.map_or(0, |row| row.generation) + 1;
        let sealing = Sealing {
            value: &entry.value,
            category: entry.category,
            origins: &entry.origins,
            note: &entry.note,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
            times_known: entry.times_known,
        };
        let live = ring.live(place, generation, &sealing, self.vault().random())?;
        Ok(Fate::Written(Box::new(replaced(
            place, read, generation, live, call.now,
        ))))
    }
}

/// The entries of an export, opened and checked; from then on no log has their values. Of as many as there may be it
/// takes seconds.
fn opened(
    export: &[u8],
    key: &ImportKey,
    registrar: &dyn Registrar,
) -> Result<(Zeroizing<Vec<u8>>, Parsed), ImportError> {
    let lines = age::decrypt(export, key)?;
    let parsed = form::read(&lines)?;
    for entry in &parsed.entries {
        check(entry).map_err(|_| ImportError::Malformed { line: entry.line })?;
    }
    for entry in &parsed.entries {
        registrar.opened(&entry.at.name, &entry.value);
    }
    Ok((lines, parsed))
}

/// What becomes of an entry that is not to be written; `None` if it is.
pub(super) fn stays(
    ring: &Ring,
    place: &Place,
    read: Option<&SecretRow>,
    entry: &Entry,
    existing: Existing,
) -> Option<Fate> {
    let live = read.and_then(|row| row.usable())?;
    if is_equal(ring, place, live, entry) {
        return Some(Fate::Unchanged);
    }
    match existing {
        Existing::Refuse => Some(Fate::Exists),
        Existing::Keep => Some(Fate::Kept),
        Existing::Overwrite => None,
    }
}

fn check(entry: &Entry) -> Result<(), SecretError> {
    check_name(&entry.at.name)?;
    // What was exported short was accepted so.
    check_value(entry.value.expose(), entry.category, Short::Accept)?;
    let meta = PutMeta {
        origins: entry.origins.clone(),
        note: entry.note.clone(),
        short: Short::Accept,
    };
    check_meta(&meta)
}

fn is_equal(ring: &Ring, place: &Place, live: &Live, entry: &Entry) -> bool {
    live.body.category == entry.category
        && live.body.origins == entry.origins
        && live.note == entry.note
        && (live.created_at, live.updated_at) == (entry.created_at, entry.updated_at)
        && live.times_known == entry.times_known
        && ring
            .open(place, &live.body)
            .is_ok_and(|value| value == entry.value)
}
