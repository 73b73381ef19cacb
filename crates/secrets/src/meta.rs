//! What is known of a secret without its value: readable in any state of the vault.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{Origin, SecretCategory, SecretRef};

/// Longest note, in bytes.
pub const NOTE_MAX: usize = 200;

/// 8 hexadecimal digits of a MAC of the value under a key of the tenant: equal values look equal within a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub(crate) u32);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// What is known of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMeta {
    /// Which secret.
    pub at: SecretRef,
    /// Whom it serves.
    pub category: SecretCategory,
    /// The counter of its values.
    pub generation: u64,
    /// When it was first put.
    pub created_at: Timestamp,
    /// When its value, category, origins or note last changed.
    pub updated_at: Timestamp,
    /// Whether those two times are known; not for what came from elsewhere without them.
    pub times_known: bool,
    /// What equal values have in common.
    pub fingerprint: Fingerprint,
    /// Where its value may be typed in.
    pub origins: Vec<Origin>,
    /// What somebody noted, at most [`NOTE_MAX`] bytes.
    pub note: String,
    /// Whether its value is too short to be scrubbed, which somebody accepted.
    pub unscrubbed: bool,
    /// The day, in UTC, on which its value was last handed out, to a worker or by a lease; `None` where that is not known,
    /// and in the answer of a put, which does not look.
    pub used_on: Option<Date>,
    /// Which of the tenant's data keys seals it.
    pub key_id: u32,
}

/// What the putter states beside value and category.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutMeta {
    /// Where the value may be typed in; none, and it may be nowhere.
    pub origins: Vec<Origin>,
    /// A note, at most [`NOTE_MAX`] bytes of text without control characters.
    pub note: String,
    /// What about a value too short to be scrubbed.
    pub short: Short,
}

/// What to do with a value of less than [`VALUE_MIN`](crate::VALUE_MIN) bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Short {
    /// It is refused.
    #[default]
    Refuse,
    /// It is taken, and every list shows it as `unscrubbed`.
    Accept,
}
