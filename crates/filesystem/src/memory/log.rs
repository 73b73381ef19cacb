//! One log of the memory store.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::filling::{Filling, logged_bytes};
use crate::{LogError, LogHead, Logged, Position, Predecessor, Version};

/// The entries kept, `first..next`, and where the log began.
#[derive(Debug, Clone)]
pub(super) struct Log {
    incarnation: Version,
    predecessor: Option<Predecessor>,
    next: Position,
    bytes: u64,
    entries: VecDeque<Logged>,
}

impl Log {
    /// A log that this commit is the first to append to.
    pub(super) fn begun(incarnation: Version) -> Self {
        Self::begun_at(incarnation, Position::FIRST, None)
    }

    /// A log that this commit begins where another one ended.
    pub(super) fn begun_at(incarnation: Version, first: Position, predecessor: Option<Predecessor>) -> Self {
        Self {
            incarnation,
            predecessor,
            next: first,
            bytes: 0,
            entries: VecDeque::new(),
        }
    }

    pub(super) fn append(&mut self, version: Version, entry: Bytes) -> Position {
        let position = self.next;
        self.bytes += entry.len() as u64;
        self.next = position.next();
        self.entries.push_back(Logged {
            position,
            version,
            entry,
        });
        position
    }

    pub(super) fn head(&self) -> LogHead {
        LogHead {
            incarnation: Some(self.incarnation),
            first: self.entries.front().map_or(self.next, |e| e.position),
            next: self.next,
            bytes: self.bytes,
            predecessor: self.predecessor,
        }
    }

    /// Those kept, from the earliest on.
    pub(super) fn entries(&self) -> &VecDeque<Logged> {
        &self.entries
    }

    pub(super) fn into_entries(self) -> impl Iterator<Item = Logged> {
        self.entries.into_iter()
    }

    pub(super) fn tail(&self, after: Position, mut filling: Filling) -> Vec<Logged> {
        let skipped = (after.get() + 1).saturating_sub(self.head().first.get());
        let skipped = usize::try_from(skipped).expect("a position asked for was checked against the entries");
        self.entries
            .range(skipped..)
            .take_while(|e| filling.takes(logged_bytes(e)))
            .cloned()
            .collect()
    }

    pub(super) fn truncate(&mut self, before: Position) {
        while let Some(first) = self.entries.front().filter(|e| e.position < before) {
            self.bytes -= first.entry.len() as u64;
            self.entries.pop_front();
        }
    }
}

/// Whether a reader that has seen up to `after` can go on: `first − 1 ≤ after < next`.
pub(super) fn check_after(head: &LogHead, after: Position) -> Result<(), LogError> {
    if after < head.next && after.next() >= head.first {
        Ok(())
    } else {
        Err(gap(head))
    }
}

/// Whether the entries before a position can be dropped: no further than what was written.
pub(super) fn check_before(head: &LogHead, before: Position) -> Result<(), LogError> {
    if before <= head.next {
        Ok(())
    } else {
        Err(gap(head))
    }
}

fn gap(head: &LogHead) -> LogError {
    LogError::ReplayGap {
        first: head.first,
        next: head.next,
    }
}
