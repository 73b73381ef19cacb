//! What a sink is: the contract of whoever is told events.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_secrets::Scrubbed;
use serde::{Deserialize, Serialize};

use crate::event::{EventAt, EventFilter};
use crate::limits::{RELAY_BATCH_MAX, RELAY_TIMEOUT_MAX};
use crate::{SinkName, TenantId};

/// Who is told events.
///
/// It is told each event at least once, and may be told one again under its id: who needs it once remembers the ids. The
/// events of one tenant come in order, a batch after the one before; those of several tenants may come at the same time.
#[async_trait]
pub trait Sink: fmt::Debug + Send + Sync + 'static {
    /// Its name, under which its cursors are kept: another name begins anew.
    fn name(&self) -> &SinkName;

    /// How it is to be told.
    fn options(&self) -> &SinkOptions;

    /// Takes a batch. What is [`Taken`](Sent::Taken) is durable wherever it went: it is not sent again.
    ///
    /// The future is dropped after [`SinkOptions::timeout`], which counts as [`Unknown`](Sent::Unknown), and so does a
    /// panic.
    async fn send(&self, delivery: &Delivery) -> Sent;
}

/// How a sink is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkOptions {
    /// Which events it wants.
    pub filter: EventFilter,
    /// How much it is sent at once.
    pub portion: Portion,
    /// How long it has for that; at most [`RELAY_TIMEOUT_MAX`].
    pub timeout: Duration,
    /// The delay before it is asked again; each later one is twice as long.
    pub delay_min: Duration,
    /// The longest such delay.
    pub delay_max: Duration,
    /// How often it may not acknowledge, one after the other; none is for ever.
    pub attempts_max: Option<u32>,
    /// What becomes of an event that it refuses for good, or never acknowledges.
    pub on_refused: OnRefused,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self {
            filter: EventFilter::default(),
            portion: Portion::UpTo(RELAY_BATCH_MAX),
            timeout: RELAY_TIMEOUT_MAX,
            delay_min: Duration::from_secs(5),
            delay_max: Duration::from_secs(6 * 60 * 60),
            attempts_max: None,
            on_refused: OnRefused::Disable,
        }
    }
}

/// How much a sink is sent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// So many events; at most [`RELAY_BATCH_MAX`], and one after a failure.
    UpTo(usize),
    /// The events of one commit, all that the filter wants of them.
    Commit,
}

/// What becomes of an event that a sink refuses for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRefused {
    /// The sink is told nothing more until somebody resumes it.
    #[default]
    Disable,
    /// The event lies apart, and the sink is told what follows.
    DeadLetter,
}

/// What a sink is sent at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Whose events.
    pub tenant: TenantId,
    /// The events, in order; at least one.
    pub events: Vec<EventAt>,
    /// Which attempt this is since it acknowledged last, from 1.
    pub attempt: u32,
}

/// What a sink answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It has all of it.
    Taken,
    /// It has the first events, and does not take the next one, now or ever.
    Refused {
        /// How many it has.
        taken: usize,
        /// Why it does not take the next one.
        reason: Scrubbed,
    },
    /// It may have any of it: the same is sent again.
    Unknown {
        /// What went wrong.
        reason: Scrubbed,
        /// Not to be asked again before so long.
        retry_after: Option<Duration>,
    },
    /// It is there no more, and wants nothing.
    Gone {
        /// What it said.
        reason: Scrubbed,
    },
}
