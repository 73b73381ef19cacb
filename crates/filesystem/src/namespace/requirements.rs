//! What is needed of a store before a record is entrusted to it.

use std::fmt;

use crate::{Capabilities, OpenError, capability};

/// What is needed of a store before a record is entrusted to it.
pub type Requirements = Capabilities;

impl Requirements {
    /// What the program needs on one machine.
    ///
    /// Durability is [`PowerLoss`](capability::Durability::PowerLoss): an acknowledged commit survives the loss of
    /// power. Tests in memory lower it with struct update.
    #[must_use]
    pub fn embedded() -> Self {
        Self {
            atomicity: capability::Atomicity::Batch,
            reach: capability::Reach::Process,
            durability: capability::Durability::PowerLoss,
            listing: capability::Listing::Ordered,
            logs: capability::Logs::CommitOrdered,
            export: capability::Export::Snapshot,
            watch: capability::Watch::Local,
        }
    }

    /// As [`embedded`](Self::embedded), but nothing has to survive: for tests over the memory backend.
    #[must_use]
    pub fn volatile() -> Self {
        Self {
            durability: capability::Durability::Volatile,
            // Nobody takes a backup of what is forgotten.
            export: capability::Export::None,
            ..Self::embedded()
        }
    }
}

impl Capabilities {
    /// Whether what is promised is enough for what is needed.
    ///
    /// # Errors
    /// `Lacks`, which names the first capability that is not.
    pub fn satisfy(&self, need: &Requirements) -> Result<(), OpenError> {
        compare(need, self)
    }
}

/// Refuses a store that promises less than is needed.
pub(super) fn compare(need: &Requirements, has: &Capabilities) -> Result<(), OpenError> {
    fn one<C: Copy + Ord + fmt::Debug>(capability: &'static str, need: C, has: C) -> Result<(), OpenError> {
        if has >= need {
            return Ok(());
        }
        Err(OpenError::Lacks {
            capability,
            has: format!("{has:?}"),
            needs: format!("{need:?}"),
        })
    }
    one("atomicity", need.atomicity, has.atomicity)?;
    one("reach", need.reach, has.reach)?;
    one("durability", need.durability, has.durability)?;
    one("listing", need.listing, has.listing)?;
    one("logs", need.logs, has.logs)?;
    one("export", need.export, has.export)?;
    one("watch", need.watch, has.watch)
}
