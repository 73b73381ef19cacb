//! Dropping the head of a log: a thousand entries a transaction, each in one exchange.

use tokio_postgres::Row;

use super::failure::NotDone;
use super::read::position;
use super::shared::Shared;
use super::step::Missed;
use crate::{CommitError, LogError, Position, Stream};

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
            Err(Missed::NotNow(_)) if attempt < ATTEMPTS_MAX => {
                tokio::time::sleep(shared.delay(attempt)).await;
                attempt += 1;
            }
            Err(Missed::NotNow(why)) => return Err(LogError::Commit(not_now(why))),
            Err(Missed::NoAnswer) => {
                return Err(LogError::Commit(CommitError::Unavailable { source: None }));
            }
            Err(Missed::Refused(source)) => {
                let source = Some(source);
                return Err(LogError::Commit(CommitError::Unavailable { source }));
            }
            // Idempotent: whether the step was done, the next truncation finds.
            Err(Missed::Unknown(source)) => {
                let source = Some(source);
                return Err(LogError::Commit(CommitError::Indeterminate { source }));
            }
        }
    }
}

fn not_now(why: NotDone) -> CommitError {
    match why.cause() {
        Some(cause) => CommitError::Busy { cause },
        None => CommitError::Unavailable { source: why.source() },
    }
}

async fn once(shared: &Shared, log: &Stream, before: Position) -> Result<[Vec<Row>; 2], Missed> {
    let before = i64::try_from(before.get()).unwrap_or(i64::MAX);
    let (name, sql) = (log.key().stored(), &shared.sql);
    let (lock, truncate) = (sql.truncate_lock.as_str(), sql.truncate.as_str());
    shared
        .step([(lock, &[&name]), (truncate, &[&name, &before])])
        .await
}

fn bounds([locked, truncated]: &[Vec<Row>; 2]) -> Result<Option<(Position, Position)>, LogError> {
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
