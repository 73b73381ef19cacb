//! Rows of records removed long ago go, and rows that only held a lock; their numbers live on in the store's floor.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::ToSql;

use super::session::Session;
use super::shared::Shared;
use super::sql::{BEGIN, COMMIT};
use crate::{Batch, Expected};

/// How many rows without a record make it worth looking. It is done once at the opening too.
pub(super) const PRUNE_EVERY: usize = 512;
/// Rows that a step takes at most.
const STEP_ROWS: i64 = 1000;
/// Longest wait for a step.
const STEP_MAX: Duration = Duration::from_secs(10);

/// How many rows without a record a batch may have left: of what it removed, and of what it expected absent and did
/// not make.
pub(super) fn rows_left(batch: &Batch, is_done: bool) -> usize {
    let absent = batch.keys().filter(|(_, expected)| *expected == Expected::Absent);
    let made = batch.puts.iter().filter(|put| put.expected == Expected::Absent);
    if is_done {
        batch.deletes.len() + absent.count() - made.count()
    } else {
        absent.count()
    }
}

/// Whether there may be enough since the last time.
pub(super) fn is_due(shared: &Shared) -> bool {
    shared.leftover.load(Ordering::Relaxed) >= PRUNE_EVERY && shared.queue.refusal().is_none()
}

/// Prunes until little is left that is old enough. What fails is left to the next time, or another process.
pub(super) async fn prune(shared: Arc<Shared>) {
    shared.leftover.store(0, Ordering::Relaxed);
    // Ends: every step takes a thousand rows, and fewer when there are no more.
    loop {
        match step(&shared).await {
            Ok(pruned) if pruned < STEP_ROWS => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error, "rows without a record were not pruned");
                return;
            }
        }
    }
}

/// How many rows went.
async fn step(shared: &Shared) -> Result<i64, crate::Source> {
    let mut held = shared.checkout().await?;
    let pruned = timeout(STEP_MAX, exchange(held.session(), shared)).await?;
    held.give_back();
    Ok(pruned?)
}

async fn exchange(session: &mut Session, shared: &Shared) -> Result<i64, tokio_postgres::Error> {
    let prune = session.statement(&shared.sql.prune).await?;
    let (client, age) = (&session.client, shared.tombstones.as_secs_f64());
    let parameters: [&(dyn ToSql + Sync); 1] = [&age];
    let (begun, pruned, committed) = futures::join!(
        client.batch_execute(BEGIN),
        client.query_one(&prune, &parameters),
        client.batch_execute(COMMIT),
    );
    begun?;
    let pruned = pruned?.try_get(0)?;
    committed?;
    Ok(pruned)
}
