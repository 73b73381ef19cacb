//! A key that the service manager hands over in its credentials folder.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rustix::fs::{CWD, Mode, OFlags};

use super::file::{blocking, content, unwrap_random, wrap_random};
use super::{KeySource, Keyring, WrappedKey};
use crate::seal::{AssociatedData, KeyBytes, RootKey};
use crate::{KeyError, Random};

/// The file's name in the folder.
const NAME: &str = "master-key";

/// The credential `master-key`. Who may read the folder is the service manager's care; links in it are followed.
#[derive(Debug, Clone)]
pub struct CredentialKeyring {
    path: PathBuf,
    random: Arc<dyn Random>,
}

impl CredentialKeyring {
    /// The credential in this folder, whether or not it is there.
    #[must_use]
    pub fn new(folder: &Path, random: Arc<dyn Random>) -> Self {
        Self {
            path: folder.join(NAME),
            random,
        }
    }

    async fn material(&self) -> Result<KeyBytes, KeyError> {
        let path = self.path.clone();
        blocking(move || {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let file = rustix::fs::openat(CWD, &path, flags, Mode::empty());
            let file = file.map_err(|_| KeyError::Unavailable {
                reason: "there is no credential",
            })?;
            let file = File::from(file);
            if !file.metadata().is_ok_and(|is| is.is_file()) {
                return Err(KeyError::Malformed {
                    reason: "the credential is no regular file",
                });
            }
            content(file)
        })
        .await
    }
}

#[async_trait]
impl Keyring for CredentialKeyring {
    fn source(&self) -> KeySource {
        KeySource::Credential
    }

    async fn wrap(&self, key: &RootKey, bound_to: &AssociatedData) -> Result<WrappedKey, KeyError> {
        Ok(wrap_random(&self.material().await?, key, bound_to, &*self.random))
    }

    async fn unwrap(&self, key: &WrappedKey, bound_to: &AssociatedData) -> Result<RootKey, KeyError> {
        unwrap_random(&self.material().await?, key, bound_to)
    }
}
