//! Durable steps: the parts of a run whose results are kept, so that a later attempt does not do them again.
//!
//! ```text
//! claim ─▶ Runs::drive(claimed, |steps| async { … })        a Rust future, supervised            (drive)
//!             └─ steps.step(name, input, effect, |key| …)   one step                             (context)
//!                  ├─ begin:  row there? return it : External: begun + checkpoint side_effect    (begin)
//!                  ├─ the closure, with a key that is the same in every attempt
//!                  └─ finish: result scrubbed, row + checkpoint safe, under the lease's token    (conclude)
//! ```
//!
//! A script inside a run reaches the same by the run's endpoint, in two halves: [`Asking::begin_step`] and
//! [`Asking::end_step`](crate::supervisor::Asking::end_step).
//!
//! [`Asking::begin_step`]: crate::supervisor::Asking::begin_step

mod begin;
mod books;
mod conclude;
mod context;
mod drive;
mod ends;
mod error;
mod guard;
mod id;
mod park;
mod report;
mod row;
mod table;
mod threads;
mod value;
mod within;

use books::Leave;
pub use books::Ticket;
pub use conclude::StepReport;
pub use context::{Begun, StepContext};
pub use error::{StepError, StepFault};
pub use id::{InvalidStepName, StepId, StepKey, StepName, StepPlace};
pub use report::{Failure, Report};
pub(crate) use row::stage_gone as stage_step_gone;
pub use row::{Step, StepIndex, StepResult, StepState};
pub use table::{CallCell, EndCell, StepEnd, StepRow, decide_call, decide_end};
pub(crate) use threads::Workers;
pub use threads::{WORKER_THREAD, WorkerThreads};

use serde::{Deserialize, Serialize};

/// What doing a step twice does: decides what is written beside its result, and what a kill in it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing outside: it is done again.
    Pure,
    /// The same as once, under the key that the step is given: it is done again with the same key.
    Idempotent,
    /// It would happen twice: that it begins is durable before it does, and it is not done again.
    External,
}

impl Effect {
    /// Every effect, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Pure, Self::Idempotent, Self::External];

    /// The effect's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Idempotent => "idempotent",
            Self::External => "external",
        }
    }
}
