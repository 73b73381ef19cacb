//! Taking secrets elsewhere: an export of all that are live, encrypted; an import of all or none of it.

#[cfg(feature = "age")]
mod age;
#[cfg(not(feature = "age"))]
#[path = "no_age.rs"]
mod age;
mod export;
mod form;
mod import;
mod staged;

use std::fmt;

use jiff::SignedDuration;

pub use export::ExportError;
#[cfg(feature = "fuzz")]
pub(crate) use form::{read_lines, with_tail};
pub use import::{Existing, Imported};

use crate::Secret;

/// Most entries of one import.
pub const IMPORT_MAX: usize = 10_000;

/// How long an import in more commits than one has the tenant's secrets for itself. After that others end it.
pub const IMPORT_OPEN: SignedDuration = SignedDuration::from_mins(10);

/// How often it reads again after others were first.
const ATTEMPTS: usize = 8;

/// Whom an export is encrypted to.
#[derive(Debug)]
pub enum ExportTo {
    /// Public keys, `age1…`.
    Recipients(Vec<String>),
    /// A passphrase.
    Passphrase(Secret),
}

/// How an export is opened.
pub enum ImportKey {
    /// A private key, `AGE-SECRET-KEY-1…`.
    Identity(Secret),
    /// A passphrase.
    Passphrase(Secret),
    /// It is in clear.
    Clear,
}

impl fmt::Debug for ImportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity(_) => "Identity(***)",
            Self::Passphrase(_) => "Passphrase(***)",
            Self::Clear => "Clear",
        })
    }
}
