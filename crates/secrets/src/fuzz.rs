//! What is fuzzed: functions that read bytes of others, and what must be true of them for any.
//!
//! Each takes any input and panics when something is wrong. `cargo xtask fuzz` runs them under libFuzzer; the tests run
//! them over the inputs of `fuzz/corpus` and changed ones.

use std::collections::BTreeSet;

use crate::transfer::read_lines;
use crate::{
    Formats, LEGACY_LAYOUT_MAX, LEGACY_ROWS_MAX, Legacy, LegacyKey, MaskKeys, Redaction, Scrubber, Secret,
    SecretName, SecretRef, SecretScope,
};

/// One target.
pub type Target = fn(&[u8]);

/// All of them, by the names of their folders in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 6] = [
    ("chunkings", chunkings),
    ("detector", detector),
    ("imports", imports),
    ("keys", keys),
    ("legacy", legacy),
    ("masks", masks),
];

/// The most values that an input gives.
const VALUES_MAX: usize = 4;

/// Splits a length byte and as many bytes off.
fn part<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let Some((length, behind)) = rest.split_first() else {
        return &[];
    };
    let (part, behind) = behind.split_at(behind.len().min(usize::from(*length)));
    *rest = behind;
    part
}

/// Values, where to cut, and a text: every chunking is as the whole, and twice is once.
///
/// # Panics
/// When it is not.
pub fn chunkings(bytes: &[u8]) {
    let mut rest = bytes;
    let mut redactions = Vec::new();
    for number in 0..VALUES_MAX {
        let value = part(&mut rest);
        let name = SecretName::parse(&format!("KEY_{number}")).expect("a name");
        redactions.extend(Redaction::new(name, Secret::new(value.to_vec())).ok());
    }
    let cuts = part(&mut rest);
    let scrubber = Scrubber::new(redactions).expect("few values");
    alike(&scrubber, cuts, rest);
    alike(&scrubber.with_formats(Formats::Strict), cuts, rest);
}

/// Where to cut, and a text in which credentials nobody registered are sought.
///
/// # Panics
/// When a chunking is not as the whole, or twice not as once.
pub fn detector(bytes: &[u8]) {
    let mut rest = bytes;
    let cuts = part(&mut rest);
    alike(&Scrubber::empty().with_formats(Formats::Strict), cuts, rest);
    let counted = Scrubber::empty().with_formats(Formats::OwnOnly);
    assert_eq!(counted.bytes(rest).as_slice(), rest, "what is only counted stays");
}

fn alike(scrubber: &Scrubber, cuts: &[u8], text: &[u8]) {
    let whole = scrubber.bytes(text);
    let mut stream = scrubber.stream();
    let (mut out, mut left) = (Vec::new(), text);
    for cut in cuts {
        let (chunk, behind) = left.split_at(left.len().min(usize::from(*cut)));
        out.extend(stream.push(chunk).into_vec());
        left = behind;
    }
    out.extend(stream.push(left).into_vec());
    out.extend(stream.finish().into_vec());
    assert_eq!(out, whole.as_slice(), "a chunking is as the whole");
    assert_eq!(scrubber.bytes(whole.as_slice()), whole, "twice is once");
    let single = scrubber.stream();
    let single = text
        .chunks(1)
        .fold((single, Vec::new()), |(mut stream, mut out), byte| {
            out.extend(stream.push(byte).into_vec());
            (stream, out)
        });
    let (stream, mut out) = single;
    out.extend(stream.finish().into_vec());
    assert_eq!(out, whole.as_slice(), "byte by byte is as the whole");
}

/// A key of an older layout, and a reference as people write it: each says one thing.
///
/// # Panics
/// When what was understood is spelled in another way.
pub fn keys(bytes: &[u8]) {
    let spelled = match LegacyKey::read(bytes) {
        LegacyKey::Unscoped(name) => Some(name.to_string()),
        LegacyKey::Scoped(SecretRef {
            scope: SecretScope::InstanceShared,
            name,
        }) => Some(format!("s\0{name}")),
        LegacyKey::Scoped(SecretRef {
            scope: SecretScope::Agent(agent),
            name,
        }) => Some(format!("a\0{agent}\0{name}")),
        LegacyKey::Invalid | LegacyKey::UnknownTag => None,
    };
    if let Some(spelled) = spelled {
        assert_eq!(spelled.as_bytes(), bytes, "one key, one meaning");
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(at) = text.parse::<SecretRef>()
    {
        assert_eq!(at.to_string(), text, "one reference, one spelling");
    }
    let segments = String::from_utf8_lossy(bytes);
    let segments: Vec<&str> = segments.split('/').collect();
    if let Some(place) = <crate::Place as dormouse_filesystem::RecordId>::from_segments(&segments) {
        assert_eq!(place.to_string(), segments.join("/"), "one row, one key");
    }
}

/// A file with rows of an older layout that somebody wrote: what is read of it is within bounds.
///
/// # Panics
/// When it is not.
pub fn legacy(bytes: &[u8]) {
    let Ok(legacy) = Legacy::read(bytes) else { return };
    let keys: BTreeSet<&[u8]> = legacy.rows.iter().map(|row| &row.key[..]).collect();
    assert_eq!(keys.len(), legacy.rows.len(), "each key is there once");
    assert!(legacy.rows.len() <= LEGACY_ROWS_MAX, "rows are few");
    let is_known = legacy.layout <= LEGACY_LAYOUT_MAX;
    assert!(
        is_known || legacy.rows.is_empty(),
        "nobody knows what a newer one says"
    );
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    assert!(legacy.rows.len() <= lines, "a row is a line");
}

/// A text in which keys of credentials are sought, and which stands under one itself.
///
/// # Panics
/// When some of it is left, as a string of JSON or of JSON in a string.
pub fn masks(bytes: &[u8]) {
    let keys = MaskKeys::default();
    let text = String::from_utf8_lossy(bytes);
    let _ = keys.in_text(&text);
    let string = serde_json::Value::from(&*text).to_string();
    let object = format!("{{\"token\":{string},\"b\":1}}");
    let masked = |object: &str| keys.in_text(object).unwrap_or_else(|| object.to_owned());
    assert_eq!(
        masked(&object),
        "{\"token\":\"***\",\"b\":1}",
        "a string is masked whole"
    );
    let within = format!("{{\"said\":{}}}", serde_json::Value::from(&*object));
    assert_eq!(
        masked(&within),
        "{\"said\":\"{\\\"token\\\":\\\"***\\\",\\\"b\\\":1}\"}",
        "and in a string"
    );
}

/// The lines of an export that somebody sent.
///
/// # Panics
/// When what was believed is written in another way.
pub fn imports(bytes: &[u8]) {
    if let Some((first, second)) = read_lines(bytes) {
        assert!(first == second, "what is written is what was read");
    }
    // The tail of an export says its digest: no mutation gets by it. So one is made for the lines there are.
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let sealed = crate::transfer::with_tail(&lines);
    if let Some((first, second)) = read_lines(&sealed) {
        assert!(first == second, "what is written is what was read");
    }
}
