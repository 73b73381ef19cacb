//! Base64: three ways a value may lie in the groups of three bytes, in two alphabets.

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The characters that lie wholly inside `value`, for each alignment and alphabet.
pub(crate) fn all(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for alphabet in [STANDARD, URL_SAFE] {
        for before in 0..3 {
            forms.push(inside(value, before, alphabet));
        }
    }
    forms
}

/// The characters made of bits of `value` alone, where `before` bytes stand before it in its group.
fn inside(value: &[u8], before: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let bits = value.len() * 8;
    // The first character that begins at or behind the value's first bit.
    let mut at = (before * 8).div_ceil(6) * 6 - before * 8;
    let mut out = Vec::with_capacity(bits / 6);
    while at + 6 <= bits {
        let first = u16::from(value[at / 8]) << 8;
        let second = value.get(at / 8 + 1).map_or(0, |byte| u16::from(*byte));
        let sextet = ((first | second) >> (10 - at % 8)) & 0x3F;
        out.push(alphabet[usize::from(sextet)]);
        at += 6;
    }
    out
}
