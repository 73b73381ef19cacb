//! What is left of an agent that was deleted goes too.

use std::time::Duration;

use dormouse_filesystem::{Records, Versioned};
use jiff::Timestamp;

use super::{Gone, Retention, Retires};
use crate::CommandError;
use crate::agent::{Agent, AgentIndex, AgentState};
use crate::core::Core;
use crate::draft::Draft;

impl Retires for Agent {
    const SWEEP: &'static str = "agents";
    const RETIRE: AgentIndex = AgentIndex::Retire;

    fn kept(retention: &Retention) -> Duration {
        retention.tombstones
    }

    fn ended_at(&self) -> Option<Timestamp> {
        self.deleted_at.filter(|_| self.state == AgentState::Deleted)
    }

    async fn stage_gone(core: &Core, draft: &mut Draft, row: &Versioned<Self>) -> Result<Gone, CommandError> {
        let rows = Records::<Self>::new(&core.space);
        rows.stage_remove(draft.batch(), row).await?;
        Ok(Gone::Wholly)
    }
}
