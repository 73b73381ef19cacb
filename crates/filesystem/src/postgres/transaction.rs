//! A transaction: one commit in one exchange with the server, or several in two.
//!
//! Either locks the rows of records in key order, judges, then locks those of logs in their order, then numbers and
//! writes. All statements of an exchange are sent at once; one that fails makes the `COMMIT` behind it a rollback.
//!
//! A record that is made has no row to lock before: its key is taken by the write, the last of all. So one that makes a key
//! and one of another process that only checks it to be absent, and shares a log or a record with it, may wait for each
//! other: the server ends one of them after its `deadlock_timeout`, and it is tried again.

use std::collections::HashMap;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::arrays::{Locks, Writes};
use super::begin::begin;
use super::failure::{NotDone, is_certain_at_commit};
use super::queue::Answer;
use super::session::Session;
use super::single;
use super::sql::{BEGIN, COMMIT, ROLLBACK, Sql, TRANSACTION};
use crate::judge::judge;
use crate::{Batch, Check, CommitError, Committed, Expected, Key, Position, Stream, Version};

/// How a transaction ended. Answers are in the order of its commits.
#[derive(Debug)]
pub(super) enum Ended {
    /// For certain.
    Answered(Vec<Answer>),
    /// Nothing was done.
    NotDone(NotDone),
    /// The end was sent and its answer lost.
    Lost(Lost),
}

/// What is known of a transaction whose end was lost.
#[derive(Debug)]
pub(super) struct Lost {
    /// Its number, if it was learnt.
    pub(super) transaction: Option<String>,
    /// What it will have answered, if that was learnt.
    pub(super) answers: Option<Vec<Answer>>,
    pub(super) source: Option<Error>,
}

pub(super) type Parameters<'a> = Vec<&'a (dyn ToSql + Sync)>;

/// One statement of an exchange; none where it is not needed.
pub(super) async fn rows(
    session: &Session,
    statement: Option<tokio_postgres::Statement>,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>, Error> {
    match statement {
        Some(statement) => session.client.query(&statement, &parameters).await,
        None => Ok(Vec::new()),
    }
}

pub(super) async fn prepared(
    session: &mut Session,
    is_needed: bool,
    sql: &str,
) -> Result<Option<tokio_postgres::Statement>, Error> {
    if is_needed {
        session.statement(sql).await.map(Some)
    } else {
        Ok(None)
    }
}

/// One commit that writes, in one exchange.
pub(super) async fn lone(session: &mut Session, sql: &Sql, batch: &Batch) -> Ended {
    if !batch.begins.is_empty() {
        return begin(session, sql, batch).await;
    }
    let is_put = batch.checks.is_empty() && batch.deletes.is_empty() && batch.appends.is_empty();
    if let ([put], true) = (batch.puts.as_slice(), is_put) {
        return single::put(session, sql, batch, put).await;
    }
    let locks = Locks::of(std::slice::from_ref(&batch));
    let writes = Writes::of(std::slice::from_ref(&batch));
    let statements = async {
        Ok::<_, Error>((
            prepared(session, locks.has_absent(), &sql.place).await?,
            prepared(session, locks.has_records(), &sql.lock).await?,
            prepared(session, locks.has_records(), &sql.guard).await?,
            prepared(session, writes.has_logs(), &sql.place_logs).await?,
            prepared(session, writes.has_logs(), &sql.lock_logs).await?,
            prepared(session, true, &sql.write(writes.shape())).await?,
        ))
    };
    let (place, lock, guard, place_logs, lock_logs, write) = match statements.await {
        Ok(statements) => statements,
        Err(error) => return Ended::NotDone(NotDone::of(error)),
    };
    if session.client.is_closed() {
        return Ended::NotDone(NotDone::Unavailable(None));
    }
    let (begun, placed, locked, guarded, logs_placed, logs_locked, written, committed) = futures::join!(
        session.client.batch_execute(BEGIN),
        rows(session, place, vec![&locks.absent]),
        rows(session, lock, vec![&locks.keys, &locks.writes]),
        rows(session, guard, vec![&locks.keys, &locks.expected, &locks.writes]),
        rows(session, place_logs, vec![&writes.logs]),
        rows(session, lock_logs, vec![&writes.logs]),
        rows(session, write, writes.parameters()),
        session.client.batch_execute(COMMIT),
    );
    let mut steps = Steps::default();
    steps.pass(begun);
    steps.pass(placed);
    let locked = steps.pass(locked);
    steps.pass(guarded);
    steps.pass(logs_placed);
    let logs_locked = steps.pass(logs_locked);
    let written = steps.pass(written);
    let answers = match (&logs_locked, &written) {
        (Some(logs), Some(written)) => next_of(logs).and_then(|next| answers(&[batch], next, written)),
        _ => None,
    };
    match steps.end(committed, written.as_deref(), answers) {
        Ended::NotDone(NotDone::Guard) => refused(batch, locked.as_deref()),
        ended => ended,
    }
}

/// The guard failed: the rows that were locked say why.
fn refused(batch: &Batch, locked: Option<&[Row]>) -> Ended {
    let Some(found) = locked.and_then(Found::read) else {
        return Ended::NotDone(NotDone::Congestion);
    };
    match found.judge(batch) {
        Some(Err(conflict)) => Ended::Answered(vec![Err(conflict)]),
        // A row that was there to be locked went away: pruned, at this very moment.
        Some(Ok(())) | None => Ended::NotDone(NotDone::Congestion),
    }
}

/// Several commits of which none writes what another names, in two exchanges: judge, then write those that passed.
pub(super) async fn grouped(session: &mut Session, sql: &Sql, batches: &[&Batch]) -> Ended {
    let locks = Locks::of(batches);
    let statements = async {
        Ok::<_, Error>((
            prepared(session, locks.has_absent(), &sql.place).await?,
            prepared(session, locks.has_records(), &sql.lock).await?,
            prepared(session, true, TRANSACTION).await?,
        ))
    };
    let (place, lock, transaction) = match statements.await {
        Ok(statements) => statements,
        Err(error) => return Ended::NotDone(NotDone::of(error)),
    };
    let (begun, placed, locked, numbered) = futures::join!(
        session.client.batch_execute(BEGIN),
        rows(session, place, vec![&locks.absent]),
        rows(session, lock, vec![&locks.keys, &locks.writes]),
        rows(session, transaction, Vec::new()),
    );
    let mut steps = Steps::default();
    steps.pass(begun);
    steps.pass(placed);
    let locked = steps.pass(locked);
    let numbered = steps.pass(numbered);
    if let Some(error) = steps.first {
        // Nothing was sent that could end the transaction well.
        drop(session.client.batch_execute(ROLLBACK).await);
        return Ended::NotDone(NotDone::of(error));
    }
    let transaction = numbered.and_then(|rows| rows.first()?.try_get(0).ok());
    let judged = locked.as_deref().and_then(Found::read).and_then(|found| {
        let judged = batches.iter().map(|batch| found.judge(batch));
        judged.collect::<Option<Vec<_>>>()
    });
    let Some(judged) = judged else {
        drop(session.client.batch_execute(ROLLBACK).await);
        return Ended::NotDone(NotDone::Congestion);
    };
    write_passed(session, sql, batches, judged, transaction).await
}

async fn write_passed(
    session: &mut Session,
    sql: &Sql,
    batches: &[&Batch],
    judged: Vec<Result<(), CommitError>>,
    transaction: Option<String>,
) -> Ended {
    let passed: Vec<&Batch> = batches
        .iter()
        .zip(&judged)
        .filter_map(|(batch, judged)| judged.is_ok().then_some(*batch))
        .collect();
    let ended = if passed.is_empty() {
        drop(session.client.batch_execute(ROLLBACK).await);
        Ended::Answered(Vec::new())
    } else {
        write(session, sql, &passed).await
    };
    let merge = |answers: Vec<Answer>| {
        let mut answers = answers.into_iter();
        let answer = |judged: Result<(), CommitError>| {
            judged.and_then(|()| answers.next().expect("each that passed is answered"))
        };
        judged.into_iter().map(answer).collect()
    };
    match ended {
        Ended::Answered(answers) => Ended::Answered(merge(answers)),
        Ended::Lost(lost) => Ended::Lost(Lost {
            transaction: lost.transaction.or(transaction),
            answers: lost.answers.map(merge),
            source: lost.source,
        }),
        Ended::NotDone(why) => Ended::NotDone(why),
    }
}

async fn write(session: &mut Session, sql: &Sql, batches: &[&Batch]) -> Ended {
    let writes = Writes::of(batches);
    let statements = async {
        Ok::<_, Error>((
            prepared(session, writes.has_logs(), &sql.place_logs).await?,
            prepared(session, writes.has_logs(), &sql.lock_logs).await?,
            prepared(session, true, &sql.write(writes.shape())).await?,
        ))
    };
    let (place_logs, lock_logs, write) = match statements.await {
        Ok(statements) => statements,
        Err(error) => {
            drop(session.client.batch_execute(ROLLBACK).await);
            return Ended::NotDone(NotDone::of(error));
        }
    };
    let (logs_placed, logs_locked, written, committed) = futures::join!(
        rows(session, place_logs, vec![&writes.logs]),
        rows(session, lock_logs, vec![&writes.logs]),
        rows(session, write, writes.parameters()),
        session.client.batch_execute(COMMIT),
    );
    let mut steps = Steps::default();
    steps.pass(logs_placed);
    let logs_locked = steps.pass(logs_locked);
    let written = steps.pass(written);
    let answers = match (&logs_locked, &written) {
        (Some(logs), Some(written)) => next_of(logs).and_then(|next| answers(batches, next, written)),
        _ => None,
    };
    steps.end(committed, written.as_deref(), answers)
}

/// The statements of an exchange, looked at in the order in which they were sent: the first that failed says why.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub(super) first: Option<Error>,
}

impl Steps {
    pub(super) fn pass<T>(&mut self, step: Result<T, Error>) -> Option<T> {
        match step {
            Ok(rows) => Some(rows),
            Err(error) => {
                self.first.get_or_insert(error);
                None
            }
        }
    }

    /// Whether every statement until now was answered well.
    pub(super) fn is_sound(&self) -> bool {
        self.first.is_none()
    }

    /// What the exchange came to, once its `COMMIT` was answered or not.
    pub(super) fn end(
        self,
        committed: Result<(), Error>,
        written: Option<&[Row]>,
        answers: Option<Vec<Answer>>,
    ) -> Ended {
        let lost = |source| {
            Ended::Lost(Lost {
                transaction: written.and_then(|rows| rows.first()?.try_get(1).ok()),
                answers: None,
                source: Some(source),
            })
        };
        match (self.first, committed) {
            // The server said why it could not go on, and what follows in a failed transaction is a rollback.
            (Some(error), _) if error.code().is_some() => Ended::NotDone(NotDone::of(error)),
            (Some(error), _) => lost(error),
            (None, Err(error)) if is_certain_at_commit(&error) => Ended::NotDone(NotDone::of(error)),
            (None, Err(error)) => match lost(error) {
                Ended::Lost(lost) => Ended::Lost(Lost { answers, ..lost }),
                ended => ended,
            },
            (None, Ok(())) => match answers {
                Some(answers) => Ended::Answered(answers),
                // It is done, and the server did not say at which version: it is not the server this was written for.
                None => Ended::Lost(Lost {
                    transaction: None,
                    answers: None,
                    source: None,
                }),
            },
        }
    }
}

/// The rows that were locked: a version where there is a record.
#[derive(Debug)]
pub(super) struct Found(HashMap<String, Place>);

#[derive(Debug, Clone, Copy)]
enum Place {
    /// No row at all.
    Missing,
    /// A row to be locked, without a record.
    Absent,
    At(Version),
}

impl Found {
    pub(super) fn read(rows: &[Row]) -> Option<Self> {
        let read = |row: &Row| {
            let key: String = row.try_get(0).ok()?;
            let version: Option<i64> = row.try_get(1).ok()?;
            let is_live: Option<bool> = row.try_get(2).ok()?;
            let found = match (version, is_live) {
                (Some(version), Some(true)) => Place::At(number(version)),
                (Some(_), _) => Place::Absent,
                (None, _) => Place::Missing,
            };
            Some((key, found))
        };
        rows.iter().map(read).collect::<Option<_>>().map(Self)
    }

    /// None when a row that has to hold a lock is not there.
    fn judge(&self, batch: &Batch) -> Option<Result<(), CommitError>> {
        if self.lacks_a_lock(batch) {
            return None;
        }
        // What begins logs is judged by itself.
        Some(judge(batch, |key| self.version_of(key), |_| None))
    }

    fn at(&self, key: &Key) -> Place {
        self.0.get(key.stored()).copied().unwrap_or(Place::Missing)
    }

    /// Whether a row that has to hold a lock is not there.
    pub(super) fn lacks_a_lock(&self, batch: &Batch) -> bool {
        let is_unlocked = |check: &Check| {
            check.expected == Expected::Absent && matches!(self.at(&check.key), Place::Missing)
        };
        batch.checks.iter().any(is_unlocked)
    }

    pub(super) fn version_of(&self, key: &Key) -> Option<Version> {
        match self.at(key) {
            Place::At(version) => Some(version),
            Place::Absent | Place::Missing => None,
        }
    }
}

/// The next position of each log that was locked.
pub(super) fn next_of(logs: &[Row]) -> Option<HashMap<String, u64>> {
    let next = |row: &Row| {
        let position: i64 = row.try_get(1).ok()?;
        Some((row.try_get(0).ok()?, position.unsigned_abs()))
    };
    logs.iter().map(next).collect()
}

/// What each commit did: its version, and the first position in each log, counted from where the log was.
pub(super) fn answers(
    batches: &[&Batch],
    mut next: HashMap<String, u64>,
    written: &[Row],
) -> Option<Vec<Answer>> {
    let mut answers = Vec::with_capacity(batches.len());
    for (batch, row) in batches.iter().zip(written) {
        let version = number(row.try_get(0).ok()?);
        let mut positions: Vec<(Stream, Position)> = Vec::new();
        for append in &batch.appends {
            let next = next.get_mut(append.log.key().stored())?;
            if positions.iter().all(|(log, _)| *log != append.log) {
                positions.push((append.log.clone(), Position::new(*next)));
            }
            *next += 1;
        }
        answers.push(Ok(Committed {
            version: Some(version),
            positions,
        }));
    }
    (answers.len() == batches.len()).then_some(answers)
}

pub(super) fn number(version: i64) -> Version {
    Version::new(version.unsigned_abs())
}
