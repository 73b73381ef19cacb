//! Hexadecimal: bare, and with colons or spaces between the bytes.

use super::spelled;

pub(super) const UPPER: &[u8; 16] = b"0123456789ABCDEF";
pub(super) const LOWER: &[u8; 16] = b"0123456789abcdef";

/// The two digits of a byte.
pub(super) fn push(byte: u8, digits: &[u8; 16], out: &mut Vec<u8>) {
    out.push(digits[usize::from(byte >> 4)]);
    out.push(digits[usize::from(byte & 0xF)]);
}

pub(super) fn all(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for digits in [UPPER, LOWER] {
        for between in [&b""[..], b":", b" "] {
            let mut form = spelled(value, |byte, out| {
                push(byte, digits, out);
                out.extend_from_slice(between);
            });
            form.truncate(form.len() - between.len());
            forms.push(form);
        }
    }
    forms
}
