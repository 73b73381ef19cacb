//! The tasks that somebody of this process is just claiming: the others try the next ones at once, instead of losing the race
//! for the same.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::TaskId;

/// What is being claimed in this process.
#[derive(Debug, Default)]
pub(crate) struct Claiming {
    tasks: Mutex<HashSet<TaskId>>,
    /// How many look for one that is ready, and have not begun to claim it.
    looking: AtomicUsize,
    /// Told with each claim that is over: all who wait, in the order in which they began to. A `watch` would wake them in
    /// an order of chance, and a simulation would be another history each time.
    over: Notify,
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

    /// Says that somebody looks for a task to claim, until this is dropped.
    pub(super) fn look(self: &Arc<Self>) -> Looking {
        self.looking.fetch_add(1, Ordering::Relaxed);
        Looking(Arc::clone(self))
    }

    /// Returns when a claim is over that was not when this was asked for: so before it is looked what is being claimed.
    pub(super) fn over(&self) -> Notified<'_> {
        self.over.notified()
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashSet<TaskId>) -> T) -> T {
        f(&mut self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Somebody who looks for a task.
#[derive(Debug)]
pub(super) struct Looking(Arc<Claiming>);

impl Looking {
    /// How many ready tasks are to be read so that one is left for this: one for each that looks, and each that is claimed.
    pub(super) fn wanted(&self) -> usize {
        self.0.looking.load(Ordering::Relaxed) + self.0.with(|tasks| tasks.len())
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.looking.fetch_sub(1, Ordering::Relaxed);
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
        self.claiming.over.notify_waiters();
    }
}
