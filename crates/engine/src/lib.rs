#![doc = include_str!("../README.md")]

pub mod agent;
pub mod budget;
pub mod capability;
mod clock;
pub mod command;
mod core;
pub mod credentials;
mod decision;
mod draft;
mod due;
mod engine;
mod error;
pub mod event;
mod find;
mod found;
pub mod gate;
mod host;
pub mod id;
pub mod idempotency;
mod janitor;
mod kinds;
mod lapses;
pub mod lease;
pub mod limits;
pub mod name;
pub mod outcome;
mod principal;
pub mod recovery;
pub mod relay;
pub mod retention;
pub mod run;
pub mod session;
pub mod step;
mod subject;
pub mod supervisor;
pub mod task;
mod telling;
mod tenant;
pub mod thread;
pub mod transcript;
pub mod wake;
pub mod worker;

pub use clock::{Clock, Random, SystemClock};
pub use decision::{Decision, Reason};
pub use draft::Draft;
pub use due::DueServed;
pub use engine::{Closed, Engine, EngineOptions, Environment, Tenant};
pub use error::CommandError;
pub use host::{Epoch, HostIdentity, Seat};
pub use id::{
    EventId, GateId, HoldId, Incarnation, LeaseId, MessageId, OpId, PrefixedId, RunId, SessionId, TaskId,
    ThreadId,
};
pub use janitor::{Cleared, Janitor};
pub use kinds::kinds;
pub use name::{AgentName, SinkName, SweepName, TenantId};
pub use principal::{Channel, Principal, PrincipalKind};
pub use subject::Subject;
pub use tenant::{TenantIndex, TenantRow, TenantState};
