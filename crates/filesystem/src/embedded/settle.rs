//! Making what was written durable behind the log, and the checkpoints that say so.

use std::io;
use std::sync::atomic::Ordering;

use super::audit::Counted;
use super::committer::Committer;
use super::gone::remove_segments;
use super::index::{Index, IndexError, Patience, Settled};
use crate::State;
use crate::commit_log::checkpoint::Checkpoint;

impl<I: Index> Committer<I> {
    /// Takes one step of making what was written durable behind the log; behind the last one says so.
    ///
    /// A round covers what is there when it begins. What comes meanwhile is the next round's, so each one ends.
    pub(super) fn settle(&mut self, patience: Patience) {
        if self.waits_for_export() {
            return;
        }
        // After a failure the log may hold what the index lacks: the last checkpoint is the one that is true.
        if self.shared.state() != State::Open {
            self.is_behind = false;
            self.round = None;
            return;
        }
        if self.round.is_none() {
            self.round = Some(self.checkpoint());
            self.is_behind = false;
        }
        if let Err(error) = self.try_settle(patience) {
            // The checkpoint before this one still holds; the next opening replays more.
            tracing::warn!(%error, "no checkpoint of the store was made");
            self.round = None;
        }
    }

    /// Whether somebody exports what settling would replace: it is looked at again when nothing else is to be done.
    pub(super) fn waits_for_export(&self) -> bool {
        I::REPLACES_FILES && self.shared.exports.load(Ordering::Acquire) > 0
    }

    fn try_settle(&mut self, patience: Patience) -> io::Result<()> {
        if I::settle(&self.shared, patience)? == Settled::All
            && let Some(checkpoint) = self.round.take()
        {
            checkpoint.write(&*self.shared.files)?;
            self.remove_segments(&checkpoint)?;
        }
        Ok(())
    }

    /// Makes all of it durable, and says that the end was clean.
    pub(super) fn end(&mut self) {
        if self.shared.state() != State::Open {
            return;
        }
        if let Err(error) = self.try_end() {
            tracing::warn!(%error, "the store was closed without a checkpoint");
        }
    }

    /// Ends: nothing is committed any more, so a round under way and one more are all there are.
    fn try_end(&mut self) -> io::Result<()> {
        if I::REPLACES_FILES {
            self.shared.noted.abort();
        }
        if self.round.take().is_some() {
            while I::settle(&self.shared, Patience::Unbounded)? == Settled::Part {}
        }
        while I::settle(&self.shared, Patience::Unbounded)? == Settled::Part {}
        let index = match self.audit {
            // Not known to be what it must: without a sum the next opening begins to compare again.
            Some(_) => 0,
            None => I::sum(&self.shared)?,
        };
        let checkpoint = Checkpoint {
            clean: true,
            index,
            ..self.checkpoint()
        };
        checkpoint.write(&*self.shared.files)?;
        self.remove_segments(&checkpoint)
    }

    /// Nothing goes while the index is not known to hold what it must: a rebuilding may need all of the log.
    fn remove_segments(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        if self.audit.is_some() {
            return Ok(());
        }
        remove_segments(&self.shared, checkpoint)
    }

    /// What is true once all that is written now is durable behind the log.
    fn checkpoint(&self) -> Checkpoint {
        let (segment, offset) = self.appender.next_place();
        Checkpoint {
            clean: false,
            store: self.store,
            boot: self.shared.files.boot(),
            version: self.appender.version(),
            segment,
            offset,
            items: self.tally.items,
            digest: self.tally.digest,
            live: self.live(),
            first: self.cleaner.as_ref().map_or(segment, |cleaner| cleaner.first()),
            index: 0,
        }
    }

    /// Goes on comparing the index with what the log says it must hold.
    pub(super) fn audit(&mut self) {
        let Some(audit) = &mut self.audit else { return };
        match self.shared.with_index(|index| audit.step(index)) {
            Ok(None) => {}
            Ok(Some(Counted { tally, live })) => {
                self.audit = None;
                self.live = live;
                if tally != self.tally {
                    self.shared.index_failed(&IndexError::Unequal);
                }
            }
            // It was said where it failed.
            Err(_) => self.audit = None,
        }
    }
}
