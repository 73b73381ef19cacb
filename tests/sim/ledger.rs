//! What actors were told, and what they did to the world: held against what is stored in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dormouse_engine::run::OutcomeKind;
use dormouse_engine::{HoldId, RunId, TaskId};

/// What was acknowledged, and which effects happened.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Entries>);

/// The entries.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    /// Tasks whose making was acknowledged, with their tenants.
    pub(crate) created: BTreeMap<TaskId, usize>,
    /// Runs whose claim was acknowledged, with their tenants and tasks.
    pub(crate) claimed: BTreeMap<RunId, (usize, TaskId)>,
    /// Runs whose end was acknowledged to their holder.
    pub(crate) finished: BTreeMap<RunId, OutcomeKind>,
    /// How often somebody said `retry` of a task, unless that was certainly refused.
    pub(crate) retried: BTreeMap<TaskId, u32>,
    /// What was acknowledged to be used at least, by hold.
    pub(crate) spent: BTreeMap<HoldId, u64>,
    /// External effects that happened, by task and step.
    pub(crate) effects: BTreeMap<(TaskId, String), u32>,
    /// Of these it was acknowledged that they are done.
    pub(crate) done: BTreeSet<(TaskId, String)>,
    /// What an actor saw that must not be.
    pub(crate) wrong: Vec<String>,
    /// How often each thing was done: that a simulation does what it is for.
    pub(crate) did: BTreeMap<&'static str, u64>,
}

impl Ledger {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn did(&self, what: &'static str) {
        *self.lock().did.entry(what).or_default() += 1;
    }

    /// An effect happens. Of one that is known to be done, that must not be.
    pub(crate) fn happens(&self, step: &(TaskId, String)) {
        let mut entries = self.lock();
        *entries.effects.entry(step.clone()).or_default() += 1;
        if entries.done.contains(step) {
            let wrong = format!("{} of {} was done, and is done again", step.1, step.0);
            entries.wrong.push(wrong);
        }
    }

    pub(crate) fn wrong(&self, what: String) {
        self.lock().wrong.push(what);
    }
}
