//! The parts of a value that are credentials by themselves: lines of a key file, the password of a URL,
//! values under credential keys.

use crate::log_keys;

/// A shorter line is not told from ordinary text.
const LINE_MIN: usize = 16;

/// More parts than this are not taken from one value.
const PARTS_MAX: usize = 1_024;

/// The parts of `value`, without `value` itself.
pub(super) fn of(value: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    lines(value, &mut parts);
    if let Ok(text) = std::str::from_utf8(value) {
        url_password(text, &mut parts);
        assignments(text, &mut parts);
        strings(text, &mut parts);
    }
    parts.retain(|part| part != value);
    parts.truncate(PARTS_MAX);
    parts
}

fn lines(value: &[u8], parts: &mut Vec<Vec<u8>>) {
    if !value.contains(&b'\n') {
        return;
    }
    for line in value.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.len() >= LINE_MIN && !line.starts_with(b"-----") {
            parts.push(line.to_vec());
        }
    }
}

/// The password of `scheme://user:password@host`, as written and decoded.
fn url_password(text: &str, parts: &mut Vec<Vec<u8>>) {
    for (start, _) in text.match_indices("://") {
        let authority = &text[start + 3..];
        let end = authority
            .find(|char: char| matches!(char, '/' | '?' | '#') || char.is_whitespace())
            .unwrap_or(authority.len());
        let Some((user, _host)) = authority[..end].rsplit_once('@') else {
            continue;
        };
        if let Some((_name, password)) = user.split_once(':') {
            parts.push(password.as_bytes().to_vec());
            parts.push(percent_decoded(password.as_bytes()));
        }
    }
}

/// `text` with its percent signs read.
pub(crate) fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).expect("two digits are at most 255"));
                at += 3;
            }
            (byte, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// `key=value` between `;`, `&`, `,`, space and line ends.
fn assignments(text: &str, parts: &mut Vec<Vec<u8>>) {
    for item in text.split([';', '&', ',', ' ', '\n', '\r', '\t', '?']) {
        if let Some((key, value)) = item.split_once('=')
            && log_keys::is_credential(key.trim_start_matches(['"', '\'']))
        {
            parts.push(value.trim_matches(['"', '\'']).as_bytes().to_vec());
        }
    }
}

/// `"key": "value"` of JSON, and the like with other quotes, whatever stands around it.
fn strings(text: &str, parts: &mut Vec<Vec<u8>>) {
    let mut key: Option<String> = None;
    let mut rest = text;
    while let Some(start) = rest.find('"') {
        let between = rest[..start].trim();
        let Some((string, behind)) = string(&rest[start..]) else {
            return;
        };
        match &key {
            Some(key) if between == ":" => {
                if log_keys::is_credential(key) {
                    lines(string.as_bytes(), parts);
                    parts.push(string.clone().into_bytes());
                }
            }
            Some(_) | None => {}
        }
        key = Some(string);
        rest = behind;
    }
}

/// The JSON string at the start of `text`, read, and what stands behind it.
fn string(text: &str) -> Option<(String, &str)> {
    let mut chars = text.char_indices().skip(1);
    let mut out = String::new();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                'b' => out.push('\u{8}'),
                'f' => out.push('\u{c}'),
                'u' => {
                    let digits: String = chars.by_ref().take(4).map(|(_, char)| char).collect();
                    let code = u32::from_str_radix(&digits, 16).ok()?;
                    out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                char => out.push(char),
            },
            char => out.push(char),
        }
    }
    None
}
