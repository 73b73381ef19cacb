//! What is left of a thread that was deleted goes too. Its messages went before.

use std::time::Duration;

use dormouse_filesystem::{Records, Versioned};
use jiff::Timestamp;

use super::{Gone, Retention, Retires};
use crate::CommandError;
use crate::core::Core;
use crate::draft::Draft;
use crate::thread::{Thread, ThreadIndex};

impl Retires for Thread {
    const SWEEP: &'static str = "threads";
    const RETIRE: ThreadIndex = ThreadIndex::Retire;

    fn kept(retention: &Retention) -> Duration {
        retention.tombstones
    }

    fn ended_at(&self) -> Option<Timestamp> {
        self.gone_at()
    }

    async fn stage_gone(core: &Core, draft: &mut Draft, row: &Versioned<Self>) -> Result<Gone, CommandError> {
        let rows = Records::<Self>::new(&core.space);
        rows.stage_remove(draft.batch(), row).await?;
        Ok(Gone::Wholly)
    }
}
