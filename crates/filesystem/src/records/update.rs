//! Updates of one record by a function of what it is, combined with the others that wait to change it.

use std::convert::Infallible;

use bytes::Bytes;

use super::{INDEX_KIND, Record, RecordError, Records, Versioned, keeps_id, stored};
use crate::namespace::ScopedBatch;
use crate::{Change, Committed, Entry, Expected, UpdateError};

/// What an update of a record came to.
#[derive(Debug, Clone)]
pub struct Changed<R, T> {
    /// The record, exactly as it is stored at its version. Where several updates went as one commit, all of them get
    /// what is stored after the last; none when that one removed it.
    pub record: Option<Versioned<R>>,
    /// What the caller's function computed beside it.
    pub outcome: T,
    /// What this update committed; none when there was nothing to write.
    pub committed: Option<Committed>,
}

/// Why a decision did not come to a change.
enum Undecided<E> {
    /// There is no such record.
    Missing,
    /// The caller's own refusal.
    Refused(E),
    /// What is stored is not to be believed.
    Decode(RecordError),
    /// What was computed is no such record.
    Encode(RecordError),
}

impl<R: Record> Records<R> {
    /// Changes the record of this id by a function of what it is; `None` when there is none, and nothing is created.
    ///
    /// The function is given the record and a batch for further writes of this namespace, and returns the record as
    /// it should be and what to tell the caller. It computes and has no effect: after a conflict it runs again on the
    /// record as it is then. An equal record writes nothing, but what was staged beside it is committed. Updates of one
    /// record inside the process are combined, as in [`Store::update`](crate::Store::update); one that takes the
    /// record out of an index goes by itself, as [`cas_update`](crate::cas_update) does.
    ///
    /// # Errors
    /// [`UpdateError`]: `Decode` when what is stored is not to be believed, `Encode` when the new record has another
    /// id or makes no row, `Apply` is the function's own; only `Write(Indeterminate)` may have been done.
    ///
    /// # Panics
    /// As the function does.
    pub async fn update<E, T, F>(&self, id: &R::Id, mut f: F) -> Result<Option<Changed<R, T>>, UpdateError<E>>
    where
        E: Send + 'static,
        T: Send + 'static,
        F: FnMut(&R, &mut ScopedBatch<R::Scope>) -> Result<(R, T), E> + Send + 'static,
    {
        let key = self
            .row(id)
            .map_err(|error| UpdateError::Encode(Box::new(error)))?;
        let (rows, own) = (self.clone(), id.clone());
        let decide = move |entry: Option<&Entry>| rows.decide(&own, entry, &mut f);
        let (combiner, lane) = (self.namespace.combiner(), self.namespace.lane());
        let updated = match combiner.update(&key, lane, decide).await {
            Ok(updated) => updated,
            Err(UpdateError::Apply(Undecided::Missing)) => return Ok(None),
            Err(error) => return Err(of_caller(error)),
        };
        let decode = |entry| stored::decode(&entry, id, self.owner.as_deref());
        let record = updated.entry.map(decode).transpose();
        Ok(Some(Changed {
            record: record.map_err(|error| UpdateError::Decode(Box::new(error)))?,
            outcome: updated.outcome,
            committed: updated.committed,
        }))
    }

    /// Removes the record of this id, with its index entries: whether there was one. As it is when the commit is made,
    /// never as it was read before.
    ///
    /// # Errors
    /// As [`update`](Self::update): what cannot be believed is not removed.
    pub async fn remove_id(&self, id: &R::Id) -> Result<bool, UpdateError<Infallible>> {
        let key = self
            .row(id)
            .map_err(|error| UpdateError::Encode(Box::new(error)))?;
        let (rows, own) = (self.clone(), id.clone());
        let decide = move |entry: Option<&Entry>| {
            let entry = entry.ok_or(Undecided::<Infallible>::Missing)?;
            let read = stored::decode(entry, &own, rows.owner.as_deref()).map_err(Undecided::Decode)?;
            let change = rows.change_to_none(&read).map_err(Undecided::Encode)?;
            Ok((change, ()))
        };
        let (combiner, lane) = (self.namespace.combiner(), self.namespace.lane());
        match combiner.update(&key, lane, decide).await {
            Ok(_) => Ok(true),
            Err(UpdateError::Apply(Undecided::Missing)) => Ok(false),
            Err(error) => Err(of_caller(error)),
        }
    }

    /// How one record goes: its row, and the index entries it has.
    fn change_to_none(&self, read: &Versioned<R>) -> Result<Change, RecordError> {
        let mut staged = self.namespace.batch();
        staged.guard(self.guard());
        let more = staged.into_batch(self.namespace.root())?;
        let gone = self.index_keys(&read.record)?.into_iter().collect();
        Ok(Change::delete().with(more).removing(gone))
    }

    fn decide<E, T, F>(
        &self,
        id: &R::Id,
        entry: Option<&Entry>,
        f: &mut F,
    ) -> Result<(Change, T), Undecided<E>>
    where
        F: FnMut(&R, &mut ScopedBatch<R::Scope>) -> Result<(R, T), E>,
    {
        let entry = entry.ok_or(Undecided::Missing)?;
        let read = stored::decode(entry, id, self.owner.as_deref()).map_err(Undecided::Decode)?;
        let mut batch = self.namespace.batch();
        let (record, outcome) = f(&read, &mut batch).map_err(Undecided::Refused)?;
        let change = self.change_to(&read, &record, batch).map_err(Undecided::Encode)?;
        Ok((change, outcome))
    }

    /// How one record becomes another: its row, the index entries it gains, those it loses.
    fn change_to(
        &self,
        read: &Versioned<R>,
        record: &R,
        staged: ScopedBatch<R::Scope>,
    ) -> Result<Change, RecordError> {
        let mut staged = staged;
        keeps_id::<R>(&read.record, record)?;
        if *record != read.record {
            staged.guard(self.guard());
        }
        let mut more = staged.into_batch(self.namespace.root())?;
        if *record == read.record {
            return Ok(Change::keep().with(more));
        }
        let (old, new) = (self.index_keys(&read.record)?, self.index_keys(record)?);
        for key in new.difference(&old) {
            more.put(key.clone(), Expected::Absent, INDEX_KIND, Bytes::new());
        }
        let value = stored::encode(record, self.owner.as_deref())?;
        let gone = old.difference(&new).cloned().collect();
        Ok(Change::put(R::KIND, value).with(more).removing(gone))
    }
}

/// The caller's error, with its refusal taken out of ours.
fn of_caller<E>(error: UpdateError<Undecided<E>>) -> UpdateError<E> {
    match error {
        UpdateError::Apply(Undecided::Refused(refusal)) => UpdateError::Apply(refusal),
        UpdateError::Apply(Undecided::Decode(error)) => UpdateError::Decode(Box::new(error)),
        UpdateError::Apply(Undecided::Encode(error)) => UpdateError::Encode(Box::new(error)),
        UpdateError::Apply(Undecided::Missing) => unreachable!("it was answered before"),
        UpdateError::Decode(error) => UpdateError::Decode(error),
        UpdateError::Encode(error) => UpdateError::Encode(error),
        UpdateError::Contended { attempts } => UpdateError::Contended { attempts },
        UpdateError::QueueFull => UpdateError::QueueFull,
        UpdateError::Deadline => UpdateError::Deadline,
        UpdateError::Unsupported { capability } => UpdateError::Unsupported { capability },
        UpdateError::Read(error) => UpdateError::Read(error),
        UpdateError::Write(error) => UpdateError::Write(error),
    }
}
