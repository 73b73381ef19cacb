//! How well something is known.

use serde::{Deserialize, Serialize};

/// How well something is known. "Inferred, and sure" cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "confidence")]
pub enum Evidence {
    /// The provider said so in a form made for that: shown as high confidence.
    Formal,
    /// It was concluded from text, silence or the like.
    Inferred(Confidence),
}

impl Evidence {
    /// Whether the provider said so.
    #[must_use]
    pub fn is_formal(self) -> bool {
        self == Evidence::Formal
    }
}

/// How likely an inference is right. It is never sure:
///
/// ```compile_fail
/// let sure = dormouse_state::Evidence::Inferred(dormouse_state::Confidence::High);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// More likely than not.
    Medium,
    /// A guess.
    Low,
}
