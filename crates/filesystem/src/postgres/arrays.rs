//! Batches as the arrays that the statements take.

use std::collections::BTreeMap;

use tokio_postgres::types::ToSql;

use super::sql::Shape;
use crate::{Batch, Expected, Put, Version};

/// The rows of records to be locked, in key order, and what is expected of each.
#[derive(Debug, Default)]
pub(super) struct Locks<'a> {
    pub(super) keys: Vec<&'a str>,
    pub(super) writes: Vec<bool>,
    /// The version; 0 for absent, which is no commit's.
    pub(super) expected: Vec<i64>,
    /// Those only checked to be absent: a row must be there to hold the lock.
    pub(super) absent: Vec<&'a str>,
}

impl<'a> Locks<'a> {
    /// Of batches none of which writes what another names; a key may be checked by several.
    pub(super) fn of(batches: &[&'a Batch]) -> Self {
        let mut rows: BTreeMap<&str, (bool, Expected)> = BTreeMap::new();
        let mut absent: Vec<&str> = Vec::new();
        for batch in batches {
            let checks = batch.checks.len();
            for (at, (key, expected)) in batch.keys().enumerate() {
                let is_written = at >= checks;
                rows.insert(key.stored(), (is_written, expected));
                if expected == Expected::Absent && !is_written {
                    absent.push(key.stored());
                }
            }
        }
        absent.sort_unstable();
        absent.dedup();
        let mut locks = Self {
            absent,
            ..Self::default()
        };
        for (key, (writes, expected)) in rows {
            locks.keys.push(key);
            locks.writes.push(writes);
            locks.expected.push(match expected {
                Expected::Absent => 0,
                Expected::At(version) => at(version),
            });
        }
        locks
    }

    pub(super) fn has_records(&self) -> bool {
        !self.keys.is_empty()
    }

    pub(super) fn has_absent(&self) -> bool {
        !self.absent.is_empty()
    }
}

/// Records, each with the place of its commit.
#[derive(Debug, Default)]
struct Puts<'a> {
    keys: Vec<&'a str>,
    kinds: Vec<&'a str>,
    values: Vec<&'a [u8]>,
    crcs: Vec<i64>,
    commits: Vec<i32>,
}

impl<'a> Puts<'a> {
    fn add(&mut self, put: &'a Put, commit: i32) {
        let (key, kind) = (put.key.stored(), put.kind.as_str());
        self.keys.push(key);
        self.kinds.push(kind);
        self.values.push(&put.value);
        self.crcs.push(checksum(key, kind, &put.value));
        self.commits.push(commit);
    }
}

/// What is written, each with the place of its commit, counted from 1.
#[derive(Debug, Default)]
pub(super) struct Writes<'a> {
    commits: i32,
    puts: Puts<'a>,
    /// Of records that are not there yet.
    makes: Puts<'a>,
    delete_keys: Vec<&'a str>,
    delete_commits: Vec<i32>,
    append_streams: Vec<&'a str>,
    append_values: Vec<&'a [u8]>,
    append_commits: Vec<i32>,
    /// The logs begun and not appended to.
    empty_streams: Vec<&'a str>,
    /// The logs appended to, in their order.
    pub(super) logs: Vec<&'a str>,
}

impl<'a> Writes<'a> {
    pub(super) fn of(batches: &[&'a Batch]) -> Self {
        let mut writes = Self::default();
        for batch in batches {
            writes.commits += 1;
            writes.add(batch);
        }
        writes.logs = writes.append_streams.clone();
        writes.logs.sort_unstable();
        writes.logs.dedup();
        writes
    }

    fn add(&mut self, batch: &'a Batch) {
        for put in &batch.puts {
            let puts = match put.expected {
                Expected::Absent => &mut self.makes,
                Expected::At(_) => &mut self.puts,
            };
            puts.add(put, self.commits);
        }
        for delete in &batch.deletes {
            self.delete_keys.push(delete.key.stored());
            self.delete_commits.push(self.commits);
        }
        for append in &batch.appends {
            self.append_streams.push(append.log.key().stored());
            self.append_values.push(&append.entry);
            self.append_commits.push(self.commits);
        }
        let is_empty = |log: &&crate::Stream| batch.appends.iter().all(|append| append.log != **log);
        let begun = batch.begins.iter().map(|begin| &begin.log).filter(is_empty);
        self.empty_streams.extend(begun.map(|log| log.key().stored()));
    }

    pub(super) fn has_logs(&self) -> bool {
        !self.logs.is_empty()
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            puts: !self.puts.keys.is_empty(),
            makes: !self.makes.keys.is_empty(),
            deletes: !self.delete_keys.is_empty(),
            appends: self.has_logs(),
            begins: !self.empty_streams.is_empty(),
        }
    }

    /// In the order of [`Sql::write`](super::sql::Sql::write).
    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![
            &self.commits,
            &self.puts.keys,
            &self.puts.kinds,
            &self.puts.values,
            &self.puts.crcs,
            &self.puts.commits,
            &self.delete_keys,
            &self.delete_commits,
            &self.append_streams,
            &self.append_values,
            &self.append_commits,
            &self.empty_streams,
            &self.makes.keys,
            &self.makes.kinds,
            &self.makes.values,
            &self.makes.crcs,
            &self.makes.commits,
        ]
    }
}

/// A version as the server's number; what is no commit's is a number that never was.
pub(super) fn at(version: Version) -> i64 {
    match i64::try_from(version.get()) {
        Ok(number) if number > 0 => number,
        Ok(_) | Err(_) => -1,
    }
}

/// Of key, kind and value: a row moved, changed or cut is found out.
pub(super) fn checksum(key: &str, kind: &str, value: &[u8]) -> i64 {
    let named = crc32c::crc32c_append(crc32c::crc32c(key.as_bytes()), b"\0");
    let kinded = crc32c::crc32c_append(crc32c::crc32c_append(named, kind.as_bytes()), b"\0");
    i64::from(crc32c::crc32c_append(kinded, value))
}
