//! A supervisor as the one that does the work of what is claimed from lanes.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OwnedRwLockReadGuard;

use super::{OnGate, Supervisor};
use crate::run::Slot;
use crate::wake::Starter;
use crate::{CommandError, Principal, RunId, TaskId, Tenant};

/// Held by whoever makes a task and begins it by itself. What this process claims from lanes waits until those are
/// dropped that there are: a task made while one was held is begun by who made it, as they say, and by no other.
#[derive(Debug)]
#[must_use = "what is claimed from lanes waits only while it is held"]
pub struct Beginning {
    _held: OwnedRwLockReadGuard<()>,
}

impl Supervisor {
    /// Before a task is made that is to be begun at once, with [`start_with`](Self::start_with). Another process may still
    /// be faster.
    pub async fn beginning(&self) -> Beginning {
        Beginning {
            _held: Arc::clone(&self.0.beginnings).read_owned().await,
        }
    }
}

#[async_trait]
impl Starter for Supervisor {
    /// Whoever asks a person waits for the answer.
    async fn start(&self, tenant: &Tenant, task: TaskId) -> Result<RunId, CommandError> {
        let by = Principal::engine();
        // It was found ready: whoever made it to begin it has it by then.
        drop(self.0.beginnings.write().await);
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
