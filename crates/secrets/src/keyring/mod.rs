//! Where keys that wrap the root key come from.

mod credential;
mod file;
mod fixed;
mod kdf;
mod material;
mod passphrase;
#[cfg(feature = "keyring")]
mod system;

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use credential::CredentialKeyring;
pub use file::{Ensured, FileKeyring};
pub use fixed::FixedKeyring;
pub(crate) use kdf::Kdf;
pub use kdf::{
    Argon2Params, KDF_LANES_MAX, KDF_MEMORY_KIB_MAX, KDF_MEMORY_KIB_MIN, KDF_PASSES_MAX, KDF_PASSES_MIN,
};
pub use passphrase::{PASSPHRASE_MIN, PassphraseKeyring};
#[cfg(feature = "keyring")]
pub use system::SystemKeyring;

use crate::seal::{self, AssociatedData, RootKey, Sealed};
use crate::{KeyError, Random};

/// Where a key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// A credential of the service manager.
    Credential,
    /// A file.
    File,
    /// A passphrase somebody types.
    Passphrase,
    /// The key store of the operating system.
    Keyring,
    /// A key management service.
    Kms,
    /// Bytes given in code: tests.
    Fixed,
}

impl KeySource {
    /// Whether a key of it may be gone when it is asked for next, so that no vault is to rely on it alone.
    pub(crate) fn may_vanish(self) -> bool {
        match self {
            // The kernel's store of Linux is empty after a start of the machine, and after some days without a session.
            Self::Keyring => true,
            Self::Credential | Self::File | Self::Passphrase | Self::Kms | Self::Fixed => false,
        }
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::File => "file",
            Self::Passphrase => "passphrase",
            Self::Keyring => "keyring",
            Self::Kms => "kms",
            Self::Fixed => "fixed",
        }
    }
}

/// A root key under one key of a source, and how that key is derived. What is in it is bound by the wrapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedKey {
    pub(crate) kdf: Kdf,
    pub(crate) sealed: Sealed,
}

impl WrappedKey {
    /// What a key management service gave back; how it wraps is its own affair.
    #[must_use]
    pub fn remote(bytes: Vec<u8>) -> Self {
        Self {
            kdf: Kdf::Remote,
            sealed: Sealed::new(bytes),
        }
    }

    /// The bytes that a key management service gave, for it to unwrap.
    #[must_use]
    pub fn as_remote(&self) -> Option<&[u8]> {
        matches!(self.kdf, Kdf::Remote).then(|| self.sealed.as_slice())
    }

    /// The parameters, when it is derived from a passphrase.
    #[must_use]
    pub fn argon2(&self) -> Option<Argon2Params> {
        match &self.kdf {
            Kdf::Argon2id { params, .. } => Some(*params),
            Kdf::Hkdf { .. } | Kdf::Remote => None,
        }
    }
}

/// A source of keys that wrap the root key.
///
/// `bound_to` says which slot of which vault it is: what is wrapped for one does not unwrap for another. An
/// implementation binds the wrapping to it, beside its own parameters.
#[async_trait]
pub trait Keyring: fmt::Debug + Send + Sync + 'static {
    /// Which source it is.
    fn source(&self) -> KeySource;

    /// Wraps the root key, under the key as it is read from the source now.
    async fn wrap(&self, key: &RootKey, bound_to: &AssociatedData) -> Result<WrappedKey, KeyError>;

    /// Unwraps it. `WrongKey` when this source's key is another.
    async fn unwrap(&self, key: &WrappedKey, bound_to: &AssociatedData) -> Result<RootKey, KeyError>;
}

/// Wraps under a key that was derived.
fn wrap_under(
    kek: &seal::KeyBytes,
    kdf: Kdf,
    key: &RootKey,
    bound_to: &AssociatedData,
    random: &dyn Random,
) -> WrappedKey {
    let sealed = seal::seal(kek.expose(), &kdf.bind(bound_to), key.expose(), random);
    WrappedKey { kdf, sealed }
}

fn unwrap_under(
    kek: &seal::KeyBytes,
    key: &WrappedKey,
    bound_to: &AssociatedData,
) -> Result<RootKey, KeyError> {
    match seal::open_key(kek.expose(), &key.kdf.bind(bound_to), &key.sealed) {
        Ok(key) => Ok(RootKey(key)),
        Err(seal::Unopened::Wrong) => Err(KeyError::WrongKey),
        Err(seal::Unopened::TooNew(_)) => Err(KeyError::TooNew),
    }
}
