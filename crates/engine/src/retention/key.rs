//! An idempotency key is forgotten when its time is over. From then on it counts for nothing, whether or not it is swept.

use std::time::Duration;

use dormouse_filesystem::{Records, Versioned};
use jiff::Timestamp;

use super::{Gone, Retention, Retires};
use crate::CommandError;
use crate::core::Core;
use crate::draft::Draft;
use crate::idempotency::{IdempotencyIndex, IdempotencyRow};
use crate::limits::IDEMPOTENCY_KEPT;

impl Retires for IdempotencyRow {
    const SWEEP: &'static str = "keys";
    const RETIRE: IdempotencyIndex = IdempotencyIndex::Retire;

    fn kept(_: &Retention) -> Duration {
        IDEMPOTENCY_KEPT
    }

    fn ended_at(&self) -> Option<Timestamp> {
        Some(self.created_at)
    }

    async fn stage_gone(core: &Core, draft: &mut Draft, row: &Versioned<Self>) -> Result<Gone, CommandError> {
        let rows = Records::<Self>::new(&core.space);
        rows.stage_remove(draft.batch(), row).await?;
        Ok(Gone::Wholly)
    }
}
