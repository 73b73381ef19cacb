//! What a driven future says of its work: a report, or a failure.

use std::error::Error;
use std::fmt;

use dormouse_secrets::{Scrubbed, Scrubber};
use jiff::Timestamp;

use super::StepError;
use crate::adapter::{Class, TurnEnd, TurnFinished, finish};
use crate::outcome::{OUTCOME_TEXT_MAX, PartialCause};
use crate::worker::classify::Finish;

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
    class: Option<Class>,
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
            class: None,
        }
    }

    /// A failure of a provider that the work asked, which ends the run as it would where its own program was run.
    pub fn of_provider(class: Class, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            class: Some(class),
            ..Self::of(error)
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

    /// As the table of outcomes is asked with it.
    pub(super) fn finish(&self, scrubber: &Scrubber) -> Finish {
        let text = self.to_string();
        if self.class.is_some() {
            let turn = TurnFinished {
                how: TurnEnd::Failed,
                class: self.class,
                retry_at: self.retry_at,
                text: Some(text),
            };
            return finish(&turn, scrubber);
        }
        Finish::Failed {
            permanent: self.is_permanent || self.step().is_some_and(StepError::is_permanent),
            retry_at: self.retry_at,
            message: scrubber.scrub(&text),
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
    /// As the table of outcomes is asked with it, with its text.
    pub(super) fn finish(self, scrubber: &Scrubber) -> (Finish, Option<Scrubbed>) {
        let text = self
            .text
            .map(|text| scrubber.scrub(&text).truncate_to(OUTCOME_TEXT_MAX));
        (self.partial.map_or(Finish::Whole, Finish::Part), text)
    }
}
