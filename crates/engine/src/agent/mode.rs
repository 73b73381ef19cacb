//! Whether something of an agent may stay between its tasks.

use serde::{Deserialize, Serialize};

/// Whether something of an agent may stay between its tasks.
///
/// A build that keeps nothing treats both alike; what is said here is what a later one may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentMode {
    /// Nothing: it is its row.
    #[default]
    Dormant,
    /// The process of its provider may.
    Resident,
}

impl AgentMode {
    /// Every mode, the default first.
    pub const ALL: [Self; 2] = [Self::Dormant, Self::Resident];

    /// The mode's word, as it is set and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Dormant => "dormant",
            Self::Resident => "resident",
        }
    }

    /// Whether nothing is said of it.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
