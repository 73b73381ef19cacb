//! A build without age encrypts and decrypts no export.

use zeroize::Zeroizing;

use super::export::ExportError;
use super::{ExportTo, ImportKey};
use crate::ImportError;

pub(super) fn check(_to: &ExportTo) -> Result<(), ExportError> {
    Err(ExportError::NoAge)
}

pub(super) fn encrypt(_lines: &[u8], _to: &ExportTo) -> Result<Vec<u8>, ExportError> {
    Err(ExportError::NoAge)
}

/// One in clear is taken as it is.
pub(super) fn decrypt(bytes: &[u8], key: &ImportKey) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    match key {
        ImportKey::Clear => Ok(Zeroizing::new(bytes.to_vec())),
        ImportKey::Identity(_) | ImportKey::Passphrase(_) => Err(ImportError::NoAge),
    }
}
