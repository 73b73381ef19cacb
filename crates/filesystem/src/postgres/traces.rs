//! What a transaction must have left if it was done: the rows that its commits answered with.

use tokio_postgres::Error;

use super::arrays::{at, checksum};
use super::queue::Answer;
use super::session::Session;
use super::sql::Sql;
use crate::{Batch, Version};

/// The rows, as the arrays that the statement takes.
#[derive(Debug, Default)]
pub(super) struct Traces<'a> {
    keys: Vec<&'a str>,
    versions: Vec<i64>,
    /// None of what was removed.
    crcs: Vec<Option<i64>>,
    streams: Vec<&'a str>,
    positions: Vec<i64>,
    entry_versions: Vec<i64>,
    entries: Vec<&'a [u8]>,
    begun: Vec<&'a str>,
    begun_versions: Vec<i64>,
}

impl<'a> Traces<'a> {
    /// Of commits and what they will have answered.
    pub(super) fn of(commits: impl Iterator<Item = (&'a Batch, &'a Answer)>) -> Self {
        let mut traces = Self::default();
        for (batch, answer) in commits {
            if let Ok(committed) = answer
                && let Some(version) = committed.version
            {
                traces.add_records(batch, version);
                traces.add_entries(batch, version, &committed.positions);
                traces.add_begun(batch, version);
            }
        }
        traces
    }

    fn add_records(&mut self, batch: &'a Batch, version: Version) {
        for put in &batch.puts {
            let crc = checksum(put.key.stored(), put.kind.as_str(), &put.value);
            self.keys.push(put.key.stored());
            self.versions.push(at(version));
            self.crcs.push(Some(crc));
        }
        for delete in &batch.deletes {
            self.keys.push(delete.key.stored());
            self.versions.push(at(version));
            self.crcs.push(None);
        }
    }

    /// The first entry in each log.
    fn add_entries(
        &mut self,
        batch: &'a Batch,
        version: Version,
        positions: &[(crate::Stream, crate::Position)],
    ) {
        for (log, position) in positions {
            let first = batch.appends.iter().find(|append| append.log == *log);
            let (Some(first), Ok(position)) = (first, i64::try_from(position.get())) else {
                continue;
            };
            self.streams.push(first.log.key().stored());
            self.positions.push(position);
            self.entry_versions.push(at(version));
            self.entries.push(&first.entry);
        }
    }

    fn add_begun(&mut self, batch: &'a Batch, version: Version) {
        for begin in &batch.begins {
            self.begun.push(begin.log.key().stored());
            self.begun_versions.push(at(version));
        }
    }

    /// Whether any of it is there: a transaction is done whole, so that one row proves all.
    ///
    /// A row changed since by somebody else is no proof: they may have found what was there before this.
    pub(super) async fn are_left(
        &self,
        session: &mut Session,
        sql: &Sql,
        transaction: &str,
    ) -> Result<bool, Error> {
        let statement = session.statement(&sql.traces).await?;
        let row = session
            .client
            .query_one(
                &statement,
                &[
                    &transaction,
                    &self.keys,
                    &self.versions,
                    &self.crcs,
                    &self.streams,
                    &self.positions,
                    &self.entry_versions,
                    &self.entries,
                    &self.begun,
                    &self.begun_versions,
                ],
            )
            .await?;
        row.try_get(0)
    }
}
