//! A key in a file of its own, readable by its owner alone.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::{Kdf, KeySource, Keyring, WrappedKey, kdf, material, unwrap_under, wrap_under};
use crate::seal::{AssociatedData, KeyBytes, RootKey, Sealed};
use crate::{KeyError, Random, random};

/// What a key file may be at most: read and written by its owner.
const MODE_MAX: u32 = 0o600;

/// A key file. It is read at each use and never kept in memory between them.
#[derive(Debug, Clone)]
pub struct FileKeyring {
    path: PathBuf,
    random: Arc<dyn Random>,
}

/// Whether a key file was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// It was made now.
    Made,
    /// It was there, is a key, and stays as it is.
    Found,
}

impl FileKeyring {
    /// The key file at this path, whether or not it is there.
    #[must_use]
    pub fn new(path: PathBuf, random: Arc<dyn Random>) -> Self {
        Self { path, random }
    }

    /// Makes the key durable if there is none: mode 0600, whole or not at all, then read back. One that is there is
    /// used and never overwritten.
    ///
    /// # Errors
    /// `Malformed` for what is there and no key file; `Unavailable` when the folder cannot be written.
    pub async fn ensure(&self) -> Result<Ensured, KeyError> {
        let (path, random) = (self.path.clone(), Arc::clone(&self.random));
        blocking(move || {
            let ensured = match make(&path, &*random) {
                Ok(()) => Ensured::Made,
                Err(Errno::EXIST) => Ensured::Found,
                Err(_) => {
                    return Err(KeyError::Unavailable {
                        reason: "the key file cannot be made",
                    });
                }
            };
            read(&path).map(|_| ensured)
        })
        .await
    }

    /// Puts this key file in the place of another, at once and durably: the end of a rotation.
    ///
    /// # Errors
    /// `Unavailable` when it cannot; both are as before.
    pub async fn take_place_of(self, other: &Self) -> Result<Self, KeyError> {
        let (from, to) = (self.path, other.path.clone());
        let moved = to.clone();
        blocking(move || {
            let renamed = rustix::fs::rename(&from, &to).and_then(|()| sync_folder(&to));
            renamed.map_err(|_| KeyError::Unavailable {
                reason: "the key file cannot be put in place",
            })
        })
        .await?;
        Ok(Self {
            path: moved,
            random: self.random,
        })
    }

    /// The key file beside this one in which a rotation keeps the new key until it is confirmed.
    #[must_use]
    pub fn successor(&self) -> Self {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".new");
        Self {
            path: name.into(),
            random: Arc::clone(&self.random),
        }
    }

    async fn material(&self) -> Result<KeyBytes, KeyError> {
        let path = self.path.clone();
        blocking(move || read(&path)).await
    }
}

#[async_trait]
impl Keyring for FileKeyring {
    fn source(&self) -> KeySource {
        KeySource::File
    }

    async fn wrap(&self, key: &RootKey, bound_to: &AssociatedData) -> Result<WrappedKey, KeyError> {
        let material = self.material().await?;
        Ok(wrap_random(&material, key, bound_to, &*self.random))
    }

    async fn unwrap(&self, key: &WrappedKey, bound_to: &AssociatedData) -> Result<RootKey, KeyError> {
        unwrap_random(&self.material().await?, key, bound_to)
    }
}

/// Wraps under a random key.
pub(super) fn wrap_random(
    material: &KeyBytes,
    key: &RootKey,
    bound_to: &AssociatedData,
    random: &dyn Random,
) -> WrappedKey {
    let salt = Sealed::new(random::bytes::<{ kdf::SALT }>(random).to_vec());
    let kek = kdf::hkdf(material, &salt);
    wrap_under(&kek, Kdf::Hkdf { salt }, key, bound_to, random)
}

/// Unwraps under a random key.
pub(super) fn unwrap_random(
    material: &KeyBytes,
    key: &WrappedKey,
    bound_to: &AssociatedData,
) -> Result<RootKey, KeyError> {
    match &key.kdf {
        Kdf::Hkdf { salt } => unwrap_under(&kdf::hkdf(material, salt), key, bound_to),
        Kdf::Argon2id { .. } | Kdf::Remote => Err(KeyError::WrongKey),
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeyError> + Send + 'static,
) -> Result<T, KeyError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| KeyError::Unavailable {
        reason: "the key file's thread ended",
    })?
}

fn read(path: &Path) -> Result<KeyBytes, KeyError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => {
            return Err(KeyError::Malformed {
                reason: "the key file is a link",
            });
        }
        Err(Errno::NOENT) => {
            return Err(KeyError::Unavailable {
                reason: "there is no key file",
            });
        }
        Err(_) => {
            return Err(KeyError::Unavailable {
                reason: "the key file cannot be opened",
            });
        }
    };
    let is = file.metadata().map_err(|_| KeyError::Unavailable {
        reason: "the key file cannot be read",
    })?;
    if !is.is_file() {
        return Err(KeyError::Malformed {
            reason: "the key file is no regular file",
        });
    }
    if is.uid() != rustix::process::geteuid().as_raw() {
        return Err(KeyError::Malformed {
            reason: "the key file belongs to another user",
        });
    }
    if is.mode() & 0o7777 & !MODE_MAX != 0 {
        return Err(KeyError::Malformed {
            reason: "the key file's mode is wider than 0600",
        });
    }
    content(file)
}

/// Reads a key from a file that may be read.
pub(super) fn content(file: File) -> Result<KeyBytes, KeyError> {
    // With its capacity from the start it never moves and leaves no copy.
    let most = material::CONTENT_MAX + 1;
    let mut content = Zeroizing::new(Vec::with_capacity(most));
    let limit = u64::try_from(most).expect("it is small");
    file.take(limit)
        .read_to_end(&mut content)
        .map_err(|_| KeyError::Unavailable {
            reason: "the key file cannot be read",
        })?;
    material::parse(&content)
}

/// Whole under its name, or not there: written beside, synced, linked, which refuses a name that is taken.
fn make(path: &Path, random: &dyn Random) -> Result<(), Errno> {
    if rustix::fs::lstat(path).is_ok() {
        return Err(Errno::EXIST);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", HEXLOWER.encode(&random::bytes::<8>(random))));
    let beside = PathBuf::from(beside);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(CWD, &beside, flags, Mode::RUSR | Mode::WUSR)?);
    let text = material::text_of(&KeyBytes::make(random));
    let written = file.write_all(&text).and_then(|()| file.sync_all());
    let linked = written
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        .and_then(|()| rustix::fs::linkat(CWD, &beside, CWD, path, AtFlags::empty()));
    rustix::fs::unlink(&beside)?;
    linked.and_then(|()| sync_folder(path))
}

fn sync_folder(path: &Path) -> Result<(), Errno> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, above.unwrap_or(Path::new(".")), flags, Mode::empty())?;
    rustix::fs::fsync(folder)
}
