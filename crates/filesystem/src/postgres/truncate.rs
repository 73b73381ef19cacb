//! Dropping the head of a log: a thousand entries a transaction, each in one exchange.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::failure::is_congestion;
use super::read::position;
use super::session::Session;
use super::shared::Shared;
use super::sql::{BEGIN, COMMIT, Sql};
use crate::{BusyCause, CommitError, LogError, Position, Stream};

/// Longest wait for the server to do a step: then its connection is given up.
const STEP_MAX: Duration = Duration::from_secs(10);
/// Most tries of one step.
const ATTEMPTS_MAX: u32 = 6;

pub(super) async fn truncate(shared: &Shared, log: &Stream, before: Position) -> Result<Position, LogError> {
    // Ends: each step drops what is there, and nothing is appended before `before`.
    loop {
        if let Some(reason) = shared.queue.refusal() {
            return Err(CommitError::Closed { reason }.into());
        }
        let ended = step(shared, log, before).await;
        // Also when nobody can tell: whoever watches looks.
        if !matches!(ended, Ok(None)) {
            shared.hint(std::iter::once(log.key()));
        }
        let Some((first, next)) = ended? else {
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
            Err(Missed::Refused(source)) => {
                return Err(LogError::Commit(CommitError::Unavailable { source }));
            }
            // Idempotent: whether the step was done, the next truncation finds.
            Err(Missed::Unknown(source)) => {
                return Err(LogError::Commit(CommitError::Indeterminate { source }));
            }
        }
    }
}

enum Missed {
    Congestion,
    /// The server said no, or is not there: nothing was done.
    Refused(Option<crate::Source>),
    /// It was sent, and the answer was lost.
    Unknown(Option<crate::Source>),
}

impl From<Error> for Missed {
    fn from(error: Error) -> Self {
        match error.code() {
            Some(code) if is_congestion(code) => Self::Congestion,
            Some(_) => Self::Refused(Some(Box::new(error))),
            None => Self::Unknown(Some(Box::new(error))),
        }
    }
}

/// All is sent at the first poll, so a caller that goes away leaves nothing half sent.
async fn once(shared: &Shared, log: &Stream, before: Position) -> Result<(Vec<Row>, Vec<Row>), Missed> {
    let mut held = shared.checkout().await.map_err(|_| Missed::Congestion)?;
    // In time or not at all: a server that hangs keeps the connection, and nobody waits for it.
    let exchange = exchange(held.session(), &shared.sql, log, before);
    let ended = timeout(STEP_MAX, exchange).await;
    let ended = ended.map_err(|elapsed| Missed::Unknown(Some(Box::new(elapsed))))?;
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
