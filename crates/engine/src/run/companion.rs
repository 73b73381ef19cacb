//! What goes with a run: rows of other services that change in the commits of a run's changes.

use std::fmt;

use async_trait::async_trait;
use dormouse_filesystem::{Namespace, Tenant};

use super::Run;
use crate::CommandError;
use crate::draft::Draft;
use crate::outcome::Outcome;

/// A service whose rows follow runs: a session's state, say.
///
/// Called in every command that makes, changes or ends a run, before its commit; the rows it stages are in that
/// commit. It may be called again with another draft when the commit lost a race, so it only reads and stages.
#[async_trait]
pub trait Companion: fmt::Debug + Send + Sync + 'static {
    /// Stages what follows from the change of a run from `before` (none when it is made) to `after`; `outcome` is
    /// there when this ends it.
    async fn follow(
        &self,
        tenant: &Namespace<Tenant>,
        draft: &mut Draft,
        before: Option<&Run>,
        after: &Run,
        outcome: Option<&Outcome>,
    ) -> Result<(), CommandError>;
}
