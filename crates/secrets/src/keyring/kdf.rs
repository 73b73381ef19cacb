//! How a key that wraps is derived from what a source gives.

use std::ops::RangeInclusive;

use argon2::{Algorithm, Argon2, Params, Version};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::sync::Semaphore;
use zeroize::{Zeroize, Zeroizing};

use crate::KeyError;
use crate::seal::{AssociatedData, KEY_BYTES, KeyBytes, Sealed};

/// Least memory of the passphrase derivation, in KiB.
pub const KDF_MEMORY_KIB_MIN: u32 = 19 * 1024;
/// Most memory, in KiB.
pub const KDF_MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// Fewest passes.
pub const KDF_PASSES_MIN: u32 = 2;
/// Most passes.
pub const KDF_PASSES_MAX: u32 = 16;
/// Most lanes.
pub const KDF_LANES_MAX: u32 = 4;

/// Bytes of a salt.
pub(super) const SALT: usize = 16;

/// One derivation at a time: each takes the memory it was told to take.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// Parameters of Argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argon2Params {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Argon2Params {
    /// 64 MiB, 3 passes, 1 lane.
    fn default() -> Self {
        Self {
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 1,
        }
    }
}

impl Argon2Params {
    /// Whether they are within what is allowed: checked before any memory is taken.
    ///
    /// # Errors
    /// `Malformed`, with the parameter that is not.
    pub fn check(self) -> Result<(), KeyError> {
        let within = |value: u32, range: RangeInclusive<u32>, reason| {
            if range.contains(&value) {
                Ok(())
            } else {
                Err(KeyError::Malformed { reason })
            }
        };
        within(
            self.memory_kib,
            KDF_MEMORY_KIB_MIN..=KDF_MEMORY_KIB_MAX,
            "the derivation takes 19 MiB to 1 GiB of memory",
        )?;
        within(
            self.passes,
            KDF_PASSES_MIN..=KDF_PASSES_MAX,
            "the derivation takes 2 to 16 passes",
        )?;
        within(self.lanes, 1..=KDF_LANES_MAX, "the derivation takes 1 to 4 lanes")
    }
}

/// How one key was derived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kdf", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Kdf {
    /// From a random key.
    Hkdf { salt: Sealed },
    /// From a passphrase.
    Argon2id { params: Argon2Params, salt: Sealed },
    /// Elsewhere.
    Remote,
}

impl Kdf {
    /// The place, and the parameters: who changes one has another key's ciphertext.
    pub(super) fn bind(&self, place: &AssociatedData) -> AssociatedData {
        let place = place.clone();
        match self {
            Self::Hkdf { salt } => place.field(b"hkdf-sha256").field(salt.as_slice()),
            Self::Argon2id { params, salt } => place
                .field(b"argon2id-19")
                .number(params.memory_kib.into())
                .number(params.passes.into())
                .number(params.lanes.into())
                .field(salt.as_slice()),
            Self::Remote => place.field(b"remote"),
        }
    }
}

pub(super) fn hkdf(material: &KeyBytes, salt: &Sealed) -> KeyBytes {
    let mut bytes = [0; KEY_BYTES];
    Hkdf::<Sha256>::new(Some(salt.as_slice()), material.expose())
        .expand(b"dormouse/1/kek", &mut bytes)
        .expect("32 bytes are below what the function gives");
    let key = KeyBytes::copy_of(&bytes);
    bytes.zeroize();
    key
}

/// Derives on a blocking thread, when no other derivation runs.
pub(super) async fn argon2(
    passphrase: Zeroizing<Vec<u8>>,
    params: Argon2Params,
    salt: Sealed,
) -> Result<KeyBytes, KeyError> {
    params.check()?;
    let _turn = ONE_AT_A_TIME.acquire().await.expect("it is never closed");
    let derive = move || {
        let settings = Params::new(params.memory_kib, params.passes, params.lanes, Some(KEY_BYTES));
        let settings = settings.map_err(|_| KeyError::Malformed {
            reason: "the derivation's parameters",
        })?;
        let mut bytes = [0; KEY_BYTES];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, settings)
            .hash_password_into(&passphrase, salt.as_slice(), &mut bytes)
            .map_err(|_| KeyError::Unavailable {
                reason: "the derivation did not get its memory",
            })?;
        let key = KeyBytes::copy_of(&bytes);
        bytes.zeroize();
        Ok(key)
    };
    let derived = tokio::task::spawn_blocking(derive).await;
    derived.map_err(|_| KeyError::Unavailable {
        reason: "the derivation was ended",
    })?
}
