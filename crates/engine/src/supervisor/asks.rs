//! What the questions of one run have in common: their numbers, their places, and the answers that are awaited.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dormouse_filesystem::Digest;
use tokio::sync::watch;

use crate::GateId;

/// What a run's questions share while it is live.
#[derive(Debug)]
pub(super) struct Asks {
    /// How many answers are awaited.
    waiting: watch::Sender<usize>,
    /// The gate for which the run is to park.
    park: watch::Sender<Option<GateId>>,
    /// The last place in the source.
    place: AtomicU64,
    /// How often a question of this digest was asked.
    counts: Mutex<HashMap<Digest, u32>>,
}

impl Asks {
    /// Of a run that has asked nothing.
    pub(super) fn new() -> Self {
        Self {
            waiting: watch::Sender::new(0),
            park: watch::Sender::new(None),
            place: AtomicU64::new(0),
            counts: Mutex::default(),
        }
    }

    /// Tells when the number of awaited answers changes.
    pub(super) fn waiting(&self) -> watch::Receiver<usize> {
        self.waiting.subscribe()
    }

    /// Waits until the run is to park, and says for which gate. May be dropped and called again.
    pub(super) async fn parks(&self) -> GateId {
        let mut park = self.park.subscribe();
        let gate = park.wait_for(Option::is_some).await;
        gate.expect("its sender lives as long as this")
            .expect("waited for")
    }

    /// An answer is awaited, until what this gives is dropped.
    pub(super) fn enter(&self) -> Awaited<'_> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        Awaited(self)
    }

    /// The run is to park for this gate, unless it is to for another.
    pub(super) fn park(&self, gate: GateId) {
        self.park.send_if_modified(|park| {
            let is_first = park.is_none();
            park.get_or_insert(gate);
            is_first
        });
    }

    /// The next place in the source, from 1.
    pub(super) fn next_place(&self) -> u64 {
        self.place.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether the run is to park: nothing is begun any more.
    pub(super) fn is_parking(&self) -> bool {
        self.park.borrow().is_some()
    }

    /// The number of the next question of this digest, from 1.
    pub(super) fn count(&self, digest: Digest) -> u32 {
        let mut counts = self.counts();
        let count = counts.entry(digest).or_default();
        *count += 1;
        *count
    }

    /// Nobody was asked under this number: it is the next one's, unless that has another already.
    pub(super) fn uncount(&self, digest: Digest, number: u32) {
        let mut counts = self.counts();
        match number {
            1 if counts.get(&digest) == Some(&1) => drop(counts.remove(&digest)),
            _ => {
                if let Some(count) = counts.get_mut(&digest).filter(|count| **count == number) {
                    *count -= 1;
                }
            }
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Digest, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that is awaited, until this is dropped.
pub(super) struct Awaited<'a>(&'a Asks);

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
    }
}
