//! What a migration set aside.

use dormouse_secrets::{Quarantined, Unplaceable};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A row that could not be placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedView {
    /// What it is placed by; none where it is only foretold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its key in the source, NUL printed as `\0`.
    pub key: String,
    /// Why: `invalid_key`, `reserved`, `shadowed`, `no_agent`, `foreign_agent`, `exists`, `full`, `invalid`.
    pub reason: String,
    /// When it goes; none where it is only foretold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl QuarantinedView {
    /// The view of a row that is set aside.
    #[must_use]
    pub fn of(aside: &Quarantined) -> Self {
        Self {
            id: Some(aside.id.to_string()),
            key: aside.key.clone(),
            reason: aside.reason.word().to_owned(),
            until: Some(aside.until),
        }
    }

    /// The view of one that would be.
    #[must_use]
    pub fn foretold(aside: &Unplaceable) -> Self {
        Self {
            id: None,
            key: aside.key.clone(),
            reason: aside.reason.word().to_owned(),
            until: None,
        }
    }
}
