//! Wrappers: a store that does what the one inside does, and one thing more.
//!
//! There is no cache and no retry among them. A cache here would be one more place to break the read rule between
//! processes; and only a caller knows whether its write may happen twice.

#[cfg(feature = "fault")]
mod between;
mod counted;
#[cfg(feature = "fault")]
mod fault;
mod histogram;
mod operation;
mod traced;

#[cfg(feature = "fault")]
pub use between::Between;
pub use counted::{Counted, Counts};
#[cfg(feature = "fault")]
pub use fault::{Fault, FaultKind};
pub use histogram::{HISTOGRAM_BUCKETS, Histogram};
pub use operation::{Operation, Outcome};
pub use traced::Traced;
