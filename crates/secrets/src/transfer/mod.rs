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

impl ExportTo {
    /// Its own copy, for a thread that may be blocked; wiped like the other.
    fn copied(&self) -> Self {
        match self {
            Self::Recipients(recipients) => Self::Recipients(recipients.clone()),
            Self::Passphrase(passphrase) => Self::Passphrase(passphrase.duplicate()),
        }
    }
}

impl ImportKey {
    /// Its own copy, for a thread that may be blocked; wiped like the other.
    fn copied(&self) -> Self {
        match self {
            Self::Identity(identity) => Self::Identity(identity.duplicate()),
            Self::Passphrase(passphrase) => Self::Passphrase(passphrase.duplicate()),
            Self::Clear => Self::Clear,
        }
    }
}

/// Runs what takes a second of a core, a passphrase above all, where it holds nobody up.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.expect("it does not panic, and nobody cancels it")
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
