//! Which rows of accounts a command of a commit changes: those whose rows others changed meanwhile are decided again, and
//! no others.

use std::collections::BTreeSet;

use dormouse_filesystem::{Failed, Record, RecordError, Records, ScopedBatch, Tenant};

use super::{Account, AccountPath, Hold, Usage, UsageId};
use crate::HoldId;
use crate::core::Core;

/// The rows that one command changes.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) accounts: BTreeSet<AccountPath>,
    pub(super) holds: BTreeSet<HoldId>,
    pub(super) usage: BTreeSet<UsageId>,
}

impl Touched {
    /// Whether one of these keys is of such a row.
    pub(super) fn is_among(&self, core: &Core, failed: &[Failed]) -> bool {
        let mut named = core.space.batch();
        let staged = all_of::<Account>(core, &mut named, &self.accounts)
            .and_then(|()| all_of::<Hold>(core, &mut named, &self.holds))
            .and_then(|()| all_of::<Usage>(core, &mut named, &self.usage));
        staged.is_err() || failed.iter().any(|failed| named.names(&failed.key))
    }
}

/// Names these rows, and means nothing by it.
fn all_of<R: Record<Scope = Tenant>>(
    core: &Core,
    named: &mut ScopedBatch<Tenant>,
    ids: &BTreeSet<R::Id>,
) -> Result<(), RecordError> {
    let rows = Records::<R>::new(&core.space);
    ids.iter().try_for_each(|id| rows.stage_absent(named, id))
}
