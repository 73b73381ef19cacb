//! Rows that cannot be believed: what becomes of them, and where they can be looked at.
//!
//! A row of class advisory is moved to `dead_letter` by its next writer, which then finds none. Any other stays, so that
//! each use of it is refused, and a command that meets one leaves a copy in `quarantine`, once for each time the row was
//! written. Both keep the bytes; both are emptied by command only.

mod aside;
mod check;
mod kinds;
mod lane;
mod service;

pub(crate) use aside::{Doubted, heed, heed_issue, is_copied, tell};
pub use check::{BadFound, Checked, Fate};
pub(crate) use kinds::enlisted;
pub(crate) use lane::pass_over;
pub use service::BadRecords;
