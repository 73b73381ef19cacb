//! Leases: the right of one holder to one value, until it is used up, over, or taken back; and the credential session
//! of a run, which is the same for a set.

mod ends;
mod grant;
mod id;
mod record;
mod session;
mod table;
mod uses;

pub use grant::Granted;
pub use id::LeaseId;
pub use record::{
    HOLDER_LEASES_MAX, Holder, LEASE_KEPT, LEASE_TTL, LEASE_TTL_MAX, LeaseIndex, LeaseOptions, LeaseRow,
    USES_MAX, Uses,
};
pub use session::{SESSION_USES_MAX, SessionIndex, SessionRow};
pub use table::{Cause, LeaseDecision, LeaseEvent, LeaseStatus, Left, decide_lease};
pub use uses::{Lease, LeaseExpired, UNLIMITED_FRESH};
