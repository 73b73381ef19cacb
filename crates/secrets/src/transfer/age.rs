//! Encryption of exports with age.

use std::io::{Read, Write};
use std::iter;

use age::secrecy::SecretString;
use age::{Decryptor, Encryptor, Identity, Recipient, scrypt, x25519};
use zeroize::Zeroizing;

use super::export::ExportError;
use super::{ExportTo, ImportKey};
use crate::{ImportError, Secret};

/// Whether the recipients are such.
pub(super) fn check(to: &ExportTo) -> Result<(), ExportError> {
    match to {
        ExportTo::Recipients(keys) if keys.is_empty() => Err(ExportError::Recipient),
        ExportTo::Recipients(keys) => recipients(keys).map(drop),
        ExportTo::Passphrase(passphrase) => text(passphrase).map(drop).ok_or(ExportError::Recipient),
    }
}

pub(super) fn encrypt(lines: &[u8], to: &ExportTo) -> Result<Vec<u8>, ExportError> {
    let encryptor = match to {
        ExportTo::Recipients(keys) => {
            let keys = recipients(keys)?;
            let keys = keys.iter().map(|key| -> &dyn Recipient { key });
            Encryptor::with_recipients(keys).map_err(|_| ExportError::Recipient)?
        }
        ExportTo::Passphrase(passphrase) => {
            Encryptor::with_user_passphrase(text(passphrase).ok_or(ExportError::Recipient)?)
        }
    };
    let mut out = Vec::new();
    let mut writer = encryptor.wrap_output(&mut out).map_err(ExportError::File)?;
    writer.write_all(lines).map_err(ExportError::File)?;
    writer.finish().map_err(ExportError::File)?;
    Ok(out)
}

/// Opens an export; one in clear is taken as it is.
pub(super) fn decrypt(bytes: &[u8], key: &ImportKey) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    let identity: Box<dyn Identity> = match key {
        ImportKey::Clear => return Ok(Zeroizing::new(bytes.to_vec())),
        ImportKey::Identity(secret) => {
            let key = secret
                .expose_text()
                .and_then(|text| text.trim().parse::<x25519::Identity>().ok());
            Box::new(key.ok_or(ImportError::Decrypt)?)
        }
        ImportKey::Passphrase(secret) => {
            Box::new(scrypt::Identity::new(text(secret).ok_or(ImportError::Decrypt)?))
        }
    };
    let decryptor = Decryptor::new(bytes).map_err(|_| ImportError::Decrypt)?;
    let reader = decryptor.decrypt(iter::once(&*identity));
    let mut reader = reader.map_err(|_| ImportError::Decrypt)?;
    // Plaintext is shorter than ciphertext: with room for that it never moves.
    let mut lines = Zeroizing::new(Vec::with_capacity(bytes.len() + 1));
    reader
        .read_to_end(&mut lines)
        .map_err(|_| ImportError::Truncated)?;
    Ok(lines)
}

fn recipients(keys: &[String]) -> Result<Vec<x25519::Recipient>, ExportError> {
    let parsed = keys.iter().map(|key| key.parse::<x25519::Recipient>());
    parsed
        .collect::<Result<_, _>>()
        .map_err(|_| ExportError::Recipient)
}

fn text(secret: &Secret) -> Option<SecretString> {
    secret.expose_text().map(SecretString::from)
}
