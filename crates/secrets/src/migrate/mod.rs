//! Taking over secrets of an older layout: sealed rows are written, and the source is left as it was.

mod back;
mod destroy;
mod file;
mod foretold;
mod judge;
mod key;
mod plan;
mod quarantine;
mod record;
mod run;

pub use destroy::{DestroyError, destroy_source};
pub use file::{LEGACY_ROWS_MAX, LegacyFileError};
pub use foretold::{Foretold, Unplaceable};
pub use key::{LEGACY_LAYOUT_MAX, LegacyKey};
pub(crate) use quarantine::QuarantineIndex;
pub use quarantine::{InvalidQuarantineId, QuarantineId, Quarantined, Unplaced};
pub(crate) use quarantine::{QuarantineRow, quarantine_bound};
pub(crate) use record::MigrationRow;
pub use run::{MigrateError, Migrated};

use jiff::Timestamp;

use crate::{AgentId, Origin, Secret, SecretCategory};

/// The rows of an older store.
#[derive(Debug)]
pub struct Legacy {
    /// The layout it says it has; one above [`LEGACY_LAYOUT_MAX`] is newer than this build.
    pub layout: u32,
    /// Its rows, in any order, each key once.
    pub rows: Vec<LegacyRow>,
}

/// One row of an older store.
#[derive(Debug)]
pub struct LegacyRow {
    /// `NAME`, `s NUL NAME` or `a NUL AGENT NUL NAME`.
    pub key: Vec<u8>,
    /// The value; `None` when the store has one that could not be read.
    pub value: Option<Secret>,
    /// What the store knew of it.
    pub meta: Option<LegacyMeta>,
}

/// What an older store knew of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyMeta {
    /// What it was for.
    pub category: SecretCategory,
    /// When there was one first.
    pub created_at: Timestamp,
    /// When this value came.
    pub updated_at: Timestamp,
    /// Where it may be typed in.
    pub origins: Vec<Origin>,
    /// A word of its owner.
    pub note: String,
}

/// Whose the rows become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegacyOwner {
    /// Their keys say so.
    Keys,
    /// It was the store of this agent alone: its names become that agent's.
    Agent(AgentId),
    /// It was the store of one agent, and its names become the tenant's: somebody said so.
    Shared,
}
