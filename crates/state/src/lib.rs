#![doc = include_str!("../README.md")]

mod answer;
mod change;
mod chart;
mod command;
mod context;
mod display;
#[cfg(feature = "driver")]
pub mod driver;
mod edges;
mod event;
mod evidence;
mod filter;
mod gate;
mod hear;
mod id;
mod lifecycle;
mod options;
mod restore;
mod row;
mod session;
mod settle;
mod snapshot;
mod turn;

pub use answer::{Answer, Applied, Edge, Effect, Ignored, InputName, Rejected, Resumed};
pub use command::{Command, EndReason, FailedRunGates, RunEnd};
pub use context::{
    DENIALS_MAX, Denial, ERROR_TEXT_BYTES_MAX, LastError, Mode, TODO_ITEM_BYTES_MAX, TODO_MAX, Todo,
    TodoItem, TodoStatus,
};
pub use display::Display;
pub use edges::{Edges, EdgesIntoIter};
pub use event::{Completion, Event, Observed, Step};
pub use evidence::{Confidence, Evidence};
pub use gate::{
    Caller, EndedGate, GateKind, GateOutcome, Gates, Invalidation, OnTimeout, PENDING_MAX, PendingGate,
};
pub use id::{CallId, GateId, Position, RunId, SourceId};
pub use lifecycle::{Execution, Lifecycle};
pub use options::{AUTO_IDLE_MAX, AUTO_IDLE_MIN, Options};
pub use restore::RestoreError;
pub use row::Row;
pub use session::{Session, StillOpen};
pub use snapshot::{SCHEMA, SOURCES_MAX, Snapshot, SourceMark};
pub use turn::{Party, Phase, Turn, TurnResult};
