//! A step of upkeep: one transaction that no commit waits for, in one exchange with the server.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

use super::failure::{NotDone, is_certain_at_commit, is_congestion};
use super::session::Session;
use super::shared::Shared;
use super::sql::{BEGIN, COMMIT};
use crate::Source;

/// Longest wait for the server to do a step, what prepares it included: then its connection is given up.
const STEP_MAX: Duration = Duration::from_secs(10);

/// The text of a statement, and its parameters.
pub(super) type Asked<'a> = (&'a str, &'a [&'a (dyn ToSql + Sync)]);

/// Why it is not known to be done.
#[derive(Debug)]
pub(super) enum Missed {
    /// Nothing was done, and the same again may go: a connection or a lock was not to be had.
    NotNow(NotDone),
    /// Nothing was done, and the server did not answer: who tries again waits as long.
    NoAnswer,
    /// The server said no: nothing was done.
    Refused(Source),
    /// It was sent, and the answer was lost.
    Unknown(Source),
}

impl Missed {
    /// Of an error before anything was sent that changes something.
    fn before(error: Error) -> Self {
        match error.code() {
            Some(code) if !is_congestion(code) => Self::Refused(Box::new(error)),
            Some(_) | None => Self::NotNow(NotDone::of(error)),
        }
    }

    /// Of an error that answers the `COMMIT`: few codes say that it was not done.
    fn of_commit(error: Error) -> Self {
        if is_certain_at_commit(&error) {
            error.into()
        } else {
            Self::Unknown(Box::new(error))
        }
    }
}

impl From<Error> for Missed {
    fn from(error: Error) -> Self {
        match error.code() {
            Some(_) => match NotDone::of(error) {
                NotDone::Unavailable(Some(source)) => Self::Refused(source),
                why => Self::NotNow(why),
            },
            None => Self::Unknown(Box::new(error)),
        }
    }
}

impl Shared {
    /// The rows of each statement of a transaction.
    ///
    /// All is sent at the first poll behind the statements' preparation, so a caller that goes away leaves nothing half
    /// sent. In time or not at all: a server that hangs keeps the connection, and nobody waits for it.
    pub(super) async fn step<const N: usize>(&self, asked: [Asked<'_>; N]) -> Result<[Vec<Row>; N], Missed> {
        let checkout = self.checkout().await;
        let mut held = checkout.map_err(|error| Missed::NotNow(NotDone::of_checkout(error)))?;
        let until = Instant::now() + STEP_MAX;
        let prepared = match timeout_at(until, prepare(held.session(), &asked)).await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(error)) => {
                held.give_back();
                return Err(Missed::before(error));
            }
            Err(_) => return Err(Missed::NoAnswer),
        };
        let ended = timeout_at(until, exchange(&held.session().client, &prepared, &asked)).await;
        let ended = ended.map_err(|elapsed| Missed::Unknown(Box::new(elapsed)))?;
        held.give_back();
        Ok(ended?.try_into().expect("each statement has rows"))
    }
}

async fn prepare(session: &mut Session, asked: &[Asked<'_>]) -> Result<Vec<Statement>, Error> {
    let mut prepared = Vec::with_capacity(asked.len());
    for (sql, _) in asked {
        prepared.push(session.statement(sql).await?);
    }
    Ok(prepared)
}

async fn exchange(
    client: &Client,
    prepared: &[Statement],
    asked: &[Asked<'_>],
) -> Result<Vec<Vec<Row>>, Missed> {
    let mut queries = Vec::with_capacity(asked.len());
    for (statement, (_, parameters)) in prepared.iter().zip(asked) {
        queries.push(client.query(statement, parameters));
    }
    // Sent in this order.
    let (begun, rows, committed) = futures::join!(
        client.batch_execute(BEGIN),
        join_all(queries),
        client.batch_execute(COMMIT),
    );
    begun?;
    let rows = rows.into_iter().collect::<Result<_, Error>>()?;
    committed.map_err(Missed::of_commit)?;
    Ok(rows)
}
