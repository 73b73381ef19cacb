//! Retention: what has ended goes after a time that is set, and leaves a tombstone without payload.
//!
//! Every kind that is swept is an entry of one `table`. Its rows are found by a system index of when they ended, so
//! that nothing is read while nothing is due, and no tenant is looked through. The index is the cursor too: what was swept has
//! left it. A tenant's page is swept under a lease. Events are cut from the front of their logs instead, never past the end
//! of one, nor past a sink that is not too far behind.
//!
//! What has other ways to end is the janitor's: sessions that fall silent, the content of gates, messages of deleted
//! threads.

mod agent;
mod budget;
mod events;
mod key;
mod serve;
mod step;
mod sweep;
mod task;
mod thread;

use std::time::Duration;

pub use serve::{Sweeper, Swept};
pub(crate) use sweep::{Gone, Retires};

use crate::agent::Agent;
use crate::budget::{Hold, Usage};
use crate::idempotency::IdempotencyRow;
use crate::limits::{
    EVENTS_KEPT, EVENTS_MAX, HOLDS_KEPT, RELAY_LAG_MAX, STEPS_KEPT, TASKS_KEPT, TOMBSTONES_KEPT, USAGE_KEPT,
};
use crate::step::Step;
use crate::task::{Task, TaskTombstone};
use crate::thread::Thread;

/// How long what has ended is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// `retention.tasks`: ended tasks, with their runs, outcomes and output.
    pub tasks: Duration,
    /// `retention.tombstones`: what is known of what is gone.
    pub tombstones: Duration,
    /// `retention.steps`: steps of ended tasks, and of ended runs without one.
    pub steps: Duration,
    /// `retention.holds`: closed holds.
    pub holds: Duration,
    /// `retention.usage`: days of accounts.
    pub usage: Duration,
    /// `retention.events`: events.
    pub events: Duration,
    /// `retention.events_max`: events of a tenant, whatever their age.
    pub events_max: u64,
    /// `relay.lag_max`: how far behind a sink may be before events are no longer kept for it.
    pub lag_max: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            tasks: TASKS_KEPT,
            tombstones: TOMBSTONES_KEPT,
            steps: STEPS_KEPT,
            holds: HOLDS_KEPT,
            usage: USAGE_KEPT,
            events: EVENTS_KEPT,
            events_max: EVENTS_MAX,
            lag_max: RELAY_LAG_MAX,
        }
    }
}

/// Every kind that is swept: what says so is its [`Retires`].
fn table() -> Vec<Box<dyn sweep::Sweep>> {
    vec![
        sweep::of::<Task>(),
        sweep::of::<TaskTombstone>(),
        sweep::of::<Agent>(),
        sweep::of::<Thread>(),
        sweep::of::<IdempotencyRow>(),
        sweep::of::<Step>(),
        sweep::of::<Hold>(),
        sweep::of::<Usage>(),
    ]
}
