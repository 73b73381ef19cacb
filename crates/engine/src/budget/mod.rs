//! Budgets: what work may use, what of it was used, and what is held until that is known (stores.md, section 8).
//!
//! ```text
//! reserve(estimate) ──▶ hold, in every limited account of the chain ──▶ meter … ──▶ reconcile(actual) | release | sweep
//!      │ at a pause line: one gate for all who come there          tenant → agent → session → task → run
//!      └ above a limit: no
//! ```
//!
//! All levels admit or none is charged: accounts, hold and the command they serve are one commit, made by the
//! `ledger`.

mod account;
mod amounts;
mod ask;
mod cells;
mod decide;
mod follow;
mod freed;
mod hold;
mod ledger;
mod moves;
mod options;
mod path;
mod period;
mod refusal;
mod reserving;
mod room;
mod service;
mod setting;
mod sheet;
mod spending;
mod sweep;
mod table;
mod touched;
mod usage;

pub use account::{Account, AccountIndex, Bucket, Notified};
pub use amounts::{Amounts, Dimension};
pub use ask::BudgetAsk;
pub(crate) use ask::{follow_gate, stands};
pub use decide::{Answer, Line, Metered, Said, judge, meter};
pub(crate) use follow::{ahead_of_end, follow_run, slots_taken, stage_claim, would_refuse};
pub use freed::Freed;
pub use hold::{Hold, HoldIndex};
pub(crate) use ledger::{Entered, Ledger, enter};
pub use moves::Setting;
pub(crate) use moves::{Move, Moved};
pub use options::BudgetOptions;
pub use path::{AccountPath, Chain};
pub use period::{CalendarUnit, PERIOD_MAX, PERIOD_MIN, Period, ROLLING_BUCKETS};
pub use refusal::{Refusal, Warning};
pub use room::Room;
pub(crate) use service::ROUNDS_MAX;
pub use service::{AccountPage, Admission, Budgets, Reserve, UsagePage};
pub(crate) use sweep::sweep as sweep_hold;
pub use table::{HoldEvent, HoldState, decide as decide_hold};
pub use usage::{Usage, UsageId, UsageIndex};
