//! What tasks did to a few records and what they were told, with the times between which it happened.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Version;

/// A record as somebody saw it. Every put of a history writes another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Held {
    /// What was written.
    pub value: u64,
    /// The commit that wrote it.
    pub version: Version,
}

/// What an operation needs a record to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Needs {
    /// Nothing there.
    Absent,
    /// This version.
    At(Version),
}

/// What an operation makes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Makes {
    /// Nothing: a check.
    Nothing,
    /// This value.
    Put(u64),
    /// An absent record.
    Deleted,
}

/// One record's part in an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Which record.
    pub record: usize,
    /// What it has to be.
    pub needs: Needs,
    /// What becomes of it.
    pub makes: Makes,
}

/// What the caller was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was done, at this version if it wrote.
    Done(Option<Version>),
    /// It was not done, since these records were not as needed: what they were instead.
    Refused(Vec<(usize, Option<Version>)>),
    /// Nothing, or that nobody knows: it is done at some time after it began, or never.
    Unknown,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Before it was begun.
    pub began: u64,
    /// After it was answered.
    pub ended: u64,
    /// What it read of records, at the moment it happened.
    pub saw: Vec<(usize, Option<Held>)>,
    /// What it did, all or nothing.
    pub steps: Vec<Step>,
    /// What was told of it.
    pub answer: Answer,
}

impl Event {
    /// Whether it happened, at a time before it ended.
    pub(super) fn is_answered(&self) -> bool {
        self.answer != Answer::Unknown
    }
}

/// Writes a history down, for all its tasks.
#[derive(Debug, Default)]
pub struct Recorder {
    ticks: AtomicU64,
    values: AtomicU64,
    events: Mutex<Vec<Event>>,
}

impl Recorder {
    /// A time that is nobody else's.
    pub fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// A value that nobody else writes.
    pub fn value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::SeqCst)
    }

    /// Adds what began then and has ended now.
    pub fn ended(&self, began: u64, saw: Vec<(usize, Option<Held>)>, steps: Vec<Step>, answer: Answer) {
        let ended = self.tick();
        let event = Event {
            began,
            ended,
            saw,
            steps,
            answer,
        };
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event);
    }

    /// All that was written down so far.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
