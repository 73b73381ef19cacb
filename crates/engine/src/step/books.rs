//! What an attempt knows of its steps while it lives: their numbers, which are called at the moment, and which external ones
//! have begun and not ended.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::begin::Running;
use super::{StepId, StepName};
use crate::run::RunWait;

/// A step that a script began and is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// Why the attempt leaves in the middle of its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It waits without being held.
    Park(RunWait),
    /// Whether a step happened is not known: it ends as a lapse would end it.
    Lose(StepName),
}

/// The books of one attempt.
#[derive(Debug)]
pub(super) struct Books {
    entries: Mutex<Entries>,
    /// How many external steps are in the middle of what they do.
    flying: watch::Sender<usize>,
    leave: watch::Sender<Option<Leave>>,
}

#[derive(Debug, Default)]
struct Entries {
    ordinals: HashMap<StepName, u64>,
    called: HashSet<StepId>,
    /// External steps that have begun, of which nothing more is durable.
    open: BTreeSet<StepId>,
    /// Those of them whose call goes on.
    flying: HashSet<StepId>,
    tickets: HashMap<Ticket, Running>,
    last_ticket: u64,
    last_gate: u64,
}

impl Books {
    pub(super) fn new() -> Self {
        Self {
            entries: Mutex::default(),
            flying: watch::Sender::new(0),
            leave: watch::Sender::new(None),
        }
    }

    /// The number of the next call of this name, from 1.
    pub(super) fn next(&self, name: &StepName) -> u64 {
        let mut entries = self.lock();
        let ordinal = entries.ordinals.entry(name.clone()).or_default();
        *ordinal += 1;
        *ordinal
    }

    /// Nothing was done under this number: it is the next call's, unless that has another already.
    pub(super) fn give_back(&self, name: &StepName, ordinal: u64) {
        if let Some(last) = self.lock().ordinals.get_mut(name)
            && *last == ordinal
        {
            *last -= 1;
        }
    }

    /// Whether no other call of this step goes on; from here on this one does.
    pub(super) fn enter(&self, id: &StepId) -> bool {
        self.lock().called.insert(id.clone())
    }

    /// No call of it goes on any more.
    pub(super) fn exit(&self, id: &StepId) {
        self.change(|entries| {
            entries.called.remove(id);
            entries.flying.remove(id);
        });
    }

    /// An external step begins.
    pub(super) fn open(&self, id: &StepId) {
        self.change(|entries| {
            entries.open.insert(id.clone());
            entries.flying.insert(id.clone());
        });
    }

    /// What came of an external step is durable.
    pub(super) fn close(&self, id: &StepId) {
        self.change(|entries| {
            entries.open.remove(id);
            entries.flying.remove(id);
        });
    }

    /// An external step that has begun and not ended, beside this one.
    pub(super) fn another_open(&self, id: &StepId) -> Option<StepId> {
        self.lock().open.iter().find(|open| *open != id).cloned()
    }

    /// The next place of a gate in its source, from 1.
    pub(super) fn next_gate(&self) -> u64 {
        let mut entries = self.lock();
        entries.last_gate += 1;
        entries.last_gate
    }

    /// Keeps a step that another request is to end.
    pub(super) fn keep(&self, running: Running) -> Ticket {
        let mut entries = self.lock();
        entries.last_ticket += 1;
        let ticket = Ticket(entries.last_ticket);
        entries.tickets.insert(ticket, running);
        ticket
    }

    /// Gives that step out, once.
    pub(super) fn take(&self, ticket: Ticket) -> Option<Running> {
        self.lock().tickets.remove(&ticket)
    }

    /// The attempt is to leave. The first reason stands, but that a step is lost goes before parking.
    pub(super) fn leave(&self, leave: Leave) {
        self.leave.send_if_modified(|told| {
            let stands = match (&told, &leave) {
                (None, _) => false,
                (Some(Leave::Park(_)), Leave::Lose(_)) => false,
                (Some(_), _) => true,
            };
            if !stands {
                *told = Some(leave);
            }
            !stands
        });
    }

    /// Whether it is to leave: nothing is begun any more.
    pub(super) fn is_leaving(&self) -> bool {
        self.leave.borrow().is_some()
    }

    /// Waits until the attempt is to leave and may: no external step is in the middle of what it does, unless one is lost.
    pub(super) async fn left(&self) -> Leave {
        let (mut leave, mut flying) = (self.leave.subscribe(), self.flying.subscribe());
        // Ends when it may leave.
        loop {
            let told = leave.borrow_and_update().clone();
            match told {
                Some(Leave::Park(_)) if *flying.borrow_and_update() > 0 => {}
                Some(leave) => return leave,
                None => {}
            }
            tokio::select! {
                changed = leave.changed() => changed.expect("its sender lives as long as this"),
                changed = flying.changed() => changed.expect("its sender lives as long as this"),
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Entries)) {
        let flying = {
            let mut entries = self.lock();
            change(&mut entries);
            entries.flying.len()
        };
        self.flying
            .send_if_modified(|told| std::mem::replace(told, flying) != flying);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
