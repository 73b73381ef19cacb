//! How many gates of a tenant are pending: a bound that is counted when it is needed.

use std::sync::PoisonError;

use dormouse_filesystem::{Query, Records};

use super::{Gate, GateIndex};
use crate::CommandError;
use crate::core::Core;
use crate::limits::PAGE_MAX;

/// A bound that was counted holds for so many openings: other processes open gates too.
const COUNTED_EVERY: usize = 1000;

/// Whether one more would be too many. What this process opened since it counted is taken for pending still, so the
/// rows are read again only where that would be too many, and now and then.
pub(super) async fn is_full(core: &Core) -> Result<bool, CommandError> {
    let max = core.gate_options.pending_tenant_max;
    let bound = *core
        .gates
        .pending_bound
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(bound) = bound
        && bound < max
        && bound % COUNTED_EVERY != 0
    {
        return Ok(false);
    }
    let counted = counted(core).await?;
    set(core, Some(counted));
    Ok(counted >= max)
}

/// One more was opened.
pub(super) fn opened(core: &Core) {
    let mut bound = core
        .gates
        .pending_bound
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    *bound = bound.map(|bound| bound + 1);
}

fn set(core: &Core, bound: Option<usize>) {
    *core
        .gates
        .pending_bound
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = bound;
}

async fn counted(core: &Core) -> Result<usize, CommandError> {
    let rows = Records::<Gate>::new(&core.space);
    let (mut counted, mut after) = (0, None);
    // Ends with the last page, or at the limit.
    loop {
        let query = Query::of(GateIndex::Pending).after(after).limit(PAGE_MAX);
        let page = rows.find(&query).await?;
        counted += page.rows.len() + page.issues.len();
        after = page.next;
        if after.is_none() || counted >= core.gate_options.pending_tenant_max {
            return Ok(counted);
        }
    }
}
