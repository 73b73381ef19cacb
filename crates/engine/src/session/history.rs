//! The history of a session: its newest edges.

use dormouse_filesystem::Position;
use dormouse_state::Edge;

use super::live::Newest;
use super::told::history;
use crate::core::Core;
use crate::limits::PAGE_MAX;
use crate::{CommandError, SessionId};

/// The newest edges, oldest first: at most `sessions.history_max`.
pub(super) async fn newest(core: &Core, id: SessionId) -> Result<Vec<Edge>, CommandError> {
    let max = max(core);
    let log = history(&core.space, id);
    let head = log.head().await?;
    let last = head.next.get().saturating_sub(1);
    let after = last.saturating_sub(as_count(max));
    let after = after.max(head.first.get().saturating_sub(1));
    let gathered = Newest::read(&core.space, id).await?;
    let entries = log.tail(Position::new(after), max).await?;
    let edges = entries.iter().map(|logged| serde_json::from_slice(&logged.entry));
    let mut edges: Vec<Edge> = edges
        .collect::<Result<_, _>>()
        .map_err(|error| CommandError::Corrupt(error.into()))?;
    // What is gathered goes on from the row; what became history in between is not told twice.
    let last = edges.last().map_or(0, |edge| edge.sequence);
    let gathered = gathered.iter().flat_map(|read| read.edges());
    edges.extend(gathered.filter(|edge| edge.sequence > last).cloned());
    let surplus = edges.len().saturating_sub(max);
    edges.drain(..surplus);
    Ok(edges)
}

/// Drops what is older than the newest `sessions.history_max` edges, once there are twice as many.
pub(super) async fn trim(core: &Core, id: SessionId) -> Result<(), CommandError> {
    let log = history(&core.space, id);
    let head = log.head().await?;
    let max = as_count(max(core));
    let kept = head.next.get().saturating_sub(head.first.get());
    if kept > 2 * max {
        let before = head.next.get() - max;
        log.truncate(Position::new(before)).await?;
    }
    Ok(())
}

/// How many are kept; a page has no more than its most.
pub(super) fn max(core: &Core) -> usize {
    core.sessions.history_max.clamp(1, PAGE_MAX)
}

fn as_count(limit: usize) -> u64 {
    u64::try_from(limit).expect("a limit is small")
}
