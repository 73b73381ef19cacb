//! Rows of records removed long ago go; their numbers live on in the store's floor.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::Shared;

/// How many removals make it worth looking.
const PRUNE_EVERY: usize = 512;

/// Whether this process removed enough since the last time.
pub(super) fn is_due(shared: &Shared) -> bool {
    shared.removed.load(Ordering::Relaxed) >= PRUNE_EVERY && shared.queue.refusal().is_none()
}

/// Prunes until little is left that is old enough. What fails is left to the next time, or another process.
pub(super) async fn prune(shared: Arc<Shared>) {
    shared.removed.store(0, Ordering::Relaxed);
    let age = shared.tombstones.as_secs_f64();
    // Ends: every step takes a thousand rows, and fewer when there are no more.
    loop {
        match shared.rows(&shared.sql.prune, &[&age]).await {
            Ok(rows) => {
                let pruned: i64 = rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or(0);
                if pruned < 1000 {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "rows of removed records were not pruned");
                return;
            }
        }
    }
}
