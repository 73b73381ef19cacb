//! How others talk to a driver.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::{Input, SaveError};
use crate::{Answer, Command, Observed, Snapshot};

/// What a driver is asked.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) input: Input,
    pub(super) reply: oneshot::Sender<Result<Driven, DriveError>>,
}

/// What a driver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driven {
    /// What the session answered.
    pub answer: Answer,
    /// Whether the state after it is stored. What is not is saved within `live_flush`.
    pub durable: bool,
}

/// An input that was not taken, or of which that is not known.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// There is no driver any more. Whether it was taken is unknown: tell it again, to the next one.
    #[error("the session's driver has ended")]
    Gone,
    /// Why it could not be saved; the variant says whether that is known.
    #[error(transparent)]
    Save(#[from] SaveError),
}

/// A driver's mailbox. Cloning is cheap; when the last one is dropped the driver ends.
#[derive(Clone, Debug)]
pub struct Handle {
    mailbox: mpsc::Sender<Message>,
    stop: Arc<watch::Sender<bool>>,
    look: Arc<Notify>,
    view: watch::Receiver<Arc<Snapshot>>,
}

impl Handle {
    pub(super) fn new(
        mailbox: mpsc::Sender<Message>,
        stop: watch::Sender<bool>,
        look: Arc<Notify>,
        view: watch::Receiver<Arc<Snapshot>>,
    ) -> Handle {
        let stop = Arc::new(stop);
        Handle {
            mailbox,
            stop,
            look,
            view,
        }
    }

    /// Tells what was observed. Waits while the mailbox is full.
    ///
    /// # Errors
    /// [`DriveError`] says what is known and what to do next.
    pub async fn observe(&self, observed: Observed) -> Result<Driven, DriveError> {
        self.tell(Input::Observed(observed)).await
    }

    /// Tells what the engine says. Waits while the mailbox is full.
    ///
    /// # Errors
    /// [`DriveError`] says what is known and what to do next.
    pub async fn command(&self, command: Command) -> Result<Driven, DriveError> {
        self.tell(Input::Command(command)).await
    }

    async fn tell(&self, input: Input) -> Result<Driven, DriveError> {
        let (reply, answer) = oneshot::channel();
        let message = Message { input, reply };
        self.mailbox.send(message).await.map_err(|_| DriveError::Gone)?;
        answer.await.map_err(|_| DriveError::Gone)?
    }

    /// The state that was published last. Asks nobody.
    #[must_use]
    pub fn view(&self) -> Arc<Snapshot> {
        Arc::clone(&self.view.borrow())
    }

    /// The states, as they are published: what is slow sees the newest one.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.view.clone()
    }

    /// Says that somebody else wrote the session: it is read again before the next message.
    pub fn look(&self) {
        self.look.notify_one();
    }

    /// Whether the driver has ended, or is about to: who wants something of it starts another one.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.mailbox.is_closed()
    }

    /// Tells the driver to save what is unsaved, and to end.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}
