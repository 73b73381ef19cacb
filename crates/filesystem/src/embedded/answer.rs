//! What was decided, and telling the callers.

use tokio::sync::oneshot;

use super::committer::FLUSH_FAILED;
use super::work::Truncated;
use crate::{CommitError, Committed, LogError};

/// Something decided, and whom to tell once it is durable.
#[derive(Debug)]
pub(crate) enum Answer {
    Commit(
        oneshot::Sender<Result<Committed, CommitError>>,
        Result<Committed, CommitError>,
    ),
    Truncate(
        oneshot::Sender<Result<Truncated, LogError>>,
        Result<Truncated, LogError>,
    ),
}

impl Answer {
    /// Whether a commit was done, checks alone included.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Commit(_, answer) => answer.is_ok(),
            Self::Truncate(..) => false,
        }
    }

    /// Tells the caller, who may be gone.
    pub(crate) fn tell(self) {
        match self {
            Self::Commit(to, answer) => drop(to.send(answer)),
            Self::Truncate(to, answer) => drop(to.send(answer)),
        }
    }
}

pub(crate) fn refuse_closed(answers: Vec<Answer>, reason: &'static str) {
    for answer in answers {
        match answer {
            Answer::Commit(to, _) => drop(to.send(Err(CommitError::Closed { reason }))),
            Answer::Truncate(to, _) => drop(to.send(Err(CommitError::Closed { reason }.into()))),
        }
    }
}

/// What was accepted may or may not be on disk. What was refused, or only checked, was judged against a state that may
/// never come to be: it was not done.
pub(crate) fn indeterminate(answers: Vec<Answer>, cause: &str) {
    let lost = || CommitError::Indeterminate {
        source: Some(cause.to_owned().into()),
    };
    for answer in answers {
        match answer {
            Answer::Commit(to, Ok(Committed { version: Some(_), .. })) => drop(to.send(Err(lost()))),
            Answer::Truncate(to, Ok(_)) => drop(to.send(Err(lost().into()))),
            Answer::Commit(..) | Answer::Truncate(..) => refuse_closed(vec![answer], FLUSH_FAILED),
        }
    }
}
