//! The doorbell of this process: that a wake row was written, and that a place became free. Lost, it costs time only.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::room::DueRoom;
use crate::{AgentName, TenantId};

/// Most lanes of which it is remembered that a place is free; beyond them all that wait are looked at.
const FREED_MAX: usize = 10_000;

/// Whether wakes are served in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// Nobody has begun to.
    Nobody,
    /// They are.
    Here,
    /// They were, and what is under way is waited for.
    Leaving,
    /// They were, and are no more.
    Ended,
}

/// Where commits say that there is something to do.
#[derive(Debug)]
pub(crate) struct Bell {
    rung: watch::Sender<u64>,
    freed: Mutex<Freed>,
    service: Mutex<Service>,
    room: DueRoom,
    /// As many runs are at work here as may be.
    is_full: AtomicBool,
}

/// Whoever serves wakes, until this is dropped: then it is known that nobody does.
#[derive(Debug)]
pub(super) struct Listening<'a> {
    bell: &'a Bell,
    /// Changes with each ring.
    pub(super) rung: watch::Receiver<u64>,
}

impl Listening<'_> {
    /// No more is begun.
    pub(super) fn leaves(&self) {
        self.bell.set_service(Service::Leaving);
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.bell.leave();
        self.bell.set_service(Service::Ended);
    }
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
            service: Mutex::new(Service::Nobody),
            room: DueRoom::default(),
            is_full: AtomicBool::new(false),
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
    pub(super) fn listen(&self) -> Listening<'_> {
        self.with(|freed| freed.is_awaited = true);
        self.set_service(Service::Here);
        Listening {
            bell: self,
            rung: self.rung.subscribe(),
        }
    }

    /// How many more may be woken by whoever asks.
    pub(crate) fn room(&self) -> &DueRoom {
        &self.room
    }

    /// Whether as many runs are at work here as may be, when whoever serves looked last.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    pub(super) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Nobody serves any more.
    fn leave(&self) {
        self.set_full(false);
        self.with(|freed| *freed = Freed::default());
    }

    /// Whether wakes are served here.
    pub(super) fn service(&self) -> Service {
        *self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_service(&self, service: Service) {
        *self.service.lock().unwrap_or_else(PoisonError::into_inner) = service;
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
