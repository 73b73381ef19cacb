//! Finding keys and what stands under them in text of any kind, in one pass.

use super::mask::{LOG_DEPTH, MASK, MaskKeys, Under};
use super::values::{self, Value};

/// A longer key is none.
const KEY_MAX: usize = 128;

/// More space than this between a key and what belongs to it is none.
const SPACE_MAX: usize = 8;

/// Of what may be masked behind a word such as Bearer, so many bytes at least are no word of a sentence.
const LONG: usize = 20;

/// A key, as it stands in the text.
struct Key<'a> {
    name: &'a str,
    /// The word before it, if it has no quotes.
    before: Option<&'a str>,
    /// The bytes of its quote: `"`, or `\"` in a string.
    quote: &'a str,
}

/// The text with `***` for all that is to be masked; `None` if nothing is.
pub(super) fn masked(text: &str, keys: &MaskKeys) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut copied, mut depth, mut at) = (0, 0_usize, 0);
    while at < bytes.len() {
        let found = match bytes[at] {
            b'{' | b'[' | b'(' => {
                depth += 1;
                (depth > LOG_DEPTH).then(|| {
                    depth -= 1;
                    (at..values::bracket_end(bytes, at), MASK.to_owned())
                })
            }
            b'}' | b']' | b')' => {
                depth = depth.saturating_sub(1);
                None
            }
            b':' | b'=' => under_key(text, at, keys),
            b' ' => behind_scheme(text, at).map(|place| (place, MASK.to_owned())),
            _ => None,
        };
        at = match found {
            None => at + 1,
            Some((place, mask)) => {
                out.push_str(&text[copied..place.start]);
                out.push_str(&mask);
                copied = place.end;
                place.end.max(at + 1)
            }
        };
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&text[copied..]);
    Some(out)
}

type Place = std::ops::Range<usize>;

/// What stands under the key before the separator at `at`, if that is to be masked, and what stands there then.
fn under_key(text: &str, at: usize, keys: &MaskKeys) -> Option<(Place, String)> {
    let key = key_before(text, at)?;
    let under = key.under(keys);
    if under == Under::Shown {
        return None;
    }
    let start = at + 1 + spaces(&text.as_bytes()[at + 1..]);
    let is_close = start == at + 1;
    match values::at(text, start)? {
        Value::String(place) => (text[place.clone()] != *MASK).then(|| (place, MASK.to_owned())),
        Value::Number(_) if under == Under::NumberShown => None,
        Value::Number(place) | Value::Tree(place) => {
            // JSON stays JSON.
            Some((place, format!("{0}{MASK}{0}", key.quote)))
        }
        Value::Word(place) => {
            let place = match key.is("authorization") {
                true => with_scheme(text, place),
                false => place,
            };
            let word = &text[place.clone()];
            if key.is("cookie") && text.as_bytes()[at] == b':' {
                let rest = text[place.start..].find(['\n', '"']);
                let end = rest.map_or(text.len(), |rest| place.start + rest);
                return Some((place.start..end, MASK.to_owned()));
            }
            let is_value = !key.quote.is_empty() || (text.as_bytes()[at] == b'=' && is_close);
            let is_reference = key.name == "secret" && is_name(word);
            let is_masked = is_value || (!is_reference && is_telling(word));
            is_masked.then(|| (place, format!("{0}{MASK}{0}", key.quote)))
        }
    }
}

impl Key<'_> {
    fn under(&self, keys: &MaskKeys) -> Under {
        match (keys.under(self.name), self.before) {
            (Under::Shown, Some(before)) if keys.under(before) == Under::Shown => {
                keys.under(&format!("{before} {}", self.name))
            }
            (Under::Masked, Some(_)) | (_, None) | (Under::Shown, Some(_)) => keys.under(self.name),
            (Under::NumberShown, Some(_)) => Under::NumberShown,
        }
    }

    fn is(&self, word: &str) -> bool {
        let last = self.name.rsplit(['-', '_', '.']).next();
        last.is_some_and(|last| last.eq_ignore_ascii_case(word))
    }
}

fn key_before(text: &str, at: usize) -> Option<Key<'_>> {
    let bytes = text.as_bytes();
    let end = at
        - bytes[..at]
            .iter()
            .rev()
            .take(SPACE_MAX)
            .take_while(|byte| **byte == b' ')
            .count();
    if bytes[..end].last() == Some(&b'"') {
        let slashes = backslashes(&bytes[..end - 1]);
        let close = end - 1 - slashes;
        let floor = close.saturating_sub(KEY_MAX);
        let open = floor + bytes[floor..close].iter().rposition(|byte| *byte == b'"')?;
        return Some(Key {
            name: &text[open + 1..close],
            before: None,
            quote: &text[close..end],
        });
    }
    let start = word_start(bytes, end);
    let name = (start < end).then(|| &text[start..end])?;
    let before = (start > 0 && bytes[start - 1] == b' ').then(|| {
        let first = word_start(bytes, start - 1);
        &text[first..start - 1]
    });
    Some(Key {
        name,
        before: before.filter(|before| !before.is_empty()),
        quote: "",
    })
}

fn word_start(bytes: &[u8], end: usize) -> usize {
    let is_word = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(**byte, b'_' | b'-' | b'.');
    end - bytes[..end]
        .iter()
        .rev()
        .take(KEY_MAX)
        .take_while(is_word)
        .count()
}

fn backslashes(bytes: &[u8]) -> usize {
    bytes.iter().rev().take_while(|byte| **byte == b'\\').count()
}

fn spaces(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take(SPACE_MAX)
        .take_while(|byte| **byte == b' ')
        .count()
}

/// `Bearer abc` and the like, where no key stands before.
fn behind_scheme(text: &str, space: usize) -> Option<Place> {
    let is_scheme = |scheme: &str| {
        let start = space.checked_sub(scheme.len());
        start
            .and_then(|start| text.get(start..space))
            .is_some_and(|word| word.eq_ignore_ascii_case(scheme))
    };
    if !is_scheme("bearer") && !is_scheme("basic") {
        return None;
    }
    let Value::Word(place) = values::at(text, space + 1)? else {
        return None;
    };
    let word = &text[place.clone()];
    (is_telling(word) || word.len() >= LONG).then_some(place)
}

/// The word, and if it is the name of a scheme the one behind it.
fn with_scheme(text: &str, word: Place) -> Place {
    let is_scheme = ["basic", "bearer", "digest", "negotiate", "token"]
        .iter()
        .any(|scheme| text[word.clone()].eq_ignore_ascii_case(scheme));
    if is_scheme
        && text.as_bytes().get(word.end) == Some(&b' ')
        && let Some(Value::Word(next) | Value::Number(next)) = values::at(text, word.end + 1)
    {
        return next;
    }
    word
}

/// Whether this is no word of a sentence.
fn is_telling(word: &str) -> bool {
    let has = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
    let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && word.len() >= LONG - 4;
    word.len() >= 6 && (has(u8::is_ascii_digit) || is_mixed || word.len() > LONG + 12)
}

/// Whether this may be the name of a secret, in a reference to it.
fn is_name(word: &str) -> bool {
    let is_upper = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    word.bytes().all(is_upper)
}
