//! A commit that begins logs where others ended. It has a transaction of its own, in two exchanges: judge, then write.
//!
//! Logs are locked before they are judged, all of them in their order, as every transaction locks them.

use std::collections::HashMap;

use tokio_postgres::{Error, Row, Statement};

use super::arrays::{Locks, Writes};
use super::failure::NotDone;
use super::session::Session;
use super::sql::{BEGIN, COMMIT, ROLLBACK, Sql, TRANSACTION};
use super::transaction::{Ended, Found, Lost, Steps, answers, next_of, number, prepared, rows};
use crate::judge::judge;
use crate::{Batch, CommitError, Version};

/// The statements of both exchanges.
struct Prepared {
    place: Option<Statement>,
    lock: Option<Statement>,
    place_logs: Option<Statement>,
    lock_logs: Option<Statement>,
    transaction: Option<Statement>,
    begin_logs: Option<Statement>,
    write: Option<Statement>,
}

impl Prepared {
    async fn of(
        session: &mut Session,
        sql: &Sql,
        locks: &Locks<'_>,
        writes: &Writes<'_>,
    ) -> Result<Self, Error> {
        Ok(Self {
            place: prepared(session, locks.has_absent(), &sql.place).await?,
            lock: prepared(session, locks.has_records(), &sql.lock).await?,
            place_logs: prepared(session, true, &sql.place_logs).await?,
            lock_logs: prepared(session, true, &sql.lock_logs).await?,
            transaction: prepared(session, true, TRANSACTION).await?,
            begin_logs: prepared(session, true, &sql.begin_logs).await?,
            write: prepared(session, true, &sql.write(writes.shape())).await?,
        })
    }
}

/// What the first exchange found, under its locks.
struct Judged {
    transaction: Option<String>,
    logs: Vec<Row>,
    verdict: Result<(), CommitError>,
}

/// One commit that begins logs.
pub(super) async fn begin(session: &mut Session, sql: &Sql, batch: &Batch) -> Ended {
    let (locks, writes) = (Locks::of(&[batch]), Writes::of(&[batch]));
    let prepared = match Prepared::of(session, sql, &locks, &writes).await {
        Ok(prepared) => prepared,
        Err(error) => return Ended::NotDone(NotDone::of(error)),
    };
    if session.client.is_closed() {
        return Ended::NotDone(NotDone::Unavailable(None));
    }
    let judged = match look(session, &prepared, &locks, batch).await {
        Ok(judged) => judged,
        Err(why) => {
            // Nothing was sent that could end the transaction well.
            drop(session.client.batch_execute(ROLLBACK).await);
            return Ended::NotDone(why);
        }
    };
    if let Err(conflict) = judged.verdict {
        drop(session.client.batch_execute(ROLLBACK).await);
        return Ended::Answered(vec![Err(conflict)]);
    }
    let ended = write(session, prepared, &writes, batch, &judged.logs).await;
    match ended {
        Ended::Lost(lost) => Ended::Lost(Lost {
            transaction: lost.transaction.or(judged.transaction),
            ..lost
        }),
        ended @ (Ended::Answered(_) | Ended::NotDone(_)) => ended,
    }
}

async fn look(
    session: &Session,
    prepared: &Prepared,
    locks: &Locks<'_>,
    batch: &Batch,
) -> Result<Judged, NotDone> {
    let mut logs: Vec<&str> = batch.logs().map(|log| log.key().stored()).collect();
    logs.sort_unstable();
    logs.dedup();
    let (begun, placed, locked, logs_placed, logs_locked, numbered) = futures::join!(
        session.client.batch_execute(BEGIN),
        rows(session, prepared.place.clone(), vec![&locks.absent]),
        rows(session, prepared.lock.clone(), vec![&locks.keys, &locks.writes]),
        rows(session, prepared.place_logs.clone(), vec![&logs]),
        rows(session, prepared.lock_logs.clone(), vec![&logs]),
        rows(session, prepared.transaction.clone(), Vec::new()),
    );
    let mut steps = Steps::default();
    steps.pass(begun);
    steps.pass(placed);
    let locked = steps.pass(locked);
    steps.pass(logs_placed);
    let logs_locked = steps.pass(logs_locked);
    let numbered = steps.pass(numbered);
    if let Some(error) = steps.first {
        return Err(NotDone::of(error));
    }
    let (Some(locked), Some(logs)) = (locked, logs_locked) else {
        return Err(NotDone::Congestion);
    };
    let verdict = verdict(batch, &locked, &logs).ok_or(NotDone::Congestion)?;
    Ok(Judged {
        transaction: numbered.and_then(|rows| rows.first()?.try_get(0).ok()),
        logs,
        verdict,
    })
}

/// None when a row that has to hold a lock is not there.
fn verdict(batch: &Batch, locked: &[Row], logs: &[Row]) -> Option<Result<(), CommitError>> {
    let found = Found::read(locked)?;
    let incarnations = logs.iter().map(incarnation).collect::<Option<HashMap<_, _>>>()?;
    if found.lacks_a_lock(batch) {
        return None;
    }
    let incarnation_of = |log: &crate::Stream| incarnations.get(log.key().stored()).copied().flatten();
    Some(judge(batch, |key| found.version_of(key), incarnation_of))
}

/// A row that was just placed is of no log yet.
fn incarnation(row: &Row) -> Option<(String, Option<Version>)> {
    let incarnation: Option<i64> = row.try_get(2).ok()?;
    let incarnation = incarnation.filter(|incarnation| *incarnation != 0).map(number);
    Some((row.try_get(0).ok()?, incarnation))
}

async fn write(
    session: &Session,
    prepared: Prepared,
    writes: &Writes<'_>,
    batch: &Batch,
    logs: &[Row],
) -> Ended {
    let begins = Begins::of(batch);
    let (placed, written, committed) = futures::join!(
        rows(
            session,
            prepared.begin_logs,
            vec![&begins.logs, &begins.firsts, &begins.incarnations, &begins.nexts]
        ),
        rows(session, prepared.write, writes.parameters()),
        session.client.batch_execute(COMMIT),
    );
    let mut steps = Steps::default();
    steps.pass(placed);
    let written = steps.pass(written);
    let answers = written.as_ref().and_then(|written| {
        let mut next = next_of(logs)?;
        for (log, first) in begins.logs.iter().zip(&begins.firsts) {
            next.insert((*log).to_owned(), first.unsigned_abs());
        }
        answers(&[batch], next, written)
    });
    steps.end(committed, written.as_deref(), answers)
}

/// The logs begun, as the arrays that the statement takes.
#[derive(Debug, Default)]
struct Begins<'a> {
    logs: Vec<&'a str>,
    firsts: Vec<i64>,
    /// Of the predecessors; none where there is none.
    incarnations: Vec<Option<i64>>,
    nexts: Vec<Option<i64>>,
}

impl<'a> Begins<'a> {
    fn of(batch: &'a Batch) -> Self {
        let number = |number: u64| i64::try_from(number).expect("a batch's numbers are below 2^53");
        let mut begins = Self::default();
        for begin in &batch.begins {
            begins.logs.push(begin.log.key().stored());
            begins.firsts.push(number(begin.first.get()));
            let of = begin.predecessor;
            begins
                .incarnations
                .push(of.map(|predecessor| number(predecessor.incarnation.get())));
            begins
                .nexts
                .push(of.map(|predecessor| number(predecessor.next.get())));
        }
        begins
    }
}
