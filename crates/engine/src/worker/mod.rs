//! Workers: processes that do a run's work, started so that nothing of them is ever lost sight of.
//!
//! | module | is |
//! |---|---|
//! | [`keeper`] | the process that owns a worker's tree; [`keeper::enter`] is the first line of `main` |
//! | [`process`] | prepare, make durable, go; the streams of a running worker, its stop and its end |
//! | [`orphans`] | the certain end of what a dead supervisor left |
//! | [`environment`] | the worker's whole environment, from nothing |
//! | [`isolation`] | the wall round it |
//! | [`clocks`], [`table`] | wall, idle and grace; the states of a spawn |
//! | [`classify`] | what was observed, made into exactly one outcome |
//! | [`lines`] | lines out of chunks of bytes |
//!
//! Nothing here touches a store: the supervisor writes its records between the phases.

pub mod classify;
pub mod clocks;
pub mod environment;
mod identity;
pub mod isolation;
pub mod keeper;
mod limits;
pub mod lines;
pub mod orphans;
mod os;
pub mod process;
pub mod table;

pub use identity::{Boot, ProcessId, ProcessRow};
pub use keeper::message::FirstSignal;
pub use limits::ProcessLimits;
pub use process::{
    Ended, Gone, Launch, Live, LiveEvent, Output, Prepared, SpawnError, Stop, find_program, prepare,
};
