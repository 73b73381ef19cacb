//! Idempotency keys: what was asked under a key is done once, however often it is asked (stores.md, section 9).
//!
//! A [`Once`] is one request under its key. The services of [`Tenant::once`](crate::Tenant::once) do their commands
//! under it: the row of the key is created, expected absent, in the commit of the first change that the request makes.
//! So of two equal requests one commits and the other finds the row, also after a crash; and a refusal, which changes
//! nothing, leaves no row, so that the next try is judged afresh. What the engine does by itself is nobody's request,
//! and takes no key.
//!
//! The row names what came of the request. Who asked it again is told [`DoneBefore`](crate::CommandError::DoneBefore)
//! with these, and an edge that answers in bytes keeps its answer beside them: the first one that is kept is everybody's.

mod once;
mod row;
mod service;
mod stage;

pub use once::{ClientKey, InvalidClientKey, Once};
pub use row::{IdempotencyId, IdempotencyIndex, IdempotencyRow, InvalidIdempotencyId};
pub use service::Idempotency;
pub(crate) use stage::{Before, before, stage};
