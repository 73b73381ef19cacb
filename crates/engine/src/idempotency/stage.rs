//! A key's row in the commit of what is done under it.

use dormouse_filesystem::{Records, Versioned};
use jiff::{SignedDuration, Timestamp};

use super::{IdempotencyRow, Once};
use crate::core::Core;
use crate::draft::Draft;
use crate::limits::{IDEMPOTENCY_KEPT, IDEMPOTENCY_RESULTS_MAX};
use crate::{CommandError, Subject};

/// A key under which nothing was done; or nothing since it was forgotten, and this row is to be replaced.
#[derive(Debug)]
pub(crate) struct Before(Option<Versioned<IdempotencyRow>>);

/// What was done under a key: nothing, this, or `KeyReused` for another request.
pub(crate) async fn look(
    core: &Core,
    once: &Once,
    now: Timestamp,
) -> Result<Result<Versioned<IdempotencyRow>, Before>, CommandError> {
    match Records::<IdempotencyRow>::new(&core.space).get(&once.id).await? {
        None => Ok(Err(Before(None))),
        Some(row) if row.expires_at <= now => Ok(Err(Before(Some(row)))),
        Some(row) if row.request != once.request => Err(CommandError::KeyReused),
        Some(row) => Ok(Ok(row)),
    }
}

/// That nothing was done under a key yet.
///
/// # Errors
/// `DoneBefore` and `KeyReused`.
pub(crate) async fn before(core: &Core, once: &Once, now: Timestamp) -> Result<Before, CommandError> {
    match look(core, once, now).await? {
        Err(before) => Ok(before),
        Ok(row) => {
            once.found();
            let results = row.into_inner().results;
            Err(CommandError::DoneBefore { results })
        }
    }
}

/// Stages the row of a key under which these are made or changed.
pub(crate) async fn stage(
    core: &Core,
    draft: &mut Draft,
    once: &Once,
    before: &Before,
    results: &[Subject],
) -> Result<(), CommandError> {
    let kept = SignedDuration::try_from(IDEMPOTENCY_KEPT).expect("days fit");
    let mut results = results.to_vec();
    results.truncate(IDEMPOTENCY_RESULTS_MAX);
    let row = IdempotencyRow {
        key: once.id,
        request: once.request,
        operation: once.operation.clone(),
        results,
        answer: None,
        expires_at: draft.now().checked_add(kept).unwrap_or(Timestamp::MAX),
        created_at: draft.now(),
        op: draft.op(),
    };
    let rows = Records::<IdempotencyRow>::new(&core.space);
    match &before.0 {
        None => rows.stage_create(draft.batch(), &row)?,
        Some(forgotten) => rows.stage_replace(draft.batch(), forgotten, &row).await?,
    }
    Ok(())
}
