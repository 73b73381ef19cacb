//! The root key in memory.

use super::VaultRow;
use crate::KeyError;
use crate::seal::{self, RootKey};

/// A root key, and of which vault it is. Wiped when the last user drops it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) vault: String,
    pub(crate) root_id: u32,
    pub(crate) root: RootKey,
    /// The slot that opened it.
    pub(crate) slot: u32,
}

impl Opened {
    /// Whether it is this vault's key of today.
    pub(crate) fn is_of(&self, row: &VaultRow) -> bool {
        self.vault == row.vault && self.root_id == row.root
    }

    /// The root key before this one, while a rekey is under way.
    pub(crate) fn retiring(&self, row: &VaultRow) -> Result<Option<RootKey>, KeyError> {
        let Some(retiring) = &row.retiring else {
            return Ok(None);
        };
        let bound = row.retiring_bound(retiring.root);
        let key = seal::open_key(self.root.expose(), &bound, &retiring.sealed);
        key.map(|key| Some(RootKey(key))).map_err(|_| KeyError::WrongKey)
    }
}
