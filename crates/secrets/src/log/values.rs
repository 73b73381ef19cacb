//! Where a value ends that stands in text: a string, a number, a word, or something in brackets.

use std::ops::Range;

/// What stands at a place, and where it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// What is between the quotes.
    String(Range<usize>),
    /// Digits, and what belongs to a number.
    Number(Range<usize>),
    /// Brackets, and the name before them.
    Tree(Range<usize>),
    /// Anything else up to a space or a mark.
    Word(Range<usize>),
}

/// The value that begins at `start`; `None` if none does.
pub(super) fn at(text: &str, start: usize) -> Option<Value> {
    let bytes = text.as_bytes();
    // `b"…"`, `Some(…)`, `Token { … }`: the name is not what is sought.
    let name = start + bytes[start..].iter().take_while(|byte| is_name(**byte)).count();
    let slashes = bytes[name..].iter().take_while(|byte| **byte == b'\\').count();
    match bytes.get(name + slashes).unwrap_or(&0) {
        b'"' => return Some(Value::String(string(bytes, name + slashes))),
        b'{' | b'[' | b'(' if slashes == 0 => return Some(Value::Tree(start..bracket_end(bytes, name))),
        b' ' if slashes == 0 && name > start && bytes.get(name + 1) == Some(&b'{') => {
            return Some(Value::Tree(start..bracket_end(bytes, name + 1)));
        }
        b'\'' if name == start => {
            let rest = bytes[start + 1..].iter().position(|byte| *byte == b'\'');
            return Some(Value::String(
                start + 1..rest.map_or(bytes.len(), |rest| start + 1 + rest),
            ));
        }
        _ => {}
    }
    let end = start + bytes[start..].iter().take_while(|byte| !is_end(**byte)).count();
    // A sentence goes on behind it.
    let trailing = bytes[start..end]
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b':' | b'.'))
        .count();
    let end = end - trailing;
    if start == end {
        return None;
    }
    let is_number = bytes[start..end]
        .iter()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'_' | b'e' | b'E'));
    Some(
        match is_number && bytes[start..end].iter().any(u8::is_ascii_digit) {
            true => Value::Number(start..end),
            false => Value::Word(start..end),
        },
    )
}

/// The end of what the bracket at `open` begins: behind its partner, or the text's end.
pub(super) fn bracket_end(bytes: &[u8], open: usize) -> usize {
    let (mut depth, mut at) = (0_usize, open);
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b'"' => at = string(bytes, at).end + backslashes(&bytes[..at]),
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// What is between the quote at `open` and its partner. In a string within a string both have backslashes before them,
/// and a quote with as many more as an escape puts there is not the partner.
fn string(bytes: &[u8], open: usize) -> Range<usize> {
    let level = backslashes(&bytes[..open]);
    let mut at = open + 1;
    let mut slashes = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => slashes += 1,
            b'"' if slashes >= level && (slashes - level).is_multiple_of(2 * (level + 1)) => {
                return open + 1..at - level;
            }
            _ => slashes = 0,
        }
        at += 1;
    }
    open + 1..bytes.len()
}

fn backslashes(bytes: &[u8]) -> usize {
    bytes.iter().rev().take_while(|byte| **byte == b'\\').count()
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':')
}

fn is_end(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b",;&)]}\"'<>\\*".contains(&byte)
}
