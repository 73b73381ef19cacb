//! What an attempt knows of its steps while it lives: their numbers, which are called at the moment, and which external ones
//! have begun and not ended.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::begin::Running;
use super::{StepId, StepName, StepPlace};
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
    /// Tells when a call goes on no more.
    exits: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Entries {
    ordinals: HashMap<StepName, Numbers>,
    called: HashSet<StepId>,
    /// External steps that have begun, of which nothing more is durable.
    open: BTreeSet<StepId>,
    /// Those of them whose call goes on.
    flying: HashSet<StepId>,
    tickets: HashMap<Ticket, Running>,
    last_ticket: u64,
    last_gate: u64,
}

/// The numbers of the calls of one name.
#[derive(Debug, Default)]
struct Numbers {
    last: u64,
    /// Given back: the next calls'.
    free: BTreeSet<u64>,
    /// How many calls go on.
    out: usize,
}

impl Numbers {
    fn next(&mut self) -> u64 {
        self.out += 1;
        self.free.pop_first().unwrap_or_else(|| {
            self.last += 1;
            self.last
        })
    }
}

impl Books {
    pub(super) fn new() -> Self {
        Self {
            entries: Mutex::default(),
            flying: watch::Sender::new(0),
            leave: watch::Sender::new(None),
            exits: watch::Sender::new(()),
        }
    }

    /// The number of the next call of this name, from 1.
    pub(super) fn next(&self, name: &StepName) -> u64 {
        self.lock().ordinals.entry(name.clone()).or_default().next()
    }

    /// The same; none while another call of the name that has a number goes on.
    pub(super) fn next_alone(&self, name: &StepName) -> Option<u64> {
        let mut entries = self.lock();
        let numbers = entries.ordinals.entry(name.clone()).or_default();
        (numbers.out == 0).then(|| numbers.next())
    }

    /// Whether a call of this step goes on.
    pub(super) fn is_called(&self, id: &StepId) -> bool {
        self.lock().called.contains(id)
    }

    /// Tells when a call goes on no more.
    pub(super) fn exits(&self) -> watch::Receiver<()> {
        self.exits.subscribe()
    }

    /// Whether no other call of this step goes on; from here on this one does.
    pub(super) fn enter(&self, id: &StepId) -> bool {
        self.lock().called.insert(id.clone())
    }

    /// No call of it goes on any more. A number that is not spent is the next call's.
    pub(super) fn exit(&self, id: &StepId, is_spent: bool) {
        self.change(|entries| {
            entries.called.remove(id);
            entries.flying.remove(id);
            if let StepPlace::Ordinal(nth) = id.place
                && let Some(numbers) = entries.ordinals.get_mut(&id.name)
            {
                numbers.out -= 1;
                if !is_spent {
                    numbers.free.insert(nth);
                }
            }
        });
        self.exits.send_replace(());
    }

    /// An external step begins. Whether it was not open before.
    pub(super) fn open(&self, id: &StepId) -> bool {
        self.change(|entries| {
            entries.flying.insert(id.clone());
            entries.open.insert(id.clone())
        })
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

    /// Whether an external step has begun and not ended.
    pub(super) fn has_open(&self) -> bool {
        !self.lock().open.is_empty()
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

    /// Whether an external step is in the middle of what it does.
    pub(super) fn is_flying(&self) -> bool {
        *self.flying.borrow() > 0
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
                biased;
                changed = leave.changed() => changed.expect("its sender lives as long as this"),
                changed = flying.changed() => changed.expect("its sender lives as long as this"),
            }
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> T {
        let (changed, flying) = {
            let mut entries = self.lock();
            (change(&mut entries), entries.flying.len())
        };
        self.flying
            .send_if_modified(|told| std::mem::replace(told, flying) != flying);
        changed
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
