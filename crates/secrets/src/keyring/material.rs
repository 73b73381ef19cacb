//! The 32 bytes of a key file: how they are written down and what is no key.

use data_encoding::HEXLOWER_PERMISSIVE;
use zeroize::{Zeroize, Zeroizing};

use crate::KeyError;
use crate::seal::{KEY_BYTES, KeyBytes};

/// With fewer distinct bytes it was not made at random.
const DISTINCT_MIN: usize = 8;
/// Longest content of a key file: 64 digits and a line end.
pub(super) const CONTENT_MAX: usize = 66;

/// Reads 32 bytes, or 64 hexadecimal digits with or without a line end.
pub(super) fn parse(content: &[u8]) -> Result<KeyBytes, KeyError> {
    if let Ok(bytes) = content.try_into() {
        return checked(bytes);
    }
    let text = content.strip_suffix(b"\n").unwrap_or(content);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.len() != 2 * KEY_BYTES {
        return Err(KeyError::Malformed {
            reason: "a key is 32 bytes or 64 hexadecimal digits",
        });
    }
    let decoded = HEXLOWER_PERMISSIVE.decode(text);
    let bytes = decoded.map_err(|_| KeyError::Malformed {
        reason: "a key has another digit than 0-9 and a-f",
    })?;
    let bytes = Zeroizing::new(bytes);
    checked(bytes.as_slice().try_into().expect("64 digits are 32 bytes"))
}

/// Takes bytes that may be a key.
pub(super) fn checked(bytes: &[u8; KEY_BYTES]) -> Result<KeyBytes, KeyError> {
    let mut sorted = *bytes;
    sorted.sort_unstable();
    let distinct = 1 + sorted.windows(2).filter(|pair| pair[0] != pair[1]).count();
    sorted.zeroize();
    if distinct < DISTINCT_MIN {
        return Err(KeyError::Malformed {
            reason: "a key has at least 8 distinct bytes",
        });
    }
    Ok(KeyBytes::copy_of(bytes))
}

/// What is written into a key file.
pub(super) fn text_of(key: &KeyBytes) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(2 * KEY_BYTES + 1));
    for byte in key.expose() {
        for digit in [byte >> 4, byte & 15] {
            text.push(b"0123456789abcdef"[usize::from(digit)]);
        }
    }
    text.push(b'\n');
    text
}
