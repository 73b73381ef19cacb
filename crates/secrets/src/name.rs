//! The name of a secret, parsed once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most bytes of a name.
pub const NAME_MAX: usize = 128;

/// The name of a secret: `[A-Z][A-Z0-9_]*`, at most [`NAME_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(String);

impl SecretName {
    /// Reads a name. Nothing is folded: lower case is refused, and the error has the right spelling.
    ///
    /// # Errors
    /// [`InvalidName`], with the rule that was broken.
    pub fn parse(text: &str) -> Result<SecretName, InvalidName> {
        let is_start = |byte: &u8| byte.is_ascii_uppercase();
        let is_inner = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
        let upper = text.to_ascii_uppercase();
        let fits = |text: &str| {
            text.as_bytes().first().is_some_and(is_start) && text.as_bytes().iter().all(is_inner)
        };
        if text.len() > NAME_MAX {
            return Err(InvalidName::TooLong { length: text.len() });
        }
        if fits(text) {
            return Ok(SecretName(upper));
        }
        if fits(&upper) {
            return Err(InvalidName::LowerCase { instead: upper });
        }
        Err(InvalidName::Form)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for SecretName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<SecretName, InvalidName> {
        SecretName::parse(&text)
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> String {
        name.0
    }
}

/// Why a text is no name of a secret. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Empty, or another character than a capital letter, a digit or `_`, or no letter in front.
    #[error("the name of a secret is a capital letter, then capital letters, digits and `_`")]
    Form,
    /// It would be a name in capital letters.
    #[error("the name of a secret is in capital letters: {instead}")]
    LowerCase {
        /// The right spelling.
        instead: String,
    },
    /// More than [`NAME_MAX`] bytes.
    #[error("the name of a secret has at most {NAME_MAX} bytes, this one has {length}")]
    TooLong {
        /// The bytes there were.
        length: usize,
    },
}
