//! A key in a key store of the operating system: whoever may ask that store has the key.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use keyring_core::{CredentialStore, Entry, Error};
use zeroize::Zeroizing;

use super::file::{blocking, unwrap_random, wrap_random};
use super::{Ensured, KeySource, Keyring, WrappedKey, material};
use crate::seal::{AssociatedData, KeyBytes, RootKey};
use crate::{KeyError, Random};

/// Under which service a store lists the key.
const SERVICE: &str = "dormouse";

/// A key in a store of the operating system, by way of the crate `keyring-core`. It is read at each use and never kept in
/// memory between them.
///
/// No vault relies on it alone: a store may be empty after the next start of the machine, as that of Linux's kernel is,
/// which loses the key also when its user has had no session for some days.
#[derive(Clone)]
pub struct SystemKeyring {
    entry: Arc<Entry>,
    random: Arc<dyn Random>,
}

impl SystemKeyring {
    /// The key that this store has, or is to have, under this name.
    ///
    /// # Errors
    /// `Unavailable` when the store is not there, or takes no such name.
    pub fn new(store: &CredentialStore, name: &str, random: Arc<dyn Random>) -> Result<Self, KeyError> {
        let entry = store.build(SERVICE, name, None).map_err(|_| not_there())?;
        Ok(Self {
            entry: Arc::new(entry),
            random,
        })
    }

    /// Makes the key if the store has none, and reads it back. One that is there is used and never overwritten, unless
    /// another process makes one at the same moment: then one of the two slots does not open, and says so at once.
    ///
    /// # Errors
    /// `Malformed` for what is there and no key; `Unavailable` when the store does not answer.
    pub async fn ensure(&self) -> Result<Ensured, KeyError> {
        let (entry, random) = (Arc::clone(&self.entry), Arc::clone(&self.random));
        blocking(move || {
            if read(&entry)?.is_some() {
                return Ok(Ensured::Found);
            }
            let key = KeyBytes::make(&*random);
            entry.set_secret(key.expose()).map_err(|_| not_there())?;
            match read(&entry)? {
                Some(there) if there.expose() == key.expose() => Ok(Ensured::Made),
                Some(_) | None => Err(KeyError::Unavailable {
                    reason: "the key store of the system gives another key than it took",
                }),
            }
        })
        .await
    }

    /// Takes the key out of the store, where there is one.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer.
    pub async fn forget(&self) -> Result<(), KeyError> {
        let entry = Arc::clone(&self.entry);
        blocking(move || match entry.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(_) => Err(not_there()),
        })
        .await
    }

    async fn material(&self) -> Result<KeyBytes, KeyError> {
        let entry = Arc::clone(&self.entry);
        blocking(move || {
            read(&entry)?.ok_or(KeyError::Unavailable {
                reason: "the key store of the system has no key",
            })
        })
        .await
    }
}

impl fmt::Debug for SystemKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemKeyring")
    }
}

#[async_trait]
impl Keyring for SystemKeyring {
    fn source(&self) -> KeySource {
        KeySource::Keyring
    }

    async fn wrap(&self, key: &RootKey, bound_to: &AssociatedData) -> Result<WrappedKey, KeyError> {
        Ok(wrap_random(&self.material().await?, key, bound_to, &*self.random))
    }

    async fn unwrap(&self, key: &WrappedKey, bound_to: &AssociatedData) -> Result<RootKey, KeyError> {
        unwrap_random(&self.material().await?, key, bound_to)
    }
}

fn read(entry: &Entry) -> Result<Option<KeyBytes>, KeyError> {
    match entry.get_secret().map(Zeroizing::new) {
        Ok(content) => material::parse(&content).map(Some),
        Err(Error::NoEntry) => Ok(None),
        Err(_) => Err(not_there()),
    }
}

fn not_there() -> KeyError {
    KeyError::Unavailable {
        reason: "the key store of the system does not answer",
    }
}
