//! What a commit touches, so that two of this process that would wait for one another in the server do so here.

use std::collections::HashMap;

use crate::{Batch, Key};

/// A record or a log: names of two spaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Record(Key),
    Log(Key),
}

/// The names of one commit.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims {
    writes: Vec<Key>,
    checks: Vec<Key>,
    logs: Vec<Key>,
    /// Whether it has a transaction to itself: one that begins logs.
    pub(super) is_alone: bool,
}

impl Claims {
    pub(super) fn of(batch: &Batch) -> Self {
        let puts = batch.puts.iter().map(|put| put.key.clone());
        let deletes = batch.deletes.iter().map(|delete| delete.key.clone());
        let mut logs: Vec<Key> = batch.logs().map(|log| log.key().clone()).collect();
        logs.sort_unstable();
        logs.dedup();
        Self {
            writes: puts.chain(deletes).collect(),
            checks: batch.checks.iter().map(|check| check.key.clone()).collect(),
            logs,
            is_alone: !batch.begins.is_empty(),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = Name> + '_ {
        let records = self.writes.iter().chain(&self.checks).cloned().map(Name::Record);
        records.chain(self.logs.iter().cloned().map(Name::Log))
    }

    /// Keys of records and logs that the commit changes.
    pub(super) fn changed(&self) -> impl Iterator<Item = &Key> + Clone {
        self.writes.iter().chain(&self.logs)
    }
}

/// What is being written and checked.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// Each with the number of the entry, so that one write is told from the next.
    written: HashMap<Key, u64>,
    entered: u64,
    checked: HashMap<Key, usize>,
    logs: HashMap<Key, usize>,
}

impl Flight {
    pub(super) fn enter(&mut self, claims: &Claims) {
        self.entered += 1;
        let entry = self.entered;
        self.written
            .extend(claims.writes.iter().map(|key| (key.clone(), entry)));
        for key in &claims.checks {
            *self.checked.entry(key.clone()).or_default() += 1;
        }
        for log in &claims.logs {
            *self.logs.entry(log.clone()).or_default() += 1;
        }
    }

    pub(super) fn leave(&mut self, claims: &Claims) {
        for key in &claims.writes {
            self.written.remove(key);
        }
        for (counts, keys) in [
            (&mut self.checked, &claims.checks),
            (&mut self.logs, &claims.logs),
        ] {
            for key in keys {
                let count = counts.get_mut(key).expect("what leaves has entered");
                *count -= 1;
                if *count == 0 {
                    counts.remove(key);
                }
            }
        }
    }

    /// Which write of this record is under way.
    pub(super) fn write_of(&self, key: &Key) -> Option<u64> {
        self.written.get(key).copied()
    }

    /// Whether a commit would wait for none of these in the server.
    pub(super) fn admits(&self, claims: &Claims) -> bool {
        self.admits_beside(claims) && claims.logs.iter().all(|log| !self.logs.contains_key(log))
    }

    /// Whether a commit can share a transaction with these: of one log they may.
    pub(super) fn admits_beside(&self, claims: &Claims) -> bool {
        let is_free = |key| !self.written.contains_key(key) && !self.checked.contains_key(key);
        claims.writes.iter().all(is_free) && claims.checks.iter().all(|key| !self.written.contains_key(key))
    }
}
