//! What is said to whoever works on a run, while it works.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{RunState, Runs};
use crate::outcome::Outcome;
use crate::{CommandError, RunId};

/// Most texts that wait to be said to one run, where nothing else is set.
pub const INBOX_MAX: usize = 16;
/// Most bytes of one.
pub const TEXT_BYTES_MAX: usize = 256 * 1024;

/// A text that is not said.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The worker takes none.
    #[error("{kind} takes no further words: {why}")]
    Unsupported {
        /// Its kind: a provider's word, or `exec`.
        kind: &'static str,
        /// Why.
        why: &'static str,
    },
    /// So many wait already.
    #[error("{max} texts wait to be said to the run already")]
    QueueFull {
        /// The setting.
        max: usize,
    },
    /// The run has ended; nothing was said.
    #[error("the run has ended: {}", outcome.name())]
    Ended {
        /// How.
        outcome: Box<Outcome>,
    },
    /// As any command.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// The texts that wait for a future, in their order. Cloning is cheap, and every clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    texts: Mutex<VecDeque<String>>,
    rings: Notify,
}

impl Inbox {
    fn push(&self, text: &str) -> Result<(), SendError> {
        let mut texts = self.texts();
        if texts.len() >= INBOX_MAX {
            return Err(SendError::QueueFull { max: INBOX_MAX });
        }
        texts.push_back(text.to_owned());
        drop(texts);
        self.0.rings.notify_one();
        Ok(())
    }

    /// The next one, when there is one. Dropping the future loses none.
    pub(crate) async fn next(&self) -> String {
        // Ends with a text.
        loop {
            let rings = self.0.rings.notified();
            if let Some(text) = self.texts().pop_front() {
                return text;
            }
            rings.await;
        }
    }

    fn texts(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runs {
    /// Says something more to the future that works on a run of this process
    /// ([`StepContext::next_text`](crate::step::StepContext::next_text)). It waits there when this returns; one that ends
    /// before does not hear it. To a run's command [`Supervisor::send`](crate::supervisor::Supervisor::send) says it.
    ///
    /// # Errors
    /// [`SendError`]: it is not said.
    pub async fn send(&self, run: RunId, text: &str) -> Result<(), SendError> {
        check(text)?;
        // One of another tenant is not there.
        self.get(run).await?;
        if let Some(inbox) = self.core.live.inbox(run) {
            return inbox.push(text);
        }
        let row = self.get(run).await?;
        Err(match (row.outcome, row.run.state) {
            (Some(row), _) => SendError::Ended {
                outcome: Box::new(row.into_inner().outcome),
            },
            (None, RunState::Waiting) => SendError::Unsupported {
                kind: "run",
                why: "it waits, and nobody is at it",
            },
            (None, RunState::Starting | RunState::Running | RunState::Stopping | RunState::Ended) => {
                SendError::Unsupported {
                    kind: "run",
                    why: "nobody of this process is at it",
                }
            }
        })
    }
}

/// Whether a text may be said at all.
pub(crate) fn check(text: &str) -> Result<(), CommandError> {
    if text.trim().is_empty() {
        return Err(CommandError::invalid("text", "says nothing"));
    }
    if text.len() > TEXT_BYTES_MAX {
        let most = format!("at most {TEXT_BYTES_MAX} bytes are taken");
        return Err(CommandError::invalid("text", most));
    }
    Ok(())
}
