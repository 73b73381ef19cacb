//! Observers: told of each commit in this process, after it, once it is durable.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_secrets::Scrubbed;

use super::{Delivery, OnRefused, Portion, Sent, Sink, SinkOptions};
use crate::event::{EventAt, EventFilter};
use crate::limits::RELAY_TIMEOUT_MAX;
use crate::{SinkName, TenantId};

/// Who is told of commits in this process.
///
/// It is told after the commit, in order, once for each; one that was not acknowledged is told again, in this process or the
/// next. It may call back into the engine. Whether it hangs, panics or is slow concerns neither the command nor any other
/// observer.
#[async_trait]
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// Its name, under which its cursors are kept, among those of sinks.
    fn name(&self) -> &SinkName;

    /// Which events it wants.
    fn filter(&self) -> &EventFilter;

    /// Takes the events of one commit. It has [`RELAY_TIMEOUT_MAX`].
    ///
    /// # Errors
    /// [`NotAcknowledged`], and it is told again.
    async fn observe(&self, tenant: &TenantId, events: &[EventAt]) -> Result<(), NotAcknowledged>;
}

/// An observer could not do what it does: it is told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the observer did not acknowledge")]
pub struct NotAcknowledged;

/// An observer, as a sink.
#[derive(Debug)]
pub(super) struct Observed {
    observer: Arc<dyn Observer>,
    options: SinkOptions,
}

impl Observed {
    pub(super) fn new(observer: Arc<dyn Observer>) -> Self {
        let options = SinkOptions {
            filter: observer.filter().clone(),
            portion: Portion::Commit,
            timeout: RELAY_TIMEOUT_MAX,
            delay_min: Duration::from_secs(1),
            delay_max: Duration::from_secs(60),
            attempts_max: None,
            on_refused: OnRefused::Disable,
        };
        Self { observer, options }
    }
}

#[async_trait]
impl Sink for Observed {
    fn name(&self) -> &SinkName {
        self.observer.name()
    }

    fn options(&self) -> &SinkOptions {
        &self.options
    }

    async fn send(&self, delivery: &Delivery) -> Sent {
        let observed = self.observer.observe(&delivery.tenant, &delivery.events);
        match observed.await {
            Ok(()) => Sent::Taken,
            Err(NotAcknowledged) => Sent::Unknown {
                reason: Scrubbed::constant("it did not acknowledge"),
                retry_after: None,
            },
        }
    }
}
