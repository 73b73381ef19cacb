//! A key from a passphrase.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{Argon2Params, Kdf, KeySource, Keyring, WrappedKey, kdf, unwrap_under, wrap_under};
use crate::seal::{AssociatedData, RootKey, Sealed};
use crate::{KeyError, Random, random};

/// Shortest passphrase, in bytes.
pub const PASSPHRASE_MIN: usize = 12;

/// A passphrase, and how new keys are derived from it. An old one says itself how it was.
pub struct PassphraseKeyring {
    passphrase: Zeroizing<Vec<u8>>,
    params: Argon2Params,
    random: Arc<dyn Random>,
}

impl PassphraseKeyring {
    /// A passphrase as it was typed. The caller wipes its own copy.
    ///
    /// # Errors
    /// `Malformed` for one shorter than [`PASSPHRASE_MIN`], or parameters out of bounds.
    pub fn new(passphrase: &[u8], params: Argon2Params, random: Arc<dyn Random>) -> Result<Self, KeyError> {
        if passphrase.len() < PASSPHRASE_MIN {
            return Err(KeyError::Malformed {
                reason: "a passphrase has at least 12 bytes",
            });
        }
        params.check()?;
        Ok(Self {
            passphrase: Zeroizing::new(passphrase.to_vec()),
            params,
            random,
        })
    }
}

impl fmt::Debug for PassphraseKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PassphraseKeyring(***, {:?})", self.params)
    }
}

#[async_trait]
impl Keyring for PassphraseKeyring {
    fn source(&self) -> KeySource {
        KeySource::Passphrase
    }

    async fn wrap(&self, key: &RootKey, bound_to: &AssociatedData) -> Result<WrappedKey, KeyError> {
        let salt = Sealed::new(random::bytes::<{ kdf::SALT }>(&*self.random).to_vec());
        let kek = kdf::argon2(self.passphrase.clone(), self.params, salt.clone()).await?;
        let kdf = Kdf::Argon2id {
            params: self.params,
            salt,
        };
        Ok(wrap_under(&kek, kdf, key, bound_to, &*self.random))
    }

    async fn unwrap(&self, key: &WrappedKey, bound_to: &AssociatedData) -> Result<RootKey, KeyError> {
        match &key.kdf {
            Kdf::Argon2id { params, salt } => {
                let kek = kdf::argon2(self.passphrase.clone(), *params, salt.clone()).await?;
                unwrap_under(&kek, key, bound_to)
            }
            Kdf::Hkdf { .. } | Kdf::Remote => Err(KeyError::WrongKey),
        }
    }
}
