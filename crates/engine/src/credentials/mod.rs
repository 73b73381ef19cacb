//! Credentials, as the engine uses them: which agents live, what is told of changes, and what a run gets.
//!
//! What a secret is, how it is sealed and who may have it is dormouse-secrets' own. Here it meets the rows of agents,
//! the event logs, and the commits that start and end runs.

mod formats;
mod journal;
mod keep;
mod lend;
mod living;
mod references;
mod service;
mod used;

pub(crate) use formats::{FormatsWord, is_not_said};
pub(crate) use journal::EventJournal;
pub use keep::Rekey;
pub(crate) use lend::Unlent;
pub(crate) use living::Living;
pub(crate) use references::is_reference;
pub use references::secret_reference;
pub use service::Credentials;
pub(crate) use service::{of_lease, of_secret, unspawned};
