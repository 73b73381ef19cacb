//! What shells print when they quote: traces of `set -x`, `printf %q`, `declare`, and libraries that quote for them.

use super::spelled;

/// What `printf %q` and its kin put a backslash before.
const SPECIALS: &[u8] = b" \t!\"$&'()*,;<>?[\\]^`{|}";

/// What stays bare where everything else has a backslash.
const BARE: &[u8] = b"_-./:@%+=,~";

pub(super) fn all(value: &[u8]) -> Vec<Vec<u8>> {
    let quote_as = |text: &[u8]| {
        spelled(value, |byte, out| match byte {
            b'\'' => out.extend_from_slice(text),
            byte => out.push(byte),
        })
    };
    let backslash_if = |is_special: &dyn Fn(u8) -> bool| {
        spelled(value, |byte, out| {
            if is_special(byte) {
                out.push(b'\\');
            }
            out.push(byte);
        })
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80;
    vec![
        quote_as(b"'\\''"),
        quote_as(b"'\"'\"'"),
        backslash_if(&|byte| b"$`\"\\".contains(&byte)),
        backslash_if(&|byte| b"$`\"\\!".contains(&byte)),
        dollar_quoted(value, HighBytes::Kept),
        dollar_quoted(value, HighBytes::Octal),
        backslash_if(&|byte| SPECIALS.contains(&byte)),
        backslash_if(&|byte| SPECIALS.contains(&byte) || b"#~=".contains(&byte)),
        backslash_if(&|byte| !is_plain(byte) && !BARE.contains(&byte)),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HighBytes {
    Kept,
    Octal,
}

/// The inside of `$'…'`.
fn dollar_quoted(value: &[u8], high: HighBytes) -> Vec<u8> {
    spelled(value, |byte, out| match byte {
        b'\'' => out.extend_from_slice(b"\\'"),
        b'\\' => out.extend_from_slice(b"\\\\"),
        0x07 => out.extend_from_slice(b"\\a"),
        0x08 => out.extend_from_slice(b"\\b"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        0x0B => out.extend_from_slice(b"\\v"),
        0x0C => out.extend_from_slice(b"\\f"),
        b'\r' => out.extend_from_slice(b"\\r"),
        0x1B => out.extend_from_slice(b"\\E"),
        0x20..=0x7E => out.push(byte),
        0x80.. if high == HighBytes::Kept => out.push(byte),
        byte => {
            let digit = |shift: u32| b'0' + ((byte >> shift) & 7);
            out.extend_from_slice(&[b'\\', digit(6), digit(3), digit(0)]);
        }
    })
}
