//! Finding threads and messages, in pages.

use dormouse_filesystem::{Cursor, IndexValue, Issue, Order, Query, Records, Versioned};

use super::{Message, MessageAt, MessageStatus, Thread, ThreadIndex};
use crate::core::Core;
use crate::id::segment;
use crate::limits::PAGE_MAX;
use crate::{AgentName, CommandError, ThreadId};

/// One page of threads.
#[derive(Debug, Clone)]
pub struct ThreadPage {
    /// The latest activity first.
    pub rows: Vec<Versioned<Thread>>,
    /// For the next page; none only at the end.
    pub next: Option<Cursor>,
    /// Rows that cannot be believed, left out.
    pub issues: Vec<Issue>,
}

/// One page of messages.
#[derive(Debug, Clone)]
pub struct MessagePage {
    /// In the order of their sequences.
    pub rows: Vec<Versioned<Message>>,
    /// The sequence that the next page is after; none only at the end.
    pub next: Option<u64>,
    /// Rows that cannot be believed, left out.
    pub issues: Vec<Issue>,
}

pub(super) async fn threads(
    rows: &Records<Thread>,
    agent: Option<&AgentName>,
    after: Option<Cursor>,
    limit: usize,
) -> Result<ThreadPage, CommandError> {
    let query = match agent {
        None => Query::of(ThreadIndex::Activity),
        Some(agent) => Query::of(ThreadIndex::Agent).equals([IndexValue::segment(agent.segment())]),
    };
    let found = rows
        .find(&query.order(Order::Down).after(after).limit(limit))
        .await?;
    Ok(ThreadPage {
        rows: found.rows,
        next: found.next,
        issues: found.issues,
    })
}

pub(super) async fn messages(
    core: &Core,
    thread: ThreadId,
    after: u64,
    limit: usize,
) -> Result<MessagePage, CommandError> {
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(CommandError::invalid(
            "limit",
            format!("1 to {PAGE_MAX} are given at once"),
        ));
    }
    let of = super::service::get(core, thread).await?;
    let first = [segment(&thread.to_string())];
    let mut after = (after > 0).then_some(MessageAt {
        thread,
        sequence: after,
    });
    let mut page = MessagePage {
        rows: Vec::new(),
        next: None,
        issues: Vec::new(),
    };
    // Ends with a full page, or with the last row.
    loop {
        let left = limit - page.rows.len();
        let ranged = Records::<Message>::new(&core.space)
            .range(&first, after.as_ref(), left)
            .await?;
        let is_shown =
            |message: &Versioned<Message>| message.is_of(&of) && message.status != MessageStatus::Deleted;
        page.rows.extend(ranged.rows.into_iter().filter(is_shown));
        page.issues.extend(ranged.issues);
        after = ranged.next;
        if after.is_none() || page.rows.len() == limit {
            page.next = after.map(|at| at.sequence);
            return Ok(page);
        }
    }
}
