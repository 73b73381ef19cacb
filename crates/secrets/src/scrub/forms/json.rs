//! The inside of a JSON string.

use super::hex;

/// How much a writer of JSON escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// What the format asks for.
    Minimal,
    /// Everything that is not ASCII, as `\u`.
    Ascii,
    /// The same, in capital digits.
    AsciiUpper,
    /// What HTML would read: `\u003c`.
    HtmlSafe,
    /// Everything that is not ASCII, and `\/`.
    AsciiSlash,
}

pub(super) const STYLES: [Style; 5] = [
    Style::Minimal,
    Style::Ascii,
    Style::AsciiUpper,
    Style::HtmlSafe,
    Style::AsciiSlash,
];

/// `value` as it stands inside of quotes. Bytes that are no text pass as they are.
pub(super) fn escaped(value: &[u8], style: Style) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 2);
    for chunk in value.utf8_chunks() {
        for char in chunk.valid().chars() {
            push(char, style, &mut out);
        }
        out.extend_from_slice(chunk.invalid());
    }
    out
}

fn push(char: char, style: Style, out: &mut Vec<u8>) {
    match char {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        '/' if style == Style::AsciiSlash => out.extend_from_slice(b"\\/"),
        char if is_unicode_escaped(char, style) => push_unicode(char, style, out),
        char => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn is_unicode_escaped(char: char, style: Style) -> bool {
    char < ' '
        || match style {
            Style::Minimal => false,
            Style::Ascii | Style::AsciiUpper | Style::AsciiSlash => char > '~',
            Style::HtmlSafe => matches!(char, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'),
        }
}

fn push_unicode(char: char, style: Style, out: &mut Vec<u8>) {
    let digits = match style {
        Style::AsciiUpper => hex::UPPER,
        Style::Minimal | Style::Ascii | Style::HtmlSafe | Style::AsciiSlash => hex::LOWER,
    };
    for unit in char.encode_utf16(&mut [0; 2]) {
        out.extend_from_slice(b"\\u");
        for byte in unit.to_be_bytes() {
            hex::push(byte, digits, out);
        }
    }
}
