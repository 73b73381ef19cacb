//! Dropping the head of a log: a thousand entries a transaction, each in one exchange.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::failure::is_congestion;
use super::read::position;
use super::session::Session;
use super::shared::Shared;
use super::sql::{BEGIN, COMMIT, Sql};
use crate::{BusyCause, CommitError, LogError, Position, Stream};

/// Most tries of one step.
const ATTEMPTS_MAX: u32 = 6;

pub(super) async fn truncate(shared: &Shared, log: &Stream, before: Position) -> Result<Position, LogError> {
    // Ends: each step drops what is there, and nothing is appended before `before`.
    loop {
        if let Some(reason) = shared.queue.refusal() {
            return Err(CommitError::Closed { reason }.into());
        }
        let Some((first, next)) = step(shared, log, before).await? else {
            let none = Position::FIRST;
            return within(before, none, none).map(|()| none);
        };
        within(before, first, next)?;
        if first >= before {
            return Ok(first);
        }
    }
}

fn within(before: Position, first: Position, next: Position) -> Result<(), LogError> {
    if before <= next {
        Ok(())
    } else {
        Err(LogError::ReplayGap { first, next })
    }
}

/// The log's bounds after one step; none for a log that never was.
async fn step(
    shared: &Shared,
    log: &Stream,
    before: Position,
) -> Result<Option<(Position, Position)>, LogError> {
    let mut attempt = 1;
    // Ends with the step done or refused, or its attempts.
    loop {
        let ended = once(shared, log, before).await;
        match ended {
            Ok(rows) => return bounds(&rows),
            Err(Missed::Congestion) if attempt < ATTEMPTS_MAX => {
                tokio::time::sleep(shared.delay(attempt)).await;
                attempt += 1;
            }
            Err(Missed::Congestion) => {
                return Err(LogError::Commit(CommitError::Busy {
                    cause: BusyCause::Contention,
                }));
            }
            // Idempotent: whether the step was done, the next truncation finds.
            Err(Missed::Other(error)) => {
                return Err(LogError::Commit(CommitError::Unavailable { source: error }));
            }
        }
    }
}

enum Missed {
    Congestion,
    Other(Option<crate::Source>),
}

impl From<Error> for Missed {
    fn from(error: Error) -> Self {
        if error.code().is_some_and(is_congestion) {
            Self::Congestion
        } else {
            Self::Other(Some(Box::new(error)))
        }
    }
}

/// All is sent at the first poll, so a caller that goes away leaves nothing half sent.
async fn once(shared: &Shared, log: &Stream, before: Position) -> Result<(Vec<Row>, Vec<Row>), Missed> {
    let mut held = shared.checkout().await.map_err(|_| Missed::Congestion)?;
    let ended = exchange(held.session(), &shared.sql, log, before).await;
    held.give_back();
    Ok(ended?)
}

async fn exchange(
    session: &mut Session,
    sql: &Sql,
    log: &Stream,
    before: Position,
) -> Result<(Vec<Row>, Vec<Row>), Error> {
    let lock = session.statement(&sql.truncate_lock).await?;
    let truncate = session.statement(&sql.truncate).await?;
    let before = i64::try_from(before.get()).unwrap_or(i64::MAX);
    let (name, client) = (log.key().stored(), &session.client);
    let (which, how_far): ([&(dyn ToSql + Sync); 1], [&(dyn ToSql + Sync); 2]) = ([&name], [&name, &before]);
    let (begun, locked, truncated, committed) = futures::join!(
        client.batch_execute(BEGIN),
        client.query(&lock, &which),
        client.query(&truncate, &how_far),
        client.batch_execute(COMMIT),
    );
    begun?;
    let rows = (locked?, truncated?);
    committed?;
    Ok(rows)
}

fn bounds((locked, truncated): &(Vec<Row>, Vec<Row>)) -> Result<Option<(Position, Position)>, LogError> {
    let Some(row) = locked.first() else {
        return Ok(None);
    };
    let next = position(row, 1)?;
    let first = match truncated.first() {
        Some(row) => position(row, 0)?,
        None => position(row, 0)?,
    };
    Ok(Some((first, next)))
}
