//! Capabilities: what an approval allows, once, to exactly one call.
//!
//! A capability is made in the commit of the approval, under the gate's id. A run redeems it for an action whose digest
//! fits, dispatches it durably before the effect begins, and finishes it. One that was under way when its holder
//! vanished is closed as unknown and never used again.

mod approved;
mod error;
mod follow;
mod row;
mod service;
mod stage;
mod table;

pub use approved::{Action, Approved, Dispatch};
pub use error::CapabilityError;
pub(crate) use follow::{ahead_of_end, follow_claim, follow_park, follow_run};
pub use row::{Capability, CapabilityEnd, CapabilityIndex, CapabilityState, Holder};
pub use service::Capabilities;
pub(crate) use service::expire_due;
pub use table::{
    CapabilityCell, CapabilityEvent, CapabilityIgnored, CapabilityPhase, CapabilityRefused, decide,
};
