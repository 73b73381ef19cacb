//! A key given in code: for tests and embedders that have one already.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::file::{unwrap_random, wrap_random};
use super::{KeySource, Keyring, WrappedKey, material};
use crate::seal::{AssociatedData, KEY_BYTES, KeyBytes, RootKey};
use crate::{KeyError, Random};

/// 32 bytes that the caller had.
pub struct FixedKeyring {
    material: KeyBytes,
    random: Arc<dyn Random>,
}

impl FixedKeyring {
    /// These bytes. The caller wipes its own copy.
    ///
    /// # Errors
    /// `Malformed` for fewer than 8 distinct bytes.
    pub fn new(bytes: &[u8; KEY_BYTES], random: Arc<dyn Random>) -> Result<Self, KeyError> {
        Ok(Self {
            material: material::checked(bytes)?,
            random,
        })
    }
}

impl fmt::Debug for FixedKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FixedKeyring(***)")
    }
}

#[async_trait]
impl Keyring for FixedKeyring {
    fn source(&self) -> KeySource {
        KeySource::Fixed
    }

    async fn wrap(&self, key: &RootKey, bound_to: &AssociatedData) -> Result<WrappedKey, KeyError> {
        Ok(wrap_random(&self.material, key, bound_to, &*self.random))
    }

    async fn unwrap(&self, key: &WrappedKey, bound_to: &AssociatedData) -> Result<RootKey, KeyError> {
        unwrap_random(&self.material, key, bound_to)
    }
}
