//! What is said to a worker while it works: it gets it in order, or whoever said it hears why not.

use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::Supervisor;
use super::talking::Talking;
use super::work::Hand;
use crate::adapter::dialogue::CannotSay;
use crate::adapter::takes_follow_ups;
use crate::run::{SendError, check_text as check};
use crate::{RunId, Tenant};

/// A text, and whoever waits to hear that it will be said.
#[derive(Debug)]
pub(super) struct Letter {
    text: String,
    answer: oneshot::Sender<Result<(), SendError>>,
}

impl Supervisor {
    /// Says something more to the worker of a run: behind its turn, and behind what was said before. It is accepted when
    /// this returns; a run that is stopped before its turn comes to an end does not hear it.
    ///
    /// # Errors
    /// [`SendError`]: it is not said.
    pub async fn send(&self, tenant: &Tenant, run: RunId, text: &str) -> Result<(), SendError> {
        check(text)?;
        // One of another tenant is not there.
        tenant.runs.get(run).await?;
        if let Some(live) = self.live(run) {
            let (answer, answered) = oneshot::channel();
            let text = text.to_owned();
            match live.inbox.try_send(Letter { text, answer }) {
                // Without an answer it ends before that.
                Ok(()) => {
                    if let Ok(answer) = answered.await {
                        return answer;
                    }
                }
                Err(mpsc::error::TrySendError::Full(_)) => {
                    let max = live.inbox.max_capacity();
                    return Err(SendError::QueueFull { max });
                }
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
            self.wait(run).await;
        }
        // Of a future; or it has ended, or nobody here is at it.
        tenant.runs.send(run, text).await
    }
}

/// The standard input of a worker that is no provider's: each text is a line of it.
#[derive(Debug)]
pub(super) struct Lines {
    lines: mpsc::Sender<String>,
    max: usize,
    _writer: AbortOnDropHandle<()>,
}

impl Lines {
    /// Keeps it open until this is dropped.
    pub(super) fn new(feed: pipe::Sender, max: usize) -> Self {
        let (lines, waiting) = mpsc::channel(max);
        Self {
            lines,
            max,
            _writer: AbortOnDropHandle::new(tokio::spawn(write(feed, waiting))),
        }
    }

    pub(super) fn say(&self, text: &str) -> Result<(), CannotSay> {
        self.lines
            .try_send(format!("{text}\n"))
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => CannotSay::QueueFull { max: self.max },
                // Nobody reads it any more.
                mpsc::error::TrySendError::Closed(_) => CannotSay::Over,
            })
    }
}

/// Ends, and closes the pipe, when nothing more is said or nobody reads it.
pub(super) async fn write(mut feed: pipe::Sender, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        if feed.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

impl Hand<'_> {
    /// Says it, or says why not. Where the run is about to end, who said it hears how it ended.
    pub(super) fn post(&mut self, letter: Letter) {
        let said = match self.say(letter.text) {
            Ok(()) => Ok(()),
            Err(Unsaid::No(error)) => Err(error),
            Err(Unsaid::Over) => return,
        };
        // Whoever gave up waiting has no need of it.
        let _ = letter.answer.send(said);
    }

    /// Says what the profile has for the time before the wall clock runs out.
    pub(super) fn wrap_up(&mut self) {
        self.is_wrapped_up = true;
        let Some(wrap_up) = &self.command.wrap_up else {
            return;
        };
        if let Err(unsaid) = self.say(wrap_up.text.clone()) {
            tracing::warn!(run = %self.parts.claimed.run.id, ?unsaid, "the run was not told to come to an end");
        }
    }

    fn say(&mut self, text: String) -> Result<(), Unsaid> {
        let is_ending = self.stop.is_some() || self.parks.is_some() || self.has_left || self.is_fenced;
        if is_ending {
            return Err(Unsaid::Over);
        }
        let said = match (&mut self.talking, &self.input) {
            (Some(talking), _) => talking.follow_up(text),
            // It works on, so who said it is not to wait for its end to hear this.
            (None, Some(lines)) => match lines.say(&text) {
                Err(CannotSay::Over) => return Err(closed()),
                said => said,
            },
            (None, None) => return Err(self.unsupported()),
        };
        said.map_err(|cannot| match cannot {
            CannotSay::Over => Unsaid::Over,
            CannotSay::QueueFull { max } => Unsaid::No(SendError::QueueFull { max }),
        })
    }

    fn unsupported(&self) -> Unsaid {
        match takes_follow_ups(&self.command.argv, &self.command.stdin) {
            Err(refused) => Unsaid::No(SendError::Unsupported {
                kind: refused.kind,
                why: refused.why,
            }),
            Ok(()) => closed(),
        }
    }
}

/// Its input is gone.
fn closed() -> Unsaid {
    Unsaid::No(SendError::Unsupported {
        kind: "exec",
        why: "its standard input is closed",
    })
}

/// Why it is not said.
#[derive(Debug)]
enum Unsaid {
    /// It is refused.
    No(SendError),
    /// Nothing more is said to the run: it comes to its end.
    Over,
}

impl Talking {
    fn follow_up(&mut self, text: String) -> Result<(), CannotSay> {
        if self.is_over() {
            return Err(CannotSay::Over);
        }
        self.dialogue_mut().follow_up(text)
    }
}
