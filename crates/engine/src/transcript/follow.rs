//! Reading a transcript while it grows: first what is durable, then what is not yet.

use dormouse_filesystem::LogError;
use tokio::sync::watch;

use super::frame::Frame;
use super::logs::{Reader, TranscriptLogs};
use super::writer::{Pending, Progress, Transcript};

/// Reads every byte from its offset on, once and in order. It keeps a place and no buffer, so a slow one slows nobody.
#[derive(Debug)]
pub struct Follower {
    durable: Reader,
    live: Option<(Transcript, watch::Receiver<Progress>)>,
}

/// What a follower came upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// The next output; a first offset beyond the last end means that the middle was left out.
    Frames(Vec<Frame>),
    /// Nothing more comes.
    End,
}

impl Follower {
    pub(super) fn live(transcript: Transcript, offset: u64) -> Self {
        let progress = transcript.shared.progress.subscribe();
        Self {
            durable: transcript.shared.logs.read_from(offset),
            live: Some((transcript, progress)),
        }
    }

    /// Reads the transcript of a run that has ended, or of another process: what is durable, then the end.
    #[must_use]
    pub fn of_durable(logs: &TranscriptLogs, offset: u64) -> Self {
        Self {
            durable: logs.read_from(offset),
            live: None,
        }
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As any tail of the logs.
    pub async fn next(&mut self) -> Result<Followed, LogError> {
        loop {
            let Some((transcript, progress)) = &mut self.live else {
                return Ok(self.durable.next().await?.map_or(Followed::End, Followed::Frames));
            };
            let seen = *progress.borrow_and_update();
            match transcript.shared.pending_from(self.durable.offset()) {
                Pending::Frames(frames) => {
                    if let Some(last) = frames.last() {
                        self.durable.skip_to(last.end());
                        return Ok(Followed::Frames(frames));
                    }
                }
                Pending::BeginsAt(offset) => match self.durable.next().await? {
                    Some(frames) => return Ok(Followed::Frames(frames)),
                    // All before the pending ones was durable when they were looked at: the rest was left out.
                    None => {
                        self.durable.skip_to(offset);
                        continue;
                    }
                },
            }
            if seen.has_ended || progress.changed().await.is_err() {
                self.live = None;
            }
        }
    }
}
