//! Ready tasks that cannot be believed: each leaves the index, so that no lane reads it again.

use dormouse_filesystem::update::DEADLINE;
use dormouse_filesystem::{Bad, BadStore, Deadline, Key, Query, Record, Records, Tenant};

use super::aside::{engine_draft, is_copied, tell};
use crate::CommandError;
use crate::core::Core;

/// Takes the rows that one page of a query names and that cannot be believed out of its index, a commit each. The rows
/// stay, and a copy of each is kept.
pub(crate) async fn pass_over<R: Record<Scope = Tenant>>(core: &Core, query: &Query<R::Index>) {
    let rows = Records::<R>::new(&core.space);
    let bad = match rows.bad_of(query).await {
        Ok(bad) => bad,
        Err(error) => {
            tracing::debug!(%error, "rows that cannot be believed stay in their index");
            return;
        }
    };
    for (bad, entry) in bad {
        if let Err(error) = unlist(core, &rows, &bad, &entry).await {
            tracing::debug!(issue = %bad.issue(), %error, "a row that cannot be believed stays in its index");
        }
    }
}

async fn unlist<R: Record<Scope = Tenant>>(
    core: &Core,
    rows: &Records<R>,
    bad: &Bad,
    entry: &Key,
) -> Result<(), CommandError> {
    let mut draft = engine_draft(core);
    let now = draft.now();
    if is_copied(core, bad).await? {
        rows.stage_unchanged(draft.batch(), bad);
    } else {
        rows.stage_copy(draft.batch(), bad, now)?;
        tell(&mut draft, BadStore::Quarantine, bad)?;
    }
    if rows.stage_entry_gone(draft.batch(), entry).await? {
        core.commit_aside(draft, Deadline::after(DEADLINE)).await?;
    }
    Ok(())
}
