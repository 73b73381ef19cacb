//! Following the events that a filter wants: a position and hints, no queue.

use std::fmt;

use dormouse_filesystem::Position;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::{EventAt, EventCursor, EventFilter, Events};
use crate::CommandError;

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With the earliest event that is kept.
    Earliest,
    /// With the first that is committed from now on.
    Now,
    /// Behind a cursor of the same filter.
    After(EventCursor),
}

/// A reader of the events that a filter wants.
pub struct Subscription {
    entries: BoxStream<'static, Result<EventAt, CommandError>>,
    filter: EventFilter,
    cursor: EventCursor,
    events: Events,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription(behind {})", self.cursor)
    }
}

impl Subscription {
    /// The head is read here. What is committed from then on comes: the log is followed from that position, whenever the
    /// first event is asked for.
    pub(super) async fn begin(
        events: &Events,
        filter: &EventFilter,
        begin: Begin,
    ) -> Result<Self, CommandError> {
        let head = events.head().await?;
        let after = match begin {
            Begin::Earliest => Position::new(head.first.get() - 1),
            Begin::Now => Position::new(head.next.get() - 1),
            Begin::After(cursor) => cursor.resume(events.scope(filter), &head)?,
        };
        if after >= head.next || after.next() < head.first {
            return Err(CommandError::ReplayGap {
                first: head.first,
                next: head.next,
            });
        }
        Ok(Self {
            entries: events.follow(after).boxed(),
            filter: filter.clone(),
            cursor: events.cursor_in(filter, &head, after),
            events: events.clone(),
        })
    }

    /// Waits for the next event; none when the store is closed. Dropping the future loses nothing.
    ///
    /// # Errors
    /// `ReplayGap` when it fell behind what is kept; as any read. Nothing comes after an error.
    pub async fn next(&mut self) -> Result<Option<EventAt>, CommandError> {
        // Ends with an event that is wanted, an error, or the store's close.
        loop {
            let Some(event) = self.entries.next().await.transpose()? else {
                return Ok(None);
            };
            self.cursor.after = event.position;
            if self.filter.fits(&event.event) {
                return Ok(Some(event));
            }
        }
    }

    /// Where it is: another one goes on from here, in this process or the next.
    ///
    /// # Errors
    /// As any read.
    pub async fn cursor(&mut self) -> Result<EventCursor, CommandError> {
        // It began before the log did, whose incarnation was not known then.
        if self.cursor.incarnation.is_none() && self.cursor.after > Position::START {
            self.cursor.incarnation = self.events.head().await?.incarnation;
        }
        Ok(self.cursor)
    }
}
