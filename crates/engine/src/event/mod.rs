//! The event log: one entry per change, appended in the commit of the change.

mod catalogue;
mod change;
mod clean;
mod cursor;
mod filter;
mod glob;
mod house;
mod part;
mod service;
mod subscribe;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use catalogue::catalogue;
pub use change::{Change, EVENT_SCHEMA};
pub(crate) use clean::clean;
pub use cursor::EventCursor;
pub use filter::EventFilter;
pub use glob::Glob;
pub use part::{
    BadRecord, BudgetDenial, BudgetPause, Ending, GateEnding, GateOpening, InThread, Rejection, Truncation,
};
pub use service::{EventAt, EventPage, Events, Filtered};
pub use subscribe::{Begin, Subscription};

use crate::{AgentName, EventId, Incarnation, OpId, Principal, Subject, TenantId};

/// What was changed, when and by whom.
///
/// Type, subject and data are read as they were written, also those a newer build added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id: the same however often it is sent.
    pub id: EventId,
    /// Its type, one of [`Change`]'s in this build.
    #[serde(rename = "type")]
    pub kind: String,
    /// The schema of its data.
    pub schema: u32,
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub tenant: TenantId,
    /// Which agent's, if one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// Which incarnation of that agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_incarnation: Option<Incarnation>,
    /// What was changed, as `kind:id`.
    pub subject: String,
    /// The command that did it.
    pub op: OpId,
    /// Who wanted it.
    pub actor: Principal,
    /// The event that led to it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<EventId>,
    /// What else is to know: ids, enums, numbers and scrubbed text, at most 16 KiB.
    pub data: serde_json::Map<String, serde_json::Value>,
}

impl Event {
    /// The change, where this build knows its type.
    #[must_use]
    pub fn change(&self) -> Option<Change> {
        let value = serde_json::json!({ "type": self.kind, "data": self.data });
        serde_json::from_value(value).ok()
    }
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The thing.
    pub subject: Subject,
    /// The agent it belongs to, if one.
    pub agent: Option<(AgentName, Incarnation)>,
}

impl About {
    /// A thing of an agent's.
    #[must_use]
    pub fn of(subject: Subject, agent: &AgentName, incarnation: Incarnation) -> Self {
        Self {
            subject,
            agent: Some((agent.clone(), incarnation)),
        }
    }
}
