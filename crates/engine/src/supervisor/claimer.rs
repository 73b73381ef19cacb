//! A supervisor as the one that does the work of what is claimed from lanes.

use async_trait::async_trait;

use super::{OnGate, Supervisor};
use crate::run::Slot;
use crate::wake::Starter;
use crate::{CommandError, Principal, RunId, TaskId, Tenant};

#[async_trait]
impl Starter for Supervisor {
    /// Whoever asks a person waits for the answer.
    async fn start(&self, tenant: &Tenant, task: TaskId) -> Result<RunId, CommandError> {
        let by = Principal::engine();
        // Another may have taken the last place since the lane was read.
        self.start_at(tenant, &by, task, OnGate::Wait, Slot::Free).await
    }

    fn at_work(&self) -> usize {
        self.count()
    }

    async fn fewer_than(&self, most: usize) {
        let mut count = self.0.count.subscribe();
        // The count is there as long as this is.
        let _ = count.wait_for(|count| *count < most).await;
    }
}
