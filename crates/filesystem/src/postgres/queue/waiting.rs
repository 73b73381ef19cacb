//! A commit that waits, and what others tell of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::postgres::claims::Claims;
use crate::{Batch, CommitError, Committed, Expected, Failed, Key, Version};

/// What a commit costs its lane beside its bytes.
const COMMIT_COST_BYTES: usize = 256;

/// What a caller hears.
pub(in crate::postgres) type Answer = Result<Committed, CommitError>;

/// A commit that waits, or is under way.
#[derive(Debug)]
pub(in crate::postgres) struct Waiting {
    pub(in crate::postgres) batch: Batch,
    pub(in crate::postgres) claims: Claims,
    pub(in crate::postgres) deadline: Instant,
    pub(in crate::postgres) ticket: Arc<Ticket>,
    pub(super) answer: oneshot::Sender<Answer>,
    pub(super) bytes: usize,
    pub(super) serial: u64,
}

impl Waiting {
    pub(in crate::postgres) fn answer(self, answer: Answer) {
        // The caller may be gone.
        drop(self.answer.send(answer));
    }

    /// Its own conflict, if it names one key alone and expects a version that is past.
    pub(super) fn conflict(&self, settled: &Settled) -> Option<CommitError> {
        let mut keys = self.batch.keys();
        if self.claims.is_alone {
            return None;
        }
        let (Some((key, Expected::At(expected))), None) = (keys.next(), keys.next()) else {
            return None;
        };
        let (version, is_there) = settled.keys.get(key)?;
        (expected < *version).then(|| CommitError::Conflict {
            failed: vec![Failed {
                key: key.clone(),
                actual: is_there.then_some(*version),
            }],
        })
    }

    pub(super) fn cost(&self) -> usize {
        self.bytes + COMMIT_COST_BYTES
    }
}

/// Where a commit is: what its caller may say of it at the deadline depends on it.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Ticket(AtomicU8);

impl Ticket {
    const WAITING: u8 = 0;
    const SENT: u8 = 1;
    const WITHDRAWN: u8 = 2;

    fn step(&self, from: u8, to: u8) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The caller gives up; false when it is under way.
    pub(in crate::postgres) fn withdraw(&self) -> bool {
        self.step(Self::WAITING, Self::WITHDRAWN)
    }

    /// Whether the caller gave up.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::WITHDRAWN
    }

    /// It goes to the server; false when the caller gave up.
    pub(in crate::postgres) fn send(&self) -> bool {
        self.step(Self::WAITING, Self::SENT)
    }

    /// It certainly was not done, and waits again.
    pub(in crate::postgres) fn take_back(&self) {
        self.step(Self::SENT, Self::WAITING);
    }
}

/// What a transaction did to its keys: commits that wait and expect an older version have lost to it, and need no
/// transaction of their own to be told.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Settled {
    /// The version of each key, and whether there is a record.
    pub(super) keys: HashMap<Key, (Version, bool)>,
    /// Commits below this were waiting when the transaction began.
    pub(super) before: u64,
}

impl Settled {
    pub(in crate::postgres) fn add(&mut self, waiting: &Waiting, version: Version) {
        let puts = waiting
            .batch
            .puts
            .iter()
            .map(|put| (put.key.clone(), (version, true)));
        let deletes = waiting.batch.deletes.iter();
        self.keys.extend(puts);
        self.keys
            .extend(deletes.map(|delete| (delete.key.clone(), (version, false))));
    }
}
