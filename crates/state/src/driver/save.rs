//! How a driver saves, and how it gets back to what is stored.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::task::{CONFLICTS_MAX, apply};
use super::{Driver, Input, Save, SaveError, SaveKind, Store};
use crate::{Answer, Applied, Ignored, Rejected, Session};

impl<S: Store> Driver<S> {
    /// Saves the next state with all that led to it, and takes it.
    pub(super) async fn save_durably(&mut self, next: &Session, applied: Applied) -> Result<(), SaveError> {
        self.changes.push(applied);
        let save = Save {
            kind: SaveKind::Durable,
            snapshot: next.view(),
            changes: &self.changes,
        };
        if let Err(error) = self.store.save(save).await {
            self.changes.pop();
            self.is_unsure |= matches!(error, SaveError::Indeterminate(_));
            return Err(error);
        }
        self.session = next.clone();
        self.unsaved.clear();
        self.changes.clear();
        self.catch_up();
        self.publish();
        Ok(())
    }

    /// Saves what is unsaved. A live state is still ahead of the durable one: what led to it comes again with that.
    pub(super) async fn flush(&mut self, wanted: SaveKind) -> Result<(), SaveError> {
        self.be_sure().await?;
        // What was unknown is stored: it is not written, nor told, once more.
        if wanted == SaveKind::Live && !self.is_ahead {
            return Ok(());
        }
        // On a state that another one wrote, what could be gathered may have become more.
        let kind = if self.changes.iter().any(|applied| applied.durable) {
            SaveKind::Durable
        } else {
            wanted
        };
        let save = Save {
            kind,
            snapshot: self.session.view(),
            changes: &self.changes,
        };
        match self.store.save(save).await {
            Ok(()) => {
                if kind == SaveKind::Durable {
                    self.changes.clear();
                    self.unsaved.clear();
                }
                self.catch_up();
                Ok(())
            }
            Err(SaveError::Conflict) => {
                self.reload().await?;
                self.conflicts += 1;
                if self.is_ahead && self.conflicts >= CONFLICTS_MAX {
                    // Somebody writes without end: this one need not be as fast.
                    self.flush_at = Some(Instant::now() + self.options.retry_min);
                }
                Ok(())
            }
            Err(error) => {
                self.is_unsure |= matches!(error, SaveError::Indeterminate(_));
                Err(error)
            }
        }
    }

    /// Reads again what is stored, if that is unknown.
    pub(super) async fn be_sure(&mut self) -> Result<(), SaveError> {
        if self.is_unsure {
            self.reload().await?;
            self.is_unsure = false;
        }
        Ok(())
    }

    /// Takes what is stored, and applies to it what was not saved.
    pub(super) async fn reload(&mut self) -> Result<(), SaveError> {
        let now = self.clock.now();
        let stored = self.store.load().await?;
        self.is_parked = stored.is_parked;
        let restored = Session::restore(stored.snapshot, self.options.session, now);
        let mut session = restored.map_err(|error| SaveError::Corrupt(error.into()))?;
        let (mut unsaved, mut changes) = (Vec::new(), Vec::new());
        for input in self.unsaved.drain(..) {
            let answer = apply(&mut session, &input, now);
            if was_read(&input, &answer) {
                unsaved.push(input);
            }
            if let Answer::Applied(applied) = answer {
                changes.push(applied);
            }
        }
        (self.unsaved, self.changes) = (unsaved, changes);
        self.session = session;
        if self.unsaved.is_empty() {
            self.catch_up();
        } else {
            self.get_ahead();
        }
        self.publish();
        Ok(())
    }

    /// Saves durably until it is done; whoever calls bounds it.
    pub(super) async fn save_to_the_end(&mut self) {
        let mut delay = self.options.retry_min;
        while self.is_ahead || !self.unsaved.is_empty() {
            match self.flush(SaveKind::Durable).await {
                Ok(()) if self.conflicts < CONFLICTS_MAX => delay = self.options.retry_min,
                Ok(()) => sleep(delay).await,
                Err(SaveError::Fenced | SaveError::Corrupt(_)) => return,
                Err(SaveError::Conflict | SaveError::Indeterminate(_) | SaveError::Unavailable(_)) => {
                    sleep(delay).await;
                    delay = (delay * 2).min(self.options.retry_max);
                }
            }
        }
    }

    pub(super) fn get_ahead(&mut self) {
        self.is_ahead = true;
        let at = Instant::now() + self.options.live_flush;
        self.flush_at.get_or_insert(at);
    }

    fn catch_up(&mut self) {
        self.conflicts = 0;
        self.is_ahead = false;
        self.flush_at = None;
        self.busy_at = Instant::now();
    }

    pub(super) fn publish(&self) {
        self.view.send_replace(Arc::new(self.session.snapshot()));
    }
}

/// Whether a session noted at least the position of an input. What it did not is stored already, or of another run or
/// life.
fn was_read(input: &Input, answer: &Answer) -> bool {
    let is_unread = matches!(
        answer,
        Answer::Ignored(Ignored::Duplicate | Ignored::StaleRun)
            | Answer::Rejected(Rejected::Incarnation | Rejected::Sources)
    );
    match input {
        Input::Observed(_) => !is_unread,
        Input::Command(_) => answer.applied().is_some(),
    }
}
