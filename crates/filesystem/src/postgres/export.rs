//! Exporting: pages read in one transaction that sees one point, on a connection of its own.
//!
//! It takes none from the pool, so commits and reads are not kept waiting, however slow its reader is.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::Manager;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::failure::unread;
use super::read::{asked, bounds, bounds_of_logs, heads_of, listed, tailed, version};
use super::session::Session;
use super::shared::Shared;
use crate::export::{ExportTaken, Pages, RecordsPage};
use crate::{
    Entry, ExportPoint, Item, Key, LogError, LogHead, Logged, PAGE_MAX, Page, Position, Prefix, ReadError,
    Stream,
};

/// The server does not end it for the time that its reader takes, which [`EXPORT_IDLE`](crate::EXPORT_IDLE) bounds.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                     SET LOCAL idle_in_transaction_session_timeout = 0";
/// Longest wait for a page, and for the transaction to begin.
const PAGE_TIME_MAX: Duration = Duration::from_secs(60);
/// Longest wait for the point, for which every row's version is looked at.
const POINT_TIME_MAX: Duration = Duration::from_secs(600);

/// An export under way. Dropped, its connection is closed, and the server ends the transaction.
pub(super) struct Exporting {
    shared: Arc<Shared>,
    session: Session,
    prefix: Prefix,
    point: ExportPoint,
    _taken: ExportTaken,
}

impl Exporting {
    pub(super) async fn begin(shared: Arc<Shared>, prefix: Prefix) -> Result<Self, ReadError> {
        let taken = shared.exports.take()?;
        let begun = timeout(PAGE_TIME_MAX, begin(&shared)).await;
        let mut session = begun.unwrap_or_else(|_| Err(silent()))?;
        // What is read first fixes the point.
        let rows = query(&mut session, &shared.sql.point, &[], POINT_TIME_MAX).await?;
        let row = rows.first().ok_or_else(silent)?;
        let point = ExportPoint {
            store: shared.store,
            version: version(row, 0)?,
        };
        Ok(Self {
            shared,
            session,
            prefix,
            point,
            _taken: taken,
        })
    }
}

/// A connection of its own, in a transaction.
async fn begin(shared: &Shared) -> Result<Session, ReadError> {
    let session = shared.pool.manager().create().await;
    let session = session.map_err(|error| ReadError::Unavailable {
        reason: "a connection to export on",
        source: Some(Box::new(error)),
    })?;
    session.client.batch_execute(BEGIN).await.map_err(unread)?;
    Ok(session)
}

fn silent() -> ReadError {
    ReadError::Unavailable {
        reason: "the server",
        source: None,
    }
}

async fn query(
    session: &mut Session,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
    longest: Duration,
) -> Result<Vec<Row>, ReadError> {
    let read = async {
        let statement = session.statement(sql).await?;
        session.client.query(&statement, parameters).await
    };
    match timeout(longest, read).await {
        Ok(rows) => rows.map_err(unread),
        Err(_) => Err(silent()),
    }
}

impl Pages for Exporting {
    fn point(&self) -> ExportPoint {
        self.point
    }

    async fn records(&mut self, after: Option<Key>) -> Result<RecordsPage, ReadError> {
        let page = Page {
            after,
            ..Page::of(self.prefix.clone())
        };
        let Some((low, high)) = bounds(&page) else {
            return Ok(RecordsPage {
                items: Vec::new(),
                next: None,
            });
        };
        let sql = self.shared.sql.list(false, true);
        let rows = query(
            &mut self.session,
            &sql,
            &[&low, &high, &asked(&page)],
            PAGE_TIME_MAX,
        )
        .await?;
        let listed = listed(&rows, &page)?;
        Ok(RecordsPage {
            items: listed.items.into_iter().map(entry).collect(),
            next: listed.next,
        })
    }

    async fn heads(&mut self, after: Option<Stream>) -> Result<Vec<(Stream, LogHead)>, ReadError> {
        let Some((low, high)) = bounds_of_logs(&self.prefix, after.as_ref()) else {
            return Ok(Vec::new());
        };
        let most = i64::try_from(PAGE_MAX).expect("a limit is small");
        let sql = &self.shared.sql.heads;
        let rows = query(&mut self.session, sql, &[&low, &high, &most], PAGE_TIME_MAX).await?;
        heads_of(&rows, PAGE_MAX)
    }

    async fn entries(
        &mut self,
        log: &Stream,
        _head: &LogHead,
        after: Position,
    ) -> Result<Vec<Result<Logged, ReadError>>, ReadError> {
        let most = i64::try_from(PAGE_MAX).expect("a limit is small");
        let from = i64::try_from(after.get()).unwrap_or(i64::MAX);
        let sql = &self.shared.sql.tail;
        let parameters: [&(dyn ToSql + Sync); 3] = [&log.key().stored(), &from, &most];
        let rows = query(&mut self.session, sql, &parameters, PAGE_TIME_MAX).await?;
        let missing = || ReadError::Corrupt {
            key: log.key().clone(),
        };
        let tail = tailed(&rows, log, after, PAGE_MAX).map_err(|error| match error {
            LogError::Read(error) => error,
            // Its row said that they are there.
            LogError::ReplayGap { .. } | LogError::Incarnation { .. } | LogError::Commit(_) => missing(),
        })?;
        if tail.is_empty() {
            return Ok(vec![Err(missing())]);
        }
        Ok(tail.into_iter().map(Ok).collect())
    }
}

fn entry(item: Item) -> Result<Entry, ReadError> {
    match item {
        Item::Entry(entry) => Ok(entry),
        Item::Corrupt { key } | Item::Key { key, .. } => Err(ReadError::Corrupt { key }),
    }
}
