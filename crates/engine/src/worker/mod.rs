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
pub mod report;
pub mod table;

pub use identity::{Boot, ProcessId, ProcessRow};
pub use keeper::message::FirstSignal;
pub use limits::ProcessLimits;
pub use process::{
    Ended, Feed, Gone, Launch, Live, LiveEvent, Output, Prepared, SpawnError, Stop, find_program, prepare,
};

/// Hides this process from others of its user: they cannot trace it or read its memory and environment, and it leaves no core
/// file. For the `main` of a program that supervises, after [`keeper::enter`]. Where the system has no such thing, the
/// core file alone.
///
/// # Errors
/// The system's.
pub fn hide_this_process() -> std::io::Result<()> {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(rustix::process::Resource::Core, none)?;
    os::hide_memory()
}
