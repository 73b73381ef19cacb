//! Wakes: that an agent has something to do is a row, written in the commit of its cause. A sleeping agent without one is
//! its own row and nothing else.
//!
//! ```text
//! a task becomes ready ──┐ one commit: task, events, wake row         (stage)
//!                        ▼
//! heads of the index ─▶ lanes in memory ─▶ turns, fair by tenant     (serve, turns)
//!                        ▼
//!                  claim, start; the lane is empty: the row goes     (lane)
//! ```
//!
//! The doorbell may be lost; the row may not.

mod ask;
mod bell;
mod known;
mod lane;
mod refused;
mod room;
mod serve;
mod serving;
mod stage;
mod table;
#[cfg(test)]
mod tests;
mod timed;
mod turns;
mod why;

use std::collections::BTreeSet;

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use ask::{WakeError, Woken};
pub(crate) use bell::Bell;
pub(crate) use lane::{Found, forget, look};
pub use serve::{Starter, WakeOptions};
pub(crate) use stage::stage;
pub use table::{WakeEvent, WakeFacts, decide};
pub use timed::{NewWake, TimedPage, TimedWake, TimedWakeIndex, TimedWakes};
pub(crate) use timed::{cancel, fire};
pub(crate) use turns::Turns;
pub use why::WhyWaits;

use crate::{AgentName, Epoch, OpId};

/// Where the wake row of an agent is. Without a row there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WakeState {
    /// Somebody is to look at its lane, at its time.
    Due,
    /// A process is at its lane, until the pick expires.
    Picked,
    /// It may run no more at once; looked at again when a place is free.
    Full,
    /// The agent is paused.
    Held,
}

impl WakeState {
    /// Every state, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Due, Self::Picked, Self::Full, Self::Held];

    /// The state's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Picked => "picked",
            Self::Full => "full",
            Self::Held => "held",
        }
    }
}

/// Why an agent is to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WakeCause {
    /// A task of its is ready.
    TaskReady,
    /// It was resumed.
    Resumed,
    /// Somebody said so.
    Asked,
    /// A time came that somebody named.
    Timed,
}

/// That an agent has something to do: at most one row each. Rings coalesce in it; what there is to do stands in other rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wake {
    /// Whose.
    pub agent: AgentName,
    /// Where it is.
    pub state: WakeState,
    /// It was rung while it was picked: it is looked at once more.
    pub again: bool,
    /// When it is to be looked at.
    pub due_at: Timestamp,
    /// Why.
    pub causes: BTreeSet<WakeCause>,
    /// How often it was rung since the row is there.
    pub rings: u64,
    /// When first.
    pub first_at: Timestamp,
    /// When last.
    pub last_at: Timestamp,
    /// The process that is at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picked_by: Option<Epoch>,
    /// Until when, unless it says so again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picked_until: Option<Timestamp>,
    /// The command that wrote the row.
    pub op: OpId,
}

impl Wake {
    /// When the row is to be looked at by whoever is there; none while only a resume changes it.
    #[must_use]
    pub fn looked_at(&self) -> Option<Timestamp> {
        match self.state {
            WakeState::Due | WakeState::Full => Some(self.due_at),
            WakeState::Picked => Some(self.picked_until.unwrap_or(self.due_at)),
            WakeState::Held => None,
        }
    }
}

indexes! {
    /// What finds wake rows.
    pub enum WakeIndex {
        /// By when they are to be looked at, over all tenants.
        Due = system "due",
    }
}

impl Record for Wake {
    type Scope = Tenant;
    type Id = AgentName;
    type Index = WakeIndex;
    const KIND: RecordKind = RecordKind::of("wake");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> AgentName {
        self.agent.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<WakeIndex>> {
        let due = |at| IndexEntry::new(WakeIndex::Due, [IndexValue::instant(at)]);
        self.looked_at().map(due).into_iter().collect()
    }
}
