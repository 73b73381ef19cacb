//! One error told to many: each gets its variant and its source.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::{CommitError, ReadError, Source};

/// A cause that several errors share. It reads as the cause itself.
#[derive(Debug, Clone)]
struct Shared(Arc<dyn Error + Send + Sync>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Shared {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

fn split(source: Option<Source>) -> (Option<Source>, Option<Source>) {
    let Some(source) = source else {
        return (None, None);
    };
    let shared = match source.downcast::<Shared>() {
        Ok(shared) => *shared,
        Err(first) => Shared(Arc::from(first)),
    };
    (Some(Box::new(shared.clone())), Some(Box::new(shared)))
}

/// An error that can be told to several.
pub(super) trait Tell: Sized {
    /// The same error twice.
    fn twice(self) -> (Self, Self);
}

impl Tell for ReadError {
    fn twice(self) -> (Self, Self) {
        match self {
            Self::Unavailable { reason, source } => {
                let (one, two) = split(source);
                let tell = |source| Self::Unavailable { reason, source };
                (tell(one), tell(two))
            }
            Self::Corrupt { key } => (Self::Corrupt { key: key.clone() }, Self::Corrupt { key }),
            Self::TooNew { found, known } => (Self::TooNew { found, known }, Self::TooNew { found, known }),
            Self::Invalid { reason } => (Self::Invalid { reason }, Self::Invalid { reason }),
            Self::Unsupported { capability } => {
                (Self::Unsupported { capability }, Self::Unsupported { capability })
            }
            Self::Unrouted { place } => (Self::Unrouted { place: place.clone() }, Self::Unrouted { place }),
            Self::Closed { reason } => (Self::Closed { reason }, Self::Closed { reason }),
            Self::ExportIdle { idle } => (Self::ExportIdle { idle }, Self::ExportIdle { idle }),
        }
    }
}

impl Tell for CommitError {
    fn twice(self) -> (Self, Self) {
        match self {
            Self::Conflict { failed } => {
                let one = Self::Conflict {
                    failed: failed.clone(),
                };
                (one, Self::Conflict { failed })
            }
            Self::Busy { cause } => (Self::Busy { cause }, Self::Busy { cause }),
            Self::Unavailable { source } => {
                let (one, two) = split(source);
                (
                    Self::Unavailable { source: one },
                    Self::Unavailable { source: two },
                )
            }
            Self::Indeterminate { source } => {
                let (one, two) = split(source);
                (
                    Self::Indeterminate { source: one },
                    Self::Indeterminate { source: two },
                )
            }
            Self::TooLarge { limit } => (Self::TooLarge { limit }, Self::TooLarge { limit }),
            Self::Invalid { reason } => (Self::Invalid { reason }, Self::Invalid { reason }),
            Self::Unsupported { capability } => {
                (Self::Unsupported { capability }, Self::Unsupported { capability })
            }
            Self::Corrupt { key } => (Self::Corrupt { key: key.clone() }, Self::Corrupt { key }),
            Self::Unrouted { place } => (Self::Unrouted { place: place.clone() }, Self::Unrouted { place }),
            Self::IndexUnknown { kind } => (
                Self::IndexUnknown { kind: kind.clone() },
                Self::IndexUnknown { kind },
            ),
            Self::Closed { reason } => (Self::Closed { reason }, Self::Closed { reason }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_told_three_times_keeps_its_source() {
        let error = CommitError::Indeterminate {
            source: Some("the cable".into()),
        };
        let (one, rest) = error.twice();
        let (two, three) = rest.twice();
        for told in [one, two, three] {
            assert_eq!(told.source().unwrap().to_string(), "the cable");
            assert!(told.source().unwrap().source().is_none());
        }
    }
}
