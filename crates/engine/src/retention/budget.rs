//! A hold that was closed goes, and a day of an account when it is long over.

use std::time::Duration;

use dormouse_filesystem::{Records, Versioned};
use jiff::Timestamp;

use super::{Gone, Retention, Retires};
use crate::CommandError;
use crate::budget::{Hold, HoldIndex, Usage, UsageIndex};
use crate::core::Core;
use crate::draft::Draft;

impl Retires for Hold {
    const SWEEP: &'static str = "holds";
    const RETIRE: HoldIndex = HoldIndex::Retire;

    fn kept(retention: &Retention) -> Duration {
        retention.holds
    }

    fn ended_at(&self) -> Option<Timestamp> {
        self.closed_at
    }

    async fn stage_gone(core: &Core, draft: &mut Draft, row: &Versioned<Self>) -> Result<Gone, CommandError> {
        let rows = Records::<Self>::new(&core.space);
        rows.stage_remove(draft.batch(), row).await?;
        Ok(Gone::Wholly)
    }
}

impl Retires for Usage {
    const SWEEP: &'static str = "usage";
    const RETIRE: UsageIndex = UsageIndex::Retire;

    fn kept(retention: &Retention) -> Duration {
        retention.usage
    }

    fn ended_at(&self) -> Option<Timestamp> {
        Some(self.over_at())
    }

    async fn stage_gone(core: &Core, draft: &mut Draft, row: &Versioned<Self>) -> Result<Gone, CommandError> {
        let rows = Records::<Self>::new(&core.space);
        rows.stage_remove(draft.batch(), row).await?;
        Ok(Gone::Wholly)
    }
}
