//! What is to be sent next: read from the log behind a cursor.

use std::ops::ControlFlow;

use dormouse_filesystem::{Logged, Position, Version};

use super::{Portion, SinkOptions};
use crate::core::Core;
use crate::event::{EventAt, Events};
use crate::limits::{PAGE_MAX, RELAY_BATCH_MAX};
use crate::{CommandError, Subject};

/// What is to be sent next, and what was read on the way.
#[derive(Debug)]
pub(super) struct Next {
    /// The events to send; none where the filter wants none of what was read.
    pub(super) events: Vec<EventAt>,
    /// The last position before the first of them that is done with already.
    pub(super) before: Position,
    /// The last position that is done with once they are taken.
    pub(super) through: Position,
    /// Whether the log had no more entries than were read.
    pub(super) is_end: bool,
    /// What comes next, where it is no event, and nothing is to be sent before it.
    pub(super) undecoded: Option<Logged>,
}

/// Reads on behind a position.
pub(super) async fn next(
    core: &Core,
    events: &Events,
    consumer: &Subject,
    options: &SinkOptions,
    after: Position,
    at_once: usize,
) -> Result<Next, CommandError> {
    let limit = match options.portion {
        Portion::UpTo(_) => RELAY_BATCH_MAX,
        Portion::Commit => PAGE_MAX,
    };
    let mut read = read(core, events, consumer, options, after, at_once, limit).await?;
    // A commit that begins within a page may go on behind it: it is read again from its beginning.
    if options.portion == Portion::Commit && read.may_go_on && read.next.before > after {
        let from = read.next.before;
        read = self::read(core, events, consumer, options, from, at_once, limit).await?;
    }
    Ok(read.next)
}

struct Read {
    next: Next,
    /// Whether the commit that was read last may have more events than the page.
    may_go_on: bool,
}

async fn read(
    core: &Core,
    events: &Events,
    consumer: &Subject,
    options: &SinkOptions,
    after: Position,
    at_once: usize,
    limit: usize,
) -> Result<Read, CommandError> {
    let page = core.events.tail(after, limit).await?;
    let mut taking = Taking::new(options, consumer, at_once, after);
    for entry in &page {
        if taking.take(events, entry)?.is_break() {
            let next = Next {
                is_end: false,
                ..taking.next
            };
            return Ok(Read {
                next,
                may_go_on: false,
            });
        }
    }
    taking.next.is_end = page.len() < limit;
    let may_go_on = !taking.next.is_end && !taking.next.events.is_empty();
    Ok(Read {
        next: taking.next,
        may_go_on,
    })
}

/// Events on their way into a portion.
struct Taking<'a> {
    options: &'a SinkOptions,
    own: String,
    at_once: usize,
    commit: Option<Version>,
    next: Next,
}

impl<'a> Taking<'a> {
    fn new(options: &'a SinkOptions, consumer: &Subject, at_once: usize, after: Position) -> Self {
        Self {
            options,
            own: consumer.to_string(),
            at_once,
            commit: None,
            next: Next {
                events: Vec::new(),
                before: after,
                through: after,
                is_end: false,
                undecoded: None,
            },
        }
    }

    fn take(&mut self, events: &Events, entry: &Logged) -> Result<ControlFlow<()>, CommandError> {
        let event = match events.decode(entry) {
            Ok(event) => event,
            // What is before it goes first, and then it is its turn.
            Err(CommandError::Corrupt(_)) => {
                let is_first = self.next.events.is_empty();
                self.next.undecoded = is_first.then(|| entry.clone());
                return Ok(ControlFlow::Break(()));
            }
            Err(error) => return Err(error),
        };
        // What is told of a sink is not told to it: it might refuse that too, and so for ever.
        let is_wanted = self.options.filter.fits(&event.event) && event.event.subject != self.own;
        let is_of_next = self.commit.is_some_and(|commit| commit != entry.version);
        let is_full = match self.options.portion {
            Portion::UpTo(_) => is_wanted && self.next.events.len() == self.at_once,
            Portion::Commit => is_of_next,
        };
        if is_full {
            return Ok(ControlFlow::Break(()));
        }
        if is_wanted {
            self.commit = Some(entry.version);
            self.next.events.push(event);
        } else if self.next.events.is_empty() {
            self.next.before = entry.position;
        }
        self.next.through = entry.position;
        Ok(ControlFlow::Continue(()))
    }
}
