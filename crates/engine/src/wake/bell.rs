//! The doorbell of this process: that a wake row was written, and that a place became free. Lost, it costs time only.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::{AgentName, TenantId};

/// Most lanes of which it is remembered that a place is free; beyond them all that wait are looked at.
const FREED_MAX: usize = 10_000;

/// Where commits say that there is something to do.
#[derive(Debug)]
pub(crate) struct Bell {
    rung: watch::Sender<u64>,
    freed: Mutex<Freed>,
}

/// The lanes of which a run ended.
#[derive(Debug, Default)]
pub(crate) struct Freed {
    /// Which.
    pub(crate) lanes: HashSet<(TenantId, AgentName)>,
    /// There were more of them than are remembered.
    pub(crate) is_all: bool,
    is_awaited: bool,
}

impl Default for Bell {
    fn default() -> Self {
        Self {
            rung: watch::Sender::new(0),
            freed: Mutex::default(),
        }
    }
}

impl Bell {
    /// A wake row was written.
    pub(crate) fn ring(&self) {
        self.rung.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A run of this agent ended or was parked.
    pub(crate) fn free(&self, tenant: &TenantId, agent: AgentName) {
        let is_awaited = self.with(|freed| {
            // Where nobody serves, nothing is remembered: whoever begins reads what there is.
            if freed.is_awaited && freed.lanes.len() < FREED_MAX {
                freed.lanes.insert((tenant.clone(), agent));
            } else if freed.is_awaited {
                freed.is_all = true;
            }
            freed.is_awaited
        });
        if is_awaited {
            self.ring();
        }
    }

    /// Any lane may be served again.
    pub(crate) fn free_all(&self) {
        self.with(|freed| freed.is_all = freed.is_awaited);
        self.ring();
    }

    /// Whoever serves hears of it from here on.
    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.with(|freed| freed.is_awaited = true);
        self.rung.subscribe()
    }

    /// Nobody serves any more.
    pub(super) fn leave(&self) {
        self.with(|freed| *freed = Freed::default());
    }

    /// The lanes of which runs ended since this was asked last.
    pub(super) fn take_freed(&self) -> Freed {
        self.with(|freed| {
            let is_awaited = freed.is_awaited;
            let taken = std::mem::take(freed);
            freed.is_awaited = is_awaited;
            taken
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut Freed) -> T) -> T {
        f(&mut self.freed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
