//! Reading the event log: strictly after a position, in commit order.

use std::sync::Arc;

use dormouse_filesystem::{Log, LogHead, Logged, Position, RecordStore, follow};
use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};

use super::Event;
use crate::CommandError;
use crate::core::Core;
use crate::limits::PAGE_MAX;

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

/// The events of a tenant, or of the installation.
#[derive(Debug, Clone)]
pub struct Events {
    store: Arc<dyn RecordStore>,
    log: Log,
}

impl Events {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self::of(&core.store, core.events.clone())
    }

    pub(crate) fn of(store: &Arc<dyn RecordStore>, log: Log) -> Self {
        let store = Arc::clone(store);
        Self { store, log }
    }

    /// The events strictly after a position; [`Position::START`] is before the first.
    ///
    /// # Errors
    /// `ReplayGap` when the position is no longer kept, or beyond the end.
    pub async fn read_after(&self, after: Position, limit: usize) -> Result<EventPage, CommandError> {
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(CommandError::invalid(
                "limit",
                format!("1 to {PAGE_MAX} are given at once"),
            ));
        }
        let logged = self.log.tail(after, limit).await?;
        let events = logged.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        let next = events.last().map_or(after, |event| event.position);
        Ok(EventPage { events, next })
    }

    /// The events strictly after a position, then each new one as it is committed. Ends after an error.
    pub fn follow(
        &self,
        after: Position,
    ) -> impl Stream<Item = Result<EventAt, CommandError>> + Send + 'static {
        let (store, stream) = (Arc::clone(&self.store), self.log.stream().clone());
        follow(store, stream, after).map(|entry| decode(&entry?))
    }

    /// Where the log begins and ends.
    ///
    /// # Errors
    /// As any read.
    pub async fn head(&self) -> Result<LogHead, CommandError> {
        Ok(self.log.head().await?)
    }
}

fn decode(logged: &Logged) -> Result<EventAt, CommandError> {
    let event = serde_json::from_slice(&logged.entry).map_err(|error| CommandError::Corrupt(error.into()))?;
    Ok(EventAt {
        position: logged.position,
        event,
    })
}
