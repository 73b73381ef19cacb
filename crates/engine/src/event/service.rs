//! Reading the event log: strictly after a position, in commit order.

use std::sync::Arc;

use dormouse_filesystem::{Log, LogHead, Logged, Position, RecordStore, follow};
use dormouse_secrets::{Formats, Scrubber};
use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};

use super::clean::clean;
use super::subscribe::{Begin, Subscription};
use super::{Event, EventCursor, EventFilter};
use crate::core::Core;
use crate::limits::{EVENT_SCAN_MAX, PAGE_MAX};
use crate::{CommandError, TenantId};

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventAt {
    /// Its place: give the last one seen to read on.
    pub position: Position,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// One page of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// In commit order.
    pub events: Vec<EventAt>,
    /// What to read after next.
    pub next: Position,
}

/// One page of the events that a filter wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filtered {
    /// In commit order. It may be empty before the end: so much was left out.
    pub events: Vec<EventAt>,
    /// What to read after next: it passes what the filter left out.
    pub next: EventCursor,
    /// Whether the log had no more entries.
    pub is_end: bool,
}

/// The events of a tenant, or of the installation.
#[derive(Debug, Clone)]
pub struct Events {
    store: Arc<dyn RecordStore>,
    pub(super) log: Log,
    /// None of the installation's.
    tenant: Option<TenantId>,
    /// Takes out of texts what an older build left in them.
    scrubber: Scrubber,
}

impl Events {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        let tenant = Some(core.tenant.clone());
        Self::of(&core.store, core.events.clone(), tenant, core.formats)
    }

    pub(crate) fn of(
        store: &Arc<dyn RecordStore>,
        log: Log,
        tenant: Option<TenantId>,
        formats: Formats,
    ) -> Self {
        let store = Arc::clone(store);
        let scrubber = Scrubber::empty().with_formats(formats);
        Self {
            store,
            log,
            tenant,
            scrubber,
        }
    }

    /// The events strictly after a position; [`Position::START`] is before the first.
    ///
    /// # Errors
    /// `ReplayGap` when the position is no longer kept, or beyond the end.
    pub async fn read_after(&self, after: Position, limit: usize) -> Result<EventPage, CommandError> {
        check_limit(limit)?;
        let logged = self.log.tail(after, limit).await?;
        let events = logged.iter().filter_map(|entry| self.decoded(entry)).collect();
        let next = logged.last().map_or(after, |entry| entry.position);
        Ok(EventPage { events, next })
    }

    /// The events strictly after a cursor that a filter wants, `limit` of them, 1 to 1,000. It looks through
    /// [`EVENT_SCAN_MAX`] entries at most: a page may have few, and the next one goes on.
    ///
    /// # Errors
    /// `CursorScope` for the cursor of another tenant, filter or log; `ReplayGap` when its position is no longer kept,
    /// or beyond the end.
    pub async fn read(
        &self,
        filter: &EventFilter,
        after: EventCursor,
        limit: usize,
    ) -> Result<Filtered, CommandError> {
        check_limit(limit)?;
        let scope = self.scope(filter);
        let head = self.log.head().await?;
        let mut at = after.resume(scope, &head)?;
        let (mut events, mut scanned, mut is_end) = (Vec::new(), 0, false);
        while events.len() < limit && scanned < EVENT_SCAN_MAX && !is_end {
            let page = self.log.tail(at, PAGE_MAX).await?;
            is_end = page.len() < PAGE_MAX;
            scanned += page.len();
            for entry in &page {
                if events.len() == limit {
                    is_end = false;
                    break;
                }
                at = entry.position;
                events.extend(self.decoded(entry).filter(|event| filter.fits(&event.event)));
            }
        }
        let next = EventCursor {
            after: at,
            incarnation: head.incarnation,
            scope,
        };
        Ok(Filtered { events, next, is_end })
    }

    /// The cursor of a filter behind a position, as if everything up to it had been read.
    ///
    /// # Errors
    /// As any read. Whether the position is kept is for the next read to say.
    pub async fn cursor(&self, filter: &EventFilter, after: Position) -> Result<EventCursor, CommandError> {
        let head = self.log.head().await?;
        Ok(self.cursor_in(filter, &head, after))
    }

    pub(super) fn cursor_in(&self, filter: &EventFilter, head: &LogHead, after: Position) -> EventCursor {
        EventCursor {
            after,
            incarnation: head.incarnation,
            scope: self.scope(filter),
        }
    }

    pub(super) fn scope(&self, filter: &EventFilter) -> [u8; 8] {
        filter.digest(self.tenant.as_ref())
    }

    /// The events that a filter wants, from a place on, then each new one as it is committed.
    ///
    /// A subscription is a position and hints, no queue: it holds one page at most however slow its reader is, slows no
    /// writer, and leaves nothing out. One that falls behind what is kept gets `ReplayGap`.
    ///
    /// ```
    /// # use dormouse_engine::{CommandError, Tenant};
    /// use dormouse_engine::event::{Begin, EventFilter, Glob};
    ///
    /// async fn wait_for_an_end(tenant: &Tenant) -> Result<(), CommandError> {
    ///     let filter = EventFilter { kind: Some(Glob::new("run.ended")), ..EventFilter::default() };
    ///     let mut ends = tenant.events.subscribe(&filter, Begin::Now).await?;
    ///     while let Some(event) = ends.next().await? {
    ///         println!("{} {}", event.position, event.event.subject);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`read`](Self::read) for a cursor.
    pub async fn subscribe(&self, filter: &EventFilter, begin: Begin) -> Result<Subscription, CommandError> {
        Subscription::begin(self, filter, begin).await
    }

    /// The events strictly after a position, then each new one as it is committed. Ends after an error.
    pub fn follow(
        &self,
        after: Position,
    ) -> impl Stream<Item = Result<EventAt, CommandError>> + Send + 'static {
        let (events, stream) = (self.clone(), self.log.stream().clone());
        follow(Arc::clone(&self.store), stream, after).filter_map(move |entry| {
            let event = match entry {
                Ok(entry) => events.decoded(&entry).map(Ok),
                Err(error) => Some(Err(error.into())),
            };
            std::future::ready(event)
        })
    }

    /// Where the log begins and ends.
    ///
    /// # Errors
    /// As any read.
    pub async fn head(&self) -> Result<LogHead, CommandError> {
        Ok(self.log.head().await?)
    }

    /// The event of an entry; none of one that is no event, which keeps nobody from those behind it.
    pub(crate) fn decoded(&self, logged: &Logged) -> Option<EventAt> {
        match self.decode(logged) {
            Ok(event) => Some(event),
            Err(error) => {
                tracing::warn!(position = %logged.position, %error, "an entry of the log is no event, and is passed over");
                None
            }
        }
    }

    /// The event of an entry, its texts clean whoever wrote it.
    pub(crate) fn decode(&self, logged: &Logged) -> Result<EventAt, CommandError> {
        let mut event: Event =
            serde_json::from_slice(&logged.entry).map_err(|error| CommandError::Corrupt(error.into()))?;
        clean(&mut event.data, &self.scrubber);
        Ok(EventAt {
            position: logged.position,
            event,
        })
    }
}

fn check_limit(limit: usize) -> Result<(), CommandError> {
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(());
    }
    let bounds = format!("1 to {PAGE_MAX} are given at once");
    Err(CommandError::invalid("limit", bounds))
}
