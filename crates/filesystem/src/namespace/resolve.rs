//! What became of a batch whose answer was lost.
//!
//! The identical batch is sent again, which its preconditions let apply at most once. Where they are not met, either it
//! was done before or somebody else was quicker: the rows say so, and then the log.

use super::{Namespace, Scope, ScopedBatch};
use crate::{
    Batch, CommitError, Deadline, Entry, Expected, GET_MANY_MAX, Key, LogError, PAGE_MAX, Position,
    ReadError, Version,
};

/// Most entries of a log that are looked through, from its end.
const LOOKED_THROUGH_MAX: u64 = 10 * PAGE_MAX as u64;

/// What is known of a batch by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// It was done, once; the version that its puts share, where it has any.
    Done(Option<Version>),
    /// It was not done, and will not be.
    NotDone,
    /// It is not known still: the store did not answer, or what could say so was written over since.
    Unknown,
}

impl<S: Scope> Namespace<S> {
    /// Settles a batch whose commit was [`Indeterminate`](CommitError::Indeterminate): sends it again, and where that
    /// conflicts looks whose write it was. `op` is a text that rows and log entries of this batch alone carry. A batch
    /// that may not be sent again is looked for in its log.
    ///
    /// # Errors
    /// `Invalid` for the batch of another namespace.
    pub async fn resolve(
        &self,
        batch: &ScopedBatch<S>,
        op: &str,
        deadline: Deadline,
    ) -> Result<Resolved, CommitError> {
        let is_sent = batch.raw().is_repeatable();
        if is_sent {
            match self.commit_by(batch.clone(), deadline).await {
                Ok(committed) => return Ok(Resolved::Done(committed.version)),
                Err(CommitError::Conflict { .. }) => {}
                Err(error @ CommitError::Invalid { .. }) => return Err(error),
                Err(_) => return Ok(Resolved::Unknown),
            }
        }
        let looked = self.whose(batch.raw(), op, is_sent).await;
        Ok(looked.unwrap_or(Resolved::Unknown))
    }

    /// Whose write it was that a batch met; none where the store did not say.
    async fn whose(&self, batch: &Batch, op: &str, is_refused: bool) -> Option<Resolved> {
        let entries = self.written(batch).await.ok()?;
        if let Some(resolved) = by_rows(batch, &entries, op).filter(|_| is_refused) {
            return Some(resolved);
        }
        match self.by_log(batch).await.ok()? {
            Resolved::NotDone if !is_refused => Some(Resolved::Unknown),
            resolved => Some(resolved),
        }
    }

    /// What is there now under the keys that a batch writes.
    async fn written(&self, batch: &Batch) -> Result<Vec<Option<Entry>>, ReadError> {
        let keys: Vec<Key> = writes(batch).map(|(key, _)| key.clone()).collect();
        let mut entries = Vec::with_capacity(keys.len());
        for part in keys.chunks(GET_MANY_MAX) {
            entries.extend(self.backend().get_many(part).await?);
        }
        Ok(entries)
    }

    /// Whether what a batch appends is in its log, looked for from the end.
    async fn by_log(&self, batch: &Batch) -> Result<Resolved, LogError> {
        let Some(append) = batch.appends.first() else {
            return Ok(Resolved::Unknown);
        };
        let head = self.backend().head(&append.log).await?;
        let (first, mut end) = (head.first.get(), head.next.get());
        let least = first.max(end.saturating_sub(LOOKED_THROUGH_MAX));
        // Ends with the earliest that is looked at.
        while end > least {
            let begin = least.max(end.saturating_sub(PAGE_MAX as u64));
            let mut after = Position::new(begin - 1);
            // A page may be cut short by its bytes. Ends where the page behind it began.
            while after.get() + 1 < end {
                let page = self.backend().tail(&append.log, after, PAGE_MAX).await?;
                let Some(last) = page.last() else { break };
                after = last.position;
                if let Some(found) = page.iter().find(|logged| logged.entry == append.entry) {
                    return Ok(Resolved::Done(Some(found.version)));
                }
            }
            end = begin;
        }
        Ok(if least == first && first == Position::FIRST.get() {
            Resolved::NotDone
        } else {
            Resolved::Unknown
        })
    }
}

/// The keys that a batch writes, each with what it expects there.
fn writes(batch: &Batch) -> impl Iterator<Item = (&Key, Expected)> {
    let puts = batch.puts.iter().map(|put| (&put.key, put.expected));
    puts.chain(
        batch
            .deletes
            .iter()
            .map(|delete| (&delete.key, Expected::At(delete.at))),
    )
}

/// What the rows say: one that is as the batch writes it, and carries its operation, is its own; one that it writes and
/// that is as it was before shows that it never came.
fn by_rows(batch: &Batch, entries: &[Option<Entry>], op: &str) -> Option<Resolved> {
    let carries = |value: &[u8]| value.windows(op.len()).any(|part| part == op.as_bytes());
    let own = batch.puts.iter().zip(entries).find_map(|(put, entry)| {
        let entry = entry.as_ref()?;
        (entry.value == put.value && carries(&put.value)).then_some(entry.version)
    });
    if let Some(version) = own {
        return Some(Resolved::Done(Some(version)));
    }
    let is_untouched = writes(batch).zip(entries).any(|((_, expected), entry)| {
        let there = entry.as_ref().map(|entry| entry.version);
        matches!(expected, Expected::At(version) if there == Some(version))
    });
    is_untouched.then_some(Resolved::NotDone)
}
