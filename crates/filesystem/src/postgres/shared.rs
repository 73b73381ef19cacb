//! What the handle and its tasks share.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool::managed::{Object, Pool, PoolError};
use futures::future::try_join_all;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::failure::{no_session, unread};
use super::hints::Pending;
use super::queue::Queue;
use super::session::{Connector, Session, SessionError};
use super::sql::Sql;
use crate::export::ExportSlot;
use crate::{Key, ReadError, State, Watches};

/// Longest a read waits for the server.
const READ_MAX: Duration = Duration::from_secs(10);
/// The delay after the first attempt, without jitter. It doubles with each attempt.
const DELAY_MIN: Duration = Duration::from_millis(5);
/// The longest delay, without jitter; with jitter it is up to twice as long.
const DELAY_MAX: Duration = Duration::from_millis(200);

/// A statement that reads, and what it is asked.
pub(super) type Question<'a> = (&'a str, &'a [&'a (dyn ToSql + Sync)]);

/// One open store.
pub(super) struct Shared {
    pub(super) pool: Pool<Connector>,
    pub(super) sql: Sql,
    pub(super) queue: Queue,
    pub(super) watches: Watches,
    pub(super) pending: Pending,
    pub(super) place: String,
    /// The store's own id.
    pub(super) store: [u8; 16],
    pub(super) exports: ExportSlot,
    /// How long an export is held of which nobody takes an item.
    pub(super) export_idle: Duration,
    pub(super) tombstones: Duration,
    /// Most transactions at once: one connection is left to reads.
    pub(super) transactions_max: usize,
    pub(super) jitter: Mutex<StdRng>,
    pub(super) commits: AtomicU64,
    pub(super) flushes: AtomicU64,
    /// Rows without a record that may have been left since such were last looked for.
    pub(super) leftover: AtomicUsize,
}

async fn ask(
    session: &mut Session,
    questions: &[Question<'_>],
) -> Result<Vec<Vec<Row>>, tokio_postgres::Error> {
    let mut statements = Vec::with_capacity(questions.len());
    for (sql, _) in questions {
        statements.push(session.statement(sql).await?);
    }
    let asked = statements.iter().zip(questions);
    let answers = asked.map(|(statement, (_, parameters))| session.client.query(statement, parameters));
    try_join_all(answers).await
}

impl Shared {
    /// Rows of one statement, which is one read point. Asked again on another connection when this one had ended.
    pub(super) async fn rows(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, ReadError> {
        let mut answers = self.rows_many(&[(sql, parameters)]).await?;
        Ok(answers.pop().expect("each question is answered"))
    }

    /// Rows of several statements on one connection, all sent before the first is answered. Asked again on another when
    /// this one had ended.
    pub(super) async fn rows_many(&self, questions: &[Question<'_>]) -> Result<Vec<Vec<Row>>, ReadError> {
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        let mut again = true;
        // Ends with an answer, or the second error.
        loop {
            let mut session = self.pool.get().await.map_err(no_session)?;
            match timeout(READ_MAX, ask(&mut session, questions)).await {
                Ok(Ok(answers)) => return Ok(answers),
                Ok(Err(_)) if again && session.client.is_closed() => again = false,
                Ok(Err(error)) => return Err(unread(error)),
                Err(_) => {
                    // It may hang for ever: nobody else is to wait for it.
                    drop(Object::take(session));
                    return Err(ReadError::Unavailable {
                        reason: "the server",
                        source: None,
                    });
                }
            }
        }
    }

    /// Tells watches here and, soon, in other processes.
    pub(super) fn hint<'a>(&self, changed: impl Iterator<Item = &'a Key> + Clone) {
        self.watches.ring(changed.clone());
        self.pending.add(changed);
    }

    /// A connection for a transaction.
    pub(super) async fn checkout(&self) -> Result<Held, PoolError<SessionError>> {
        self.pool.get().await.map(|object| Held {
            object: Some(object),
            is_clean: false,
        })
    }

    /// How long to wait after this attempt, counted from 1.
    pub(super) fn delay(&self, attempt: u32) -> Duration {
        let delay = DELAY_MIN
            .saturating_mul(1 << (attempt - 1).min(16))
            .min(DELAY_MAX);
        let mut jitter = self.jitter.lock().unwrap_or_else(PoisonError::into_inner);
        delay + jitter.random_range(Duration::ZERO..=delay)
    }

    pub(super) fn state(&self) -> State {
        match self.queue.refusal() {
            None => State::Open,
            Some(reason) => State::Closed { reason },
        }
    }

    pub(super) fn count(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({})", self.place)
    }
}

/// A connection in a transaction. It goes back to the pool only when the transaction is over; dropped before, by a
/// panic or at the store's end, it is closed, and the server rolls back.
pub(super) struct Held {
    object: Option<Object<Connector>>,
    is_clean: bool,
}

impl Held {
    pub(super) fn session(&mut self) -> &mut Session {
        self.object.as_mut().expect("it is held until it is dropped")
    }

    /// The transaction is over: the connection may be used by others.
    pub(super) fn give_back(mut self) {
        self.is_clean = !self.session().client.is_closed();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let (Some(object), false) = (self.object.take(), self.is_clean) {
            drop(Object::take(object));
        }
    }
}
