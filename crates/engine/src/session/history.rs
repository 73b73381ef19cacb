//! The history of a session: its newest edges.

use dormouse_filesystem::Position;
use dormouse_state::Edge;

use super::live::Newest;
use super::told::history;
use crate::core::Core;
use crate::limits::SESSION_HISTORY_MAX;
use crate::{CommandError, SessionId};

/// The newest edges, oldest first: at most [`SESSION_HISTORY_MAX`].
pub(super) async fn newest(core: &Core, id: SessionId) -> Result<Vec<Edge>, CommandError> {
    let log = history(&core.space, id);
    let head = log.head().await?;
    let last = head.next.get().saturating_sub(1);
    let after = last.saturating_sub(as_count(SESSION_HISTORY_MAX));
    let after = after.max(head.first.get().saturating_sub(1));
    let gathered = Newest::read(&core.space, id).await?;
    let entries = log.tail(Position::new(after), SESSION_HISTORY_MAX).await?;
    let edges = entries.iter().map(|logged| serde_json::from_slice(&logged.entry));
    let mut edges: Vec<Edge> = edges
        .collect::<Result<_, _>>()
        .map_err(|error| CommandError::Corrupt(error.into()))?;
    // What is gathered goes on from the row; what became history in between is not told twice.
    let last = edges.last().map_or(0, |edge| edge.sequence);
    let gathered = gathered.iter().flat_map(|read| read.edges());
    edges.extend(gathered.filter(|edge| edge.sequence > last).cloned());
    let surplus = edges.len().saturating_sub(SESSION_HISTORY_MAX);
    edges.drain(..surplus);
    Ok(edges)
}

/// Drops what is older than the newest [`SESSION_HISTORY_MAX`] edges, once there are twice as many.
pub(super) async fn trim(core: &Core, id: SessionId) -> Result<(), CommandError> {
    let log = history(&core.space, id);
    let head = log.head().await?;
    let kept = head.next.get().saturating_sub(head.first.get());
    if kept > 2 * as_count(SESSION_HISTORY_MAX) {
        let before = head.next.get() - as_count(SESSION_HISTORY_MAX);
        log.truncate(Position::new(before)).await?;
    }
    Ok(())
}

fn as_count(limit: usize) -> u64 {
    u64::try_from(limit).expect("a limit is small")
}
