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
    unheld: watch::Sender<Unheld>,
}

/// How often a lease of this process may have been left standing that nobody holds, and how much of that was looked into.
#[derive(Debug, Clone, Copy, Default)]
struct Unheld {
    said: u64,
    looked_into: u64,
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

    /// Says that a lease of this process may stand that nobody holds: its run was let go of, or a claim that nobody knows
    /// of was done after all.
    pub(crate) fn note_unheld(&self) {
        self.unheld.send_modify(|unheld| unheld.said += 1);
    }

    /// Waits until that was said and not [looked into](Self::unheld_looked_into) yet; how often it was said by then.
    pub(crate) async fn unheld(&self) -> u64 {
        let mut unheld = self.unheld.subscribe();
        let said = unheld.wait_for(|unheld| unheld.said > unheld.looked_into).await;
        said.expect("its sender is here").said
    }

    /// What was said so often is looked into.
    pub(crate) fn unheld_looked_into(&self, said: u64) {
        self.unheld.send_modify(|unheld| unheld.looked_into = said);
    }

    /// For a claim that is committed: unless it [is answered](Claiming::answered), that is noted.
    pub(super) fn claiming(&self) -> Claiming<'_> {
        Claiming {
            live: self,
            is_known: false,
        }
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

/// A claim that is being committed, perhaps. Dropped before what came of it is known, its lease may stand without a holder.
#[derive(Debug)]
pub(super) struct Claiming<'a> {
    live: &'a LiveRuns,
    is_known: bool,
}

impl Claiming<'_> {
    /// It is known what came of it, and whoever claimed knows.
    pub(super) fn answered(mut self) {
        self.is_known = true;
    }
}

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        if !self.is_known {
            self.live.note_unheld();
        }
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
        // Whoever ended it gave its lease back; whoever could not, or let go of it, left that standing.
        self.live.note_unheld();
    }
}
