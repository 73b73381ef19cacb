#![doc = include_str!("../README.md")]

pub mod agent;
mod clock;
pub mod command;
mod core;
mod decision;
mod draft;
mod engine;
mod error;
pub mod event;
mod find;
mod host;
pub mod id;
pub mod lease;
pub mod limits;
pub mod name;
pub mod outcome;
mod principal;
pub mod recovery;
pub mod run;
mod subject;
pub mod task;
mod tenant;
pub mod transcript;
pub mod worker;

pub use clock::{Clock, Random, SystemClock};
pub use decision::{Decision, Reason};
pub use draft::Draft;
pub use engine::{Engine, EngineOptions, Environment, Tenant};
pub use error::CommandError;
pub use host::{Epoch, HostIdentity};
pub use id::{EventId, GateId, Incarnation, LeaseId, OpId, PrefixedId, RunId, SessionId, TaskId};
pub use name::{AgentName, TenantId};
pub use principal::{Channel, Principal, PrincipalKind};
pub use subject::Subject;
pub use tenant::{TenantRow, TenantState};
