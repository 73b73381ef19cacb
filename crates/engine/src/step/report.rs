//! What a driven future says of its work: a report, or a failure.

use std::error::Error;
use std::fmt;

use dormouse_secrets::Scrubber;
use jiff::Timestamp;

use super::StepError;
use crate::outcome::{FailReason, OUTCOME_TEXT_MAX, Outcome, PartialCause};

/// Work that came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What is said of it.
    pub text: Option<String>,
    /// Why it is not the whole, if it is not.
    pub partial: Option<PartialCause>,
}

impl From<()> for Report {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<String> for Report {
    fn from(text: String) -> Self {
        Self {
            text: Some(text),
            partial: None,
        }
    }
}

impl From<&str> for Report {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Work that failed. Made of any error by `?`; tried again later, unless it is [permanent](Self::permanent).
#[derive(Debug)]
pub struct Failure {
    error: Box<dyn Error + Send + Sync>,
    is_permanent: bool,
    retry_at: Option<Timestamp>,
}

impl Failure {
    /// A failure that no retry can mend.
    pub fn permanent(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            is_permanent: true,
            ..Self::of(error)
        }
    }

    /// A failure that may pass.
    pub fn of(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            error: error.into(),
            is_permanent: false,
            retry_at: None,
        }
    }

    /// It is not tried again before this.
    #[must_use]
    pub fn retry_at(self, at: Timestamp) -> Self {
        Self {
            retry_at: Some(at),
            ..self
        }
    }

    /// Whether the run is another's by now.
    pub(super) fn is_fenced(&self) -> bool {
        self.step().is_some_and(StepError::is_fenced)
    }

    pub(super) fn outcome(&self, scrubber: &Scrubber) -> Outcome {
        let permanent = self.is_permanent || self.step().is_some_and(StepError::is_permanent);
        Outcome::Failed {
            reason: FailReason::Worker,
            permanent,
            retry_at: self.retry_at,
            message: scrubber.scrub(&self.to_string()).truncate_to(OUTCOME_TEXT_MAX),
            hint: None,
        }
    }

    fn step(&self) -> Option<&StepError> {
        self.error.downcast_ref()
    }
}

/// The error and what caused it, on one line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::of(error)
    }
}

impl Report {
    pub(super) fn outcome(self, scrubber: &Scrubber) -> Outcome {
        let text = self
            .text
            .map(|text| scrubber.scrub(&text).truncate_to(OUTCOME_TEXT_MAX));
        match self.partial {
            None => Outcome::Success { text },
            Some(cause) => Outcome::Partial { cause, text },
        }
    }
}
