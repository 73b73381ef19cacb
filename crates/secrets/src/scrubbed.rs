//! Text and bytes that only the scrubber makes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::marker;

/// Text in which no registered value is left: sinks accept nothing else.
///
/// It is made by a [`Scrubber`](crate::Scrubber) or from a constant of the program
/// ([`Scrubbed::constant`]), and it is clean, so `Debug`, `Display` and `Serialize` print it.
///
/// There is no way to join two of these: the halves of a value may meet where they touch. Join the
/// `String`s and scrub the result again.
///
/// Deserialising trusts where the text comes from: *persisted text was scrubbed when it was
/// written*. Read it back from records of ours only, never from what a client or a worker sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scrubbed(String);

impl Scrubbed {
    /// Text that stands in the program's source and so holds nobody's credential.
    #[must_use]
    pub fn constant(text: &'static str) -> Scrubbed {
        Scrubbed(text.to_owned())
    }

    pub(crate) fn from_clean(text: String) -> Scrubbed {
        Scrubbed(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, as a plain string: what is done to it from here on is no longer known to be clean.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The longest beginning of at most `max_bytes` bytes that cuts neither a character nor a marker.
    #[must_use]
    pub fn truncate_to(mut self, max_bytes: usize) -> Scrubbed {
        if self.0.len() > max_bytes {
            let cut = self.0.floor_char_boundary(max_bytes);
            self.0.truncate(marker::cut_before(&self.0, cut));
        }
        self
    }
}

impl AsRef<str> for Scrubbed {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scrubbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Bytes in which no registered value is left; what a transcript takes.
///
/// The pieces of one [`ScrubStream`](crate::ScrubStream) may be written one after the other. Whoever
/// decodes or cuts them apart scrubs the outcome again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ScrubbedBytes(Vec<u8>);

impl ScrubbedBytes {
    pub(crate) fn from_clean(bytes: Vec<u8>) -> ScrubbedBytes {
        ScrubbedBytes(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned: what is done to them from here on is no longer known to be clean.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl AsRef<[u8]> for ScrubbedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
