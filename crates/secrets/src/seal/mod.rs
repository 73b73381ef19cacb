//! Sealing: XChaCha20-Poly1305 under a random nonce, bound to what the ciphertext is.
//!
//! `format (1) ‖ nonce (24) ‖ ciphertext ‖ tag (16)`. The format is drawn in docs/FORMAT.md.

mod associated;
mod key;
mod text;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

pub use associated::AssociatedData;
pub(crate) use key::{DataKey, KeyBytes};
pub use key::{KEY_BYTES, RootKey};
pub(crate) use text::Sealed;

use crate::{Random, random};

/// The format of everything sealed by this build.
pub(crate) const FORMAT: u8 = 1;
/// Plaintext of values is padded to a multiple of this.
pub(crate) const PAD: usize = 64;

const NONCE: usize = 24;
const TAG: usize = 16;
/// The length of a value, before the padded value.
const LENGTH: usize = 4;

/// Bytes that do not open, and why that much may be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unopened {
    /// A newer build sealed it.
    #[error("it was sealed in format {0}, which this build does not know")]
    TooNew(u8),
    /// Another key, another place, or other bytes.
    #[error("it does not open with this key at this place")]
    Wrong,
}

/// Seals exactly these bytes: keys.
pub(crate) fn seal(
    key: &[u8; KEY_BYTES],
    bound_to: &AssociatedData,
    plain: &[u8],
    random: &dyn Random,
) -> Sealed {
    seal_with(key, bound_to, plain, random::bytes(random))
}

fn seal_with(key: &[u8; KEY_BYTES], bound_to: &AssociatedData, plain: &[u8], nonce: [u8; NONCE]) -> Sealed {
    let cipher = XChaCha20Poly1305::new(key.into());
    let payload = Payload {
        msg: plain,
        aad: bound_to.as_bytes(),
    };
    let text = cipher
        .encrypt(&XNonce::from(nonce), payload)
        .expect("what is sealed is far below the cipher's 256 GiB");
    let mut sealed = Vec::with_capacity(1 + NONCE + text.len());
    sealed.push(FORMAT);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&text);
    Sealed::new(sealed)
}

/// Opens what [`seal`] sealed.
pub(crate) fn open(
    key: &[u8; KEY_BYTES],
    bound_to: &AssociatedData,
    sealed: &Sealed,
) -> Result<Zeroizing<Vec<u8>>, Unopened> {
    let bytes = sealed.as_slice();
    match bytes.first() {
        Some(&FORMAT) if bytes.len() >= 1 + NONCE + TAG => {}
        Some(&newer) if newer > FORMAT => return Err(Unopened::TooNew(newer)),
        Some(_) | None => return Err(Unopened::Wrong),
    }
    let (nonce, text) = bytes[1..].split_at(NONCE);
    let nonce: [u8; NONCE] = nonce.try_into().expect("it was split there");
    let cipher = XChaCha20Poly1305::new(key.into());
    let payload = Payload {
        msg: text,
        aad: bound_to.as_bytes(),
    };
    let plain = cipher.decrypt(&XNonce::from(nonce), payload);
    plain.map(Zeroizing::new).map_err(|_| Unopened::Wrong)
}

/// Opens a key that was sealed.
pub(crate) fn open_key(
    key: &[u8; KEY_BYTES],
    bound_to: &AssociatedData,
    sealed: &Sealed,
) -> Result<KeyBytes, Unopened> {
    let plain = open(key, bound_to, sealed)?;
    let bytes: &[u8; KEY_BYTES] = plain.as_slice().try_into().map_err(|_| Unopened::Wrong)?;
    Ok(KeyBytes::copy_of(bytes))
}

/// Seals a value padded, so that its ciphertext says only in which 64 bytes its length is.
pub(crate) fn seal_value(
    key: &DataKey,
    bound_to: &AssociatedData,
    value: &[u8],
    random: &dyn Random,
) -> Sealed {
    seal(key.expose(), bound_to, &padded(value), random)
}

/// Opens what [`seal_value`] sealed.
pub(crate) fn open_value(
    key: &DataKey,
    bound_to: &AssociatedData,
    sealed: &Sealed,
) -> Result<crate::Secret, Unopened> {
    let plain = open(key.expose(), bound_to, sealed)?;
    let (length, rest) = plain.split_first_chunk::<LENGTH>().ok_or(Unopened::Wrong)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Unopened::Wrong)?;
    let value = rest.get(..length).ok_or(Unopened::Wrong)?;
    Ok(crate::Secret::new(value.to_vec()))
}

fn padded(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = u32::try_from(value.len()).expect("a value has at most 32 KiB");
    let room = LENGTH + value.len().next_multiple_of(PAD);
    // With its capacity from the start it never moves and leaves no copy.
    let mut plain = Zeroizing::new(Vec::with_capacity(room));
    plain.extend_from_slice(&length.to_le_bytes());
    plain.extend_from_slice(value);
    plain.resize(room, 0);
    plain
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::Generator;

    fn place() -> AssociatedData {
        AssociatedData::new("dormouse/1/test").field(b"a").field(b"bc")
    }

    #[test]
    fn associated_data_is_length_prefixed_so_no_two_lists_of_fields_meet() {
        assert_eq!(
            HEXLOWER.encode(place().as_bytes()),
            "0000000f646f726d6f7573652f312f7465737400000001610000000262 63".replace(' ', "")
        );
        assert_ne!(
            place(),
            AssociatedData::new("dormouse/1/test").field(b"ab").field(b"c")
        );
    }

    #[test]
    fn the_cipher_gives_the_bytes_of_its_specification() {
        // draft-irtf-cfrg-xchacha-03, appendix A.3.1, under our format byte.
        let key: [u8; 32] = std::array::from_fn(|at| 0x80 + u8::try_from(at).unwrap());
        let nonce: [u8; 24] = std::array::from_fn(|at| 0x40 + u8::try_from(at).unwrap());
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let aad = HEXLOWER.decode(b"50515253c0c1c2c3c4c5c6c7").unwrap();
        let sealed = seal_with(&key, &AssociatedData::raw(aad), text, nonce);
        assert_eq!(sealed.as_slice()[0], FORMAT);
        assert_eq!(sealed.as_slice()[1..25], nonce);
        let tag = &sealed.as_slice()[25 + text.len()..];
        assert_eq!(HEXLOWER.encode(tag), "c0875924c1c7987947deafd8780acf49");
        assert!(
            HEXLOWER
                .encode(&sealed.as_slice()[25..])
                .starts_with("bd6d179d3e83d43b9576579493c0e939")
        );
    }

    #[test]
    fn a_sealed_value_has_the_bytes_of_its_format() {
        let key = DataKey(KeyBytes::copy_of(&[7; 32]));
        let sealed = seal_with(key.expose(), &place(), &padded(b"hunter2hunter2"), [9; 24]);
        assert_eq!(
            HEXLOWER.encode(sealed.as_slice()),
            include_str!("golden/value.hex").trim()
        );
        assert_eq!(
            open_value(&key, &place(), &sealed).unwrap().expose(),
            b"hunter2hunter2"
        );
    }

    /// SE-19
    #[test]
    fn one_value_sealed_twice_has_two_ciphertexts_and_lengths_come_in_steps() {
        let (key, random) = (DataKey(KeyBytes::copy_of(&[7; 32])), Generator::seeded(1));
        let sealed = |length: usize| seal_value(&key, &place(), &vec![1; length], &random);
        assert_ne!(sealed(20), sealed(20));
        let lengths = |range: std::ops::RangeInclusive<usize>| {
            let mut lengths: Vec<usize> = range.map(|length| sealed(length).as_slice().len()).collect();
            lengths.dedup();
            lengths
        };
        assert_eq!(lengths(1..=64).len(), 1);
        assert_eq!(lengths(65..=128).len(), 1);
    }

    #[test]
    fn what_was_changed_anywhere_does_not_open() {
        let key = DataKey(KeyBytes::copy_of(&[7; 32]));
        let sealed = seal_value(&key, &place(), b"hunter2hunter2", &Generator::seeded(2));
        for at in 0..sealed.as_slice().len() {
            let mut bytes = sealed.as_slice().to_vec();
            bytes[at] ^= 1;
            assert!(
                open_value(&key, &place(), &Sealed::new(bytes)).is_err(),
                "byte {at}"
            );
        }
        let newer = [&[2], &sealed.as_slice()[1..]].concat();
        assert_eq!(
            open_value(&key, &place(), &Sealed::new(newer)),
            Err(Unopened::TooNew(2))
        );
        for short in 0..41 {
            let cut = Sealed::new(sealed.as_slice()[..short].to_vec());
            assert_eq!(open_value(&key, &place(), &cut), Err(Unopened::Wrong));
        }
    }
}
