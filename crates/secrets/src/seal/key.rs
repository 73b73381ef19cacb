//! Keys in memory: in locked pages of their own, wiped when dropped.

use std::fmt;

use region::LockGuard;
use zeroize::Zeroize;

use crate::{Random, random};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// One page, so that unlocking it unlocks no neighbour's key.
#[repr(C, align(4096))]
struct Page([u8; 4096]);

/// 32 bytes that are not swapped out, where the system allows that many locked pages, and wiped when dropped.
pub(crate) struct KeyBytes {
    // Dropped before the page that it locks.
    lock: Option<LockGuard>,
    page: Box<Page>,
}

impl KeyBytes {
    fn zeros() -> Self {
        let page = Box::new(Page([0; 4096]));
        let lock = region::lock(page.0.as_ptr(), page.0.len()).ok();
        Self { lock, page }
    }

    /// A copy; the caller wipes the original.
    pub(crate) fn copy_of(bytes: &[u8; KEY_BYTES]) -> Self {
        let mut key = Self::zeros();
        key.page.0[..KEY_BYTES].copy_from_slice(bytes);
        key
    }

    /// A new random key.
    pub(crate) fn make(random: &dyn Random) -> Self {
        let mut bytes = random::bytes::<KEY_BYTES>(random);
        let key = Self::copy_of(&bytes);
        bytes.zeroize();
        key
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        self.page.0.first_chunk().expect("a page is longer than a key")
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }
}

impl Drop for KeyBytes {
    fn drop(&mut self) {
        self.page.0[..KEY_BYTES].zeroize();
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The key of a vault, under which the tenants' data keys are wrapped.
#[derive(Debug)]
pub struct RootKey(pub(crate) KeyBytes);

impl RootKey {
    pub(crate) fn make(random: &dyn Random) -> Self {
        Self(KeyBytes::make(random))
    }

    /// A root key that a [`Keyring`](crate::Keyring) has unwrapped. The caller wipes its own copy.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(KeyBytes::copy_of(bytes))
    }

    /// The bytes, for a [`Keyring`](crate::Keyring) to wrap.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }

    /// Whether the system keeps it out of swap: it has a limit of locked memory.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }
}

/// A key of a tenant, which seals its values.
#[derive(Debug)]
pub(crate) struct DataKey(pub(crate) KeyBytes);

impl DataKey {
    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }
}
