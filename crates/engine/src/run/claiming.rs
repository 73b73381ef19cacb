//! The tasks that somebody of this process is just claiming: the others try the next ones at once, instead of losing the race
//! for the same.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::TaskId;

/// What is being claimed in this process.
#[derive(Debug)]
pub(crate) struct Claiming {
    tasks: Mutex<HashSet<TaskId>>,
    /// Raised with each claim that is over.
    over: watch::Sender<u64>,
}

impl Default for Claiming {
    fn default() -> Self {
        Self {
            tasks: Mutex::default(),
            over: watch::Sender::new(0),
        }
    }
}

impl Claiming {
    /// Takes a task for a claim; none when another is at it.
    pub(super) fn begin(self: &Arc<Self>, task: TaskId) -> Option<Claim> {
        let is_free = self.with(|tasks| tasks.insert(task));
        is_free.then(|| Claim {
            claiming: Arc::clone(self),
            task,
        })
    }

    /// Where it is heard that a claim is over. To be asked for before it is looked what is being claimed.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.over.subscribe()
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashSet<TaskId>) -> T) -> T {
        f(&mut self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A claim under way. It is over when this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    claiming: Arc<Claiming>,
    task: TaskId,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claiming.with(|tasks| tasks.remove(&self.task));
        self.claiming
            .over
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}
