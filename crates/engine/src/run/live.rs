//! The runs this process holds: how a stop that somebody recorded reaches their supervisors at once.
//!
//! What is told here is a hint. The row is the truth, and each heartbeat reads it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::{Inbox, StopReason};
use crate::RunId;

/// The runs that are held by this process.
#[derive(Debug, Default)]
pub struct LiveRuns {
    runs: Mutex<HashMap<RunId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    stop: watch::Sender<Option<StopReason>>,
    /// What is said to the future that works on it, where one does.
    inbox: Option<Inbox>,
}

impl LiveRuns {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.with(|runs| runs.len())
    }

    /// Whether a run is held.
    pub(crate) fn holds(&self, run: RunId) -> bool {
        self.with(|runs| runs.contains_key(&run))
    }

    pub(super) fn enter(self: &Arc<Self>, run: RunId) -> StopSignal {
        let (sender, receiver) = watch::channel(None);
        let entry = Entry {
            stop: sender,
            inbox: None,
        };
        self.with(|runs| runs.insert(run, entry));
        StopSignal {
            run,
            receiver,
            live: Arc::clone(self),
        }
    }

    /// A future works on it, and this is where it is told something.
    pub(crate) fn listen(&self, run: RunId, inbox: &Inbox) {
        self.with(|runs| {
            if let Some(entry) = runs.get_mut(&run) {
                entry.inbox = Some(inbox.clone());
            }
        });
    }

    /// Where the future that works on it is told something.
    pub(crate) fn inbox(&self, run: RunId) -> Option<Inbox> {
        self.with(|runs| runs.get(&run)?.inbox.clone())
    }

    /// Tells a run's supervisor, if it is of this process. The first reason stands.
    pub(crate) fn tell(&self, run: RunId, reason: StopReason) {
        self.with(|runs| {
            let Some(entry) = runs.get(&run) else { return };
            entry.stop.send_if_modified(|told| {
                let is_first = told.is_none();
                told.get_or_insert(reason);
                is_first
            });
        });
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashMap<RunId, Entry>) -> T) -> T {
        f(&mut self.runs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where a run's supervisor hears that it is to stop. Dropped, the run is no longer live here.
#[derive(Debug)]
pub struct StopSignal {
    run: RunId,
    receiver: watch::Receiver<Option<StopReason>>,
    live: Arc<LiveRuns>,
}

impl StopSignal {
    /// Waits until the run is told to stop; at once when it was. May be dropped and called again.
    pub async fn stopped(&self) -> StopReason {
        let mut receiver = self.receiver.clone();
        let told = receiver.wait_for(Option::is_some).await;
        let told = told.ok().and_then(|told| told.clone());
        match told {
            Some(reason) => reason,
            // Whoever goes on with the run has its place by now, and what is still held of this one is told nothing.
            None => std::future::pending().await,
        }
    }

    /// The reason, if the run was told to stop.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        self.receiver.borrow().clone()
    }
}

impl Drop for StopSignal {
    fn drop(&mut self) {
        self.live.with(|runs| {
            // Whoever goes on with a parked run may have entered before the last of this one is gone.
            let is_own = |entry: &Entry| entry.stop.subscribe().same_channel(&self.receiver);
            if runs.get(&self.run).is_some_and(is_own) {
                runs.remove(&self.run);
            }
        });
    }
}
