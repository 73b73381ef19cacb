//! Where the key of the secrets is, for whoever owns the store.

use std::path::PathBuf;
use std::sync::Arc;

use dormouse_secrets::{
    Argon2Params, CredentialKeyring, FileKeyring, KeyError, Keyring, Random, SystemKeyring, VaultOptions,
};

use crate::config::Config;
use crate::context::Context;
use crate::place::{self, ensure_folder};
use crate::problem::Problem;

/// The sources of the key that opens the vault. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Keys {
    path: PathBuf,
    /// What the key in the system's key store is called.
    name: String,
    credentials: Option<PathBuf>,
    random: Arc<dyn Random>,
    derivation: Argon2Params,
}

impl Keys {
    /// The key in this file.
    #[must_use]
    pub fn in_file(path: PathBuf, random: Arc<dyn Random>) -> Self {
        Self {
            name: path.display().to_string(),
            path,
            credentials: None,
            random,
            derivation: Argon2Params::default(),
        }
    }

    pub(super) fn of(context: &Context, random: Arc<dyn Random>) -> Self {
        // Stores that have one key file have a key each in the system's key store, which goes with its slot.
        let store = context.places.state.file_name().unwrap_or_default();
        Self {
            name: format!("{} {}", context.key_file.display(), store.display()),
            credentials: context.environment.folder_of("CREDENTIALS_DIRECTORY"),
            derivation: derivation(&context.config),
            ..Self::in_file(context.key_file.clone(), random)
        }
    }

    /// What is tried at a start, in this order: what a service manager gives, the file, then the system's key store, which
    /// is asked only where a slot is of it. The file makes the vault.
    #[must_use]
    pub fn vault(&self) -> VaultOptions {
        let credential = self.credentials.as_deref().map(|folder| {
            let keyring = CredentialKeyring::new(folder, self.random());
            Arc::new(keyring) as Arc<dyn Keyring>
        });
        let file: Arc<dyn Keyring> = Arc::new(self.file());
        let system = self
            .system()
            .ok()
            .map(|system| Arc::new(system) as Arc<dyn Keyring>);
        VaultOptions {
            sources: credential.into_iter().chain([file]).chain(system).collect(),
            first_key: Some(self.file()),
        }
    }

    /// The key file, whether or not it is there.
    #[must_use]
    pub fn file(&self) -> FileKeyring {
        FileKeyring::new(self.path.clone(), self.random())
    }

    /// The key in the system's key store, whether or not it is there: that of Linux's kernel, where it is named by the key
    /// file in whose place it opens the vault, and by the store.
    ///
    /// # Errors
    /// `Unavailable` where the system has no such store.
    #[cfg(target_os = "linux")]
    pub(crate) fn system(&self) -> Result<SystemKeyring, KeyError> {
        let store = linux_keyutils_keyring_store::Store::new();
        let store = store.map_err(|_| KeyError::Unavailable {
            reason: "the kernel has no key store",
        })?;
        SystemKeyring::new(&*store, &self.name, self.random())
    }

    /// The key in the system's key store.
    ///
    /// # Errors
    /// `Unavailable`: this build knows none.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn system(&self) -> Result<SystemKeyring, KeyError> {
        Err(KeyError::Unavailable {
            reason: "this build knows no key store of the system",
        })
    }

    /// How a key is derived of a passphrase that gets a slot. Slots that are there say themselves how theirs were.
    pub(crate) fn derivation(&self) -> Argon2Params {
        self.derivation
    }

    /// Whether something is where the key file belongs.
    pub(crate) async fn has_file(&self) -> bool {
        tokio::fs::symlink_metadata(&self.path).await.is_ok()
    }

    /// Where keys and nonces come from.
    #[must_use]
    pub fn random(&self) -> Arc<dyn Random> {
        Arc::clone(&self.random)
    }

    /// Makes the key file's folder where there is none, for its user only. One that is there is as its user has it.
    ///
    /// # Errors
    /// What the system refuses.
    pub(crate) fn ensure_folder(&self) -> Result<(), Problem> {
        let Some(folder) = self.path.parent() else {
            return Ok(());
        };
        match place::check_folder(folder) {
            Err(refusal) if refusal.is_missing() => Ok(ensure_folder(folder)?),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn derivation(config: &Config) -> Argon2Params {
    let number = |number: u64| u32::try_from(number).expect("settings are within their bounds");
    Argon2Params {
        memory_kib: number(config.bytes("secrets.kdf_memory").div_ceil(1024)),
        passes: number(config.number("secrets.kdf_passes")),
        ..Argon2Params::default()
    }
}
