//! The store of a simulation: memory, which refuses, loses and delays answers until it is told to be calm, and which
//! processes of several machines may write.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use dormouse_filesystem::capability::Reach;
use dormouse_filesystem::wrapper::{Between, Fault};
use dormouse_filesystem::{Capabilities, Memory, Prefix, RecordStore, between};
use jiff::Timestamp;

/// Memory with faults.
#[derive(Debug)]
pub(crate) struct Stormy {
    faulty: Fault<Memory>,
    is_calm: AtomicBool,
}

impl Stormy {
    /// Calm, until [`storm`](Self::storm).
    pub(crate) fn new(seed: u64, per_mille: u32) -> Arc<Self> {
        Arc::new(Self {
            faulty: Fault::seeded(Memory::new(Timestamp::UNIX_EPOCH), seed, per_mille),
            is_calm: AtomicBool::new(true),
        })
    }

    /// From here on things happen.
    pub(crate) fn storm(&self) {
        self.is_calm.store(false, Ordering::SeqCst);
    }

    /// From here on nothing does.
    pub(crate) fn calm(&self) {
        self.is_calm.store(true, Ordering::SeqCst);
    }
}

impl fmt::Display for Stormy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.faulty.fmt(f)
    }
}

#[async_trait]
impl Between for Stormy {
    fn beneath(&self) -> &dyn RecordStore {
        if self.is_calm.load(Ordering::SeqCst) {
            self.faulty.inner()
        } else {
            &self.faulty
        }
    }

    fn capabilities(&self, at: &Prefix) -> Capabilities {
        Capabilities {
            reach: Reach::Cluster,
            ..self.beneath().capabilities(at)
        }
    }
}

between!(Stormy);
