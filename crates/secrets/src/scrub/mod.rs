//! The scrubber: takes registered values out of every text that leaves a worker.

mod chars;
mod fit;
mod forms;
mod grams;
mod parts;
mod set;
mod sets;
mod stream;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use self::parts::percent_decoded;
use self::set::{Filter, Set};
use self::sets::Sets;
pub use self::stream::{HOLD_MAX, PROVISIONAL_MAX, ScrubStream};
use crate::{FormatCounts, Formats, Redaction, Scrubbed, ScrubbedBytes};

/// The most values of one redaction set; with more, no worker is started.
pub const SET_VALUES_MAX: usize = 1_024;

/// Takes the values of one redaction set out of text; a clone is a pointer to the same set.
#[derive(Clone, Debug)]
pub struct Scrubber {
    sets: Sets,
    formats: Formats,
}

impl Default for Scrubber {
    fn default() -> Scrubber {
        Scrubber::empty()
    }
}

impl Scrubber {
    /// The scrubber of an empty set: everything passes unchanged.
    #[must_use]
    pub fn empty() -> Scrubber {
        Scrubber {
            sets: Sets::default(),
            formats: Formats::Off,
        }
    }

    /// A scrubber of these values. The values are wiped; what finds them lives with the scrubber.
    ///
    /// # Errors
    /// [`SetFull`] for more than [`SET_VALUES_MAX`] values.
    pub fn new(redactions: Vec<Redaction>) -> Result<Scrubber, SetFull> {
        if redactions.len() > SET_VALUES_MAX {
            return Err(SetFull {
                values: redactions.len(),
            });
        }
        if redactions.is_empty() {
            return Ok(Scrubber::empty());
        }
        Ok(Scrubber {
            sets: Sets::from(Set::new(redactions, Filter::On)),
            formats: Formats::Off,
        })
    }

    /// The same, which also looks for credentials that nobody registered.
    #[must_use]
    pub fn with_formats(self, formats: Formats) -> Scrubber {
        Scrubber { formats, ..self }
    }

    /// A scrubber of the values of all these, found together as if they were of one set. It looks for no formats.
    #[must_use]
    pub fn all<'a>(scrubbers: impl IntoIterator<Item = &'a Scrubber>) -> Scrubber {
        Scrubber {
            sets: Sets::all(scrubbers.into_iter().map(|scrubber| &scrubber.sets)),
            formats: Formats::Off,
        }
    }

    /// The text without the values.
    #[must_use]
    pub fn scrub(&self, text: &str) -> Scrubbed {
        let bytes = self.bytes(text.as_bytes()).into_vec();
        // The error would show the text.
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|_| unreachable!("a span covers whole characters of valid text"));
        Scrubbed::from_clean(text)
    }

    /// The bytes without the values. Invalid UTF-8 passes unchanged.
    #[must_use]
    pub fn bytes(&self, bytes: &[u8]) -> ScrubbedBytes {
        self.bytes_counted(bytes).0
    }

    /// The bytes without the values, and how many unregistered credentials of each kind were seen.
    #[must_use]
    pub fn bytes_counted(&self, bytes: &[u8]) -> (ScrubbedBytes, FormatCounts) {
        let mut stream = self.stream();
        let mut clean = stream.push(bytes).into_vec();
        let (end, counts) = stream.finish_counted();
        clean.extend_from_slice(end.as_slice());
        (ScrubbedBytes::from_clean(clean), counts)
    }

    /// The bytes as text without the values; what is not UTF-8 becomes `U+FFFD`.
    ///
    /// They are scrubbed as bytes, decoded, and scrubbed again, as decoding makes new text.
    #[must_use]
    pub fn scrub_lossy(&self, bytes: &[u8]) -> Scrubbed {
        self.scrub(&String::from_utf8_lossy(self.bytes(bytes).as_slice()))
    }

    /// Scrubs a stream that arrives in chunks: take one per stream, never one per line or event.
    pub fn stream(&self) -> ScrubStream {
        ScrubStream::new(self.sets.clone(), self.formats)
    }
}

/// There are more values than a redaction set takes. Nothing was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a redaction set has at most {SET_VALUES_MAX} values, this one has {values}")]
pub struct SetFull {
    /// The values there were.
    pub values: usize,
}

/// The characters of base64 that lie wholly inside `text`, for each alignment.
pub(crate) fn base64_inside(text: &[u8]) -> Vec<Vec<u8>> {
    forms::base64::all(text)
}
