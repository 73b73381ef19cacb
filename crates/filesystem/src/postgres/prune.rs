//! Rows of records removed long ago go, and rows that only held a lock; their numbers live on in the store's floor.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::Shared;
use super::step::Missed;
use crate::{Batch, Expected};

/// How many rows without a record make it worth looking. It is done once at the opening too.
pub(super) const PRUNE_EVERY: usize = 512;
/// Rows that a step takes at most.
const STEP_ROWS: i64 = 1000;

/// How many rows without a record a batch may have left: of what it removed, and of what it checked to be absent.
pub(super) fn rows_left(batch: &Batch, is_done: bool) -> usize {
    let absent = batch
        .checks
        .iter()
        .filter(|check| check.expected == Expected::Absent);
    let removed = if is_done { batch.deletes.len() } else { 0 };
    removed + absent.count()
}

/// Whether there may be enough since the last time. Then it is counted anew: who is told so prunes.
pub(super) fn falls_due(shared: &Shared) -> bool {
    let is_due = shared.leftover.load(Ordering::Relaxed) >= PRUNE_EVERY && shared.queue.refusal().is_none();
    if is_due {
        shared.leftover.store(0, Ordering::Relaxed);
    }
    is_due
}

/// Prunes until little is left that is old enough. What fails is left to the next time, or another process.
pub(super) async fn prune(shared: Arc<Shared>) {
    // Ends: every step takes a thousand rows, and fewer when there are no more.
    loop {
        match step(&shared).await {
            Ok(pruned) if pruned < STEP_ROWS => return,
            // It is closed, and waits for this.
            Ok(_) if shared.queue.refusal().is_some() => return,
            Ok(_) => {}
            Err(why) => {
                tracing::warn!(?why, "rows without a record were not pruned");
                return;
            }
        }
    }
}

/// How many rows went.
async fn step(shared: &Shared) -> Result<i64, Missed> {
    let age = shared.tombstones.as_secs_f64();
    let [pruned] = shared.step([(shared.sql.prune.as_str(), &[&age])]).await?;
    let count = pruned.first().and_then(|row| row.try_get(0).ok());
    Ok(count.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::{PostgresOptions, open};

    #[tokio::test]
    async fn rows_that_were_left_make_it_due_once() {
        let options = PostgresOptions::new(jiff::Timestamp::UNIX_EPOCH, 7);
        let connector = open::connector("postgres://nobody@127.0.0.1/none", &options).await;
        let shared = open::shared(connector.unwrap(), &options, "here", "").unwrap();
        assert!(falls_due(&shared), "others may have left some");
        assert!(!falls_due(&shared), "it is looked for already");
        shared.leftover.fetch_add(PRUNE_EVERY, Ordering::Relaxed);
        assert!(falls_due(&shared));
    }
}
