//! A value that must not get out, and the name that stands in its place.

use std::fmt;

use zeroize::Zeroizing;

use crate::{SecretName, marker};

/// The fewest bytes of a value that is scrubbed: with less, ordinary text would be shredded.
pub const VALUE_MIN: usize = 8;

/// The most bytes of a value.
pub const VALUE_MAX: usize = 32 * 1024;

/// The bytes of a credential: wiped when dropped, never printed, never copied.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over. The copies the caller still has are the caller's to wipe.
    #[must_use]
    pub fn new(value: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(value))
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One member of a redaction set: wherever `value` stands, `[redacted:NAME]` will.
#[derive(Debug)]
pub struct Redaction {
    name: SecretName,
    value: Secret,
}

impl Redaction {
    /// Registers `value` under `name`.
    ///
    /// # Errors
    /// [`InvalidValue`], which never holds the value.
    pub fn new(name: SecretName, value: Secret) -> Result<Redaction, InvalidValue> {
        let length = value.as_slice().len();
        if length < VALUE_MIN {
            return Err(InvalidValue::TooShort { name, length });
        }
        if length > VALUE_MAX {
            return Err(InvalidValue::TooLong { name, length });
        }
        let is_marker = |window: &[u8]| window == marker::START.as_bytes();
        if value.as_slice().windows(marker::START.len()).any(is_marker) {
            return Err(InvalidValue::ContainsMarker { name });
        }
        Ok(Redaction { name, value })
    }

    /// The name that is shown in place of the value.
    #[must_use]
    pub fn name(&self) -> &SecretName {
        &self.name
    }

    pub(crate) fn value(&self) -> &[u8] {
        self.value.as_slice()
    }
}

/// Why a value cannot be scrubbed. Nothing was registered; the value is in none of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// Fewer than [`VALUE_MIN`] bytes: choose a longer credential.
    #[error("the value of {name} has {length} bytes, at least {VALUE_MIN} are needed to redact it")]
    TooShort {
        /// Whose value.
        name: SecretName,
        /// The bytes there were.
        length: usize,
    },
    /// More than [`VALUE_MAX`] bytes.
    #[error("the value of {name} has {length} bytes, more than {VALUE_MAX}")]
    TooLong {
        /// Whose value.
        name: SecretName,
        /// The bytes there were.
        length: usize,
    },
    /// It holds the start of a marker, and markers are not looked into.
    #[error("the value of {name} holds `[redacted:`")]
    ContainsMarker {
        /// Whose value.
        name: SecretName,
    },
}
