//! Credentials inside of base64 and percent encoding.

use std::ops::Range;

/// The characters of base64 that lie wholly inside `literal`, for each alignment; the two alphabets agree on what
/// literals are made of.
pub(super) fn base64(literal: &[u8]) -> Vec<Vec<u8>> {
    crate::scrub::base64_inside(literal)
}

/// `literal` with percent signs, in either case of digits, if that is another spelling.
pub(super) fn percent(literal: &[u8]) -> Vec<Vec<u8>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if literal.iter().all(|byte| is_plain(*byte)) {
        return Vec::new();
    }
    let spelled = |spell: fn(u8) -> String| -> Vec<u8> {
        let parts = literal.iter().map(|byte| {
            if is_plain(*byte) {
                char::from(*byte).to_string()
            } else {
                spell(*byte)
            }
        });
        parts.collect::<String>().into_bytes()
    };
    vec![
        spelled(|byte| format!("%{byte:02X}")),
        spelled(|byte| format!("%{byte:02x}")),
    ]
}

/// The run of base64 around `at`, within `run`.
pub(super) fn base64_run(text: &[u8], at: usize, run: &Range<usize>) -> Range<usize> {
    let is_base64 = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(**byte, b'+' | b'/' | b'-' | b'_');
    let start = at - text[run.start..at].iter().rev().take_while(is_base64).count();
    let mut end = at + text[at..run.end].iter().take_while(is_base64).count();
    end += text[end..run.end]
        .iter()
        .take_while(|byte| **byte == b'=')
        .take(2)
        .count();
    start..end
}

/// `text` read as base64, with the first character at each of four places of a group.
pub(super) fn base64_decoded(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..4).map(move |skipped| {
        let mut out = Vec::with_capacity(text.len());
        let (mut bits, mut count) = (0_u32, 0);
        for byte in text.iter().skip(skipped) {
            let Some(sextet) = sextet(*byte) else { break };
            bits = bits << 6 | sextet;
            count += 6;
            if count >= 8 {
                count -= 8;
                out.push((bits >> count & 0xFF) as u8);
            }
        }
        out
    })
}

fn sextet(byte: u8) -> Option<u32> {
    let sextet = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(sextet))
}

/// `text` with its percent signs read.
pub(super) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    crate::scrub::percent_decoded(text)
}
