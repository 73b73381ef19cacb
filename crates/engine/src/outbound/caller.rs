//! Drives a call to its end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use super::{Answer, Next, Options, Repeat, So, Why, decide};
use crate::{Clock, Random};

/// One attempt at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Which, from 1.
    pub number: u32,
    /// How long it may take.
    pub timeout: Duration,
}

/// A channel by which a call is sent. What it sends is its own: it is made for one call.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends it once. Dropped, what was sent is not known.
    async fn send(&self, attempt: Attempt) -> Answer;
}

/// What was tried of a call by one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tried {
    /// How often.
    pub attempts: u32,
    /// Whether an attempt was sent and not answered.
    pub was_unanswered: bool,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was done, by this channel, from 0.
    Done {
        /// Which.
        channel: usize,
    },
    /// It is to be made at this time, by this channel: whoever calls keeps that.
    Later {
        /// When.
        at: Timestamp,
        /// Which channel, from 0.
        channel: usize,
        /// What was tried by now.
        tried: Tried,
    },
    /// It was not done, by any channel; what the last one came to.
    GivenUp(Why),
    /// It may have been done.
    Unknown {
        /// By which channel, from 0.
        channel: usize,
    },
}

/// Makes calls. Cloning is cheap.
#[derive(Clone)]
pub struct Caller {
    options: Options,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Caller {
    /// Within these limits, by this clock; waits are drawn from this generator.
    #[must_use]
    pub fn new(options: Options, clock: Arc<dyn Clock>, random: Arc<Random>) -> Self {
        Self {
            options,
            clock,
            random,
        }
    }

    /// Makes a call by the first of these channels; by the next where it was surely not done. It ends within the deadline,
    /// and dropped it ends at once, with every timer of it.
    pub async fn call(&self, repeat: Repeat, channels: &[&dyn Transport]) -> Ended {
        self.go_on(repeat, channels, 0, Tried::default()).await
    }

    /// The same, of a call that was put off by this channel after so many attempts. The time that it was put off for counts
    /// for nothing.
    pub async fn go_on(
        &self,
        repeat: Repeat,
        channels: &[&dyn Transport],
        first: usize,
        tried: Tried,
    ) -> Ended {
        let begun = Instant::now();
        let mut tried = tried;
        let mut given_up = Why::Attempts;
        for (channel, transport) in channels.iter().enumerate().skip(first) {
            match self.by(repeat, *transport, begun, &mut tried).await {
                Next::Done => return Ended::Done { channel },
                Next::Later { at } => return Ended::Later { at, channel, tried },
                Next::Unknown => return Ended::Unknown { channel },
                Next::GivenUp(why) => given_up = why,
                Next::Again { .. } => unreachable!("it is tried again before this returns"),
            }
            tried = Tried::default();
        }
        Ended::GivenUp(given_up)
    }

    /// By one channel, until something else follows than another attempt.
    async fn by(&self, repeat: Repeat, transport: &dyn Transport, begun: Instant, tried: &mut Tried) -> Next {
        // Ends after `attempts_max` rounds at the latest.
        loop {
            let left = self.options.deadline.saturating_sub(begun.elapsed());
            if left.is_zero() && tried.was_unanswered {
                return Next::Unknown;
            }
            if left.is_zero() {
                return Next::GivenUp(Why::Deadline);
            }
            tried.attempts += 1;
            let attempt = Attempt {
                number: tried.attempts,
                timeout: left,
            };
            let sent = timeout(left, transport.send(attempt)).await;
            let answer = sent.unwrap_or(Answer::Unanswered);
            let so = So {
                attempts: tried.attempts,
                elapsed: begun.elapsed(),
                was_unanswered: tried.was_unanswered,
            };
            tried.was_unanswered |= answer == Answer::Unanswered;
            let (now, drawn) = (self.clock.now(), self.random.number());
            match decide(repeat, so, &answer, now, drawn, &self.options) {
                Next::Again { wait } => sleep(wait).await,
                ended => return ended,
            }
        }
    }
}
