//! Names: what is parsed prints back, its stored form is its order, and nothing hostile is repeated.

use super::Input;
use crate::{InvalidName, Key, ORDERED_MAX, Prefix, SEGMENT_MAX, SEGMENTS_MAX, Segment, Stream};

/// Names and the order of names, of any bytes.
///
/// # Panics
/// When one of them is taken for what it is not.
pub fn keys(bytes: &[u8]) {
    let input = Input::new(bytes);
    let first = input.some();
    let second = input.rest();
    ordered(first, second);
    let (first, second) = (String::from_utf8_lossy(first), String::from_utf8_lossy(second));
    for text in [&*first, &*second] {
        segment(text);
        prefix(text);
        stored(text);
    }
    let keys = [&*first, &*second].map(key);
    if let [Some(first), Some(second)] = keys {
        pair(&first, &second);
    }
}

fn ordered(first: &[u8], second: &[u8]) {
    let (a, b) = (Segment::ordered(first), Segment::ordered(second));
    for made in [&a, &b] {
        assert_eq!(Segment::parse(made.as_str()).as_ref(), Ok(made), "it is legal");
    }
    assert_eq!(first == second, a == b, "distinct bytes are distinct names");
    if first.len() <= ORDERED_MAX && second.len() <= ORDERED_MAX {
        assert_eq!(first.cmp(second), a.cmp(&b), "the order is kept");
    }
}

fn segment(text: &str) {
    match Segment::parse(text) {
        Ok(segment) => {
            assert_eq!(segment.as_str(), text);
            assert!(!text.is_empty() && text.len() <= SEGMENT_MAX);
            assert!(!text.contains(['/', '!', '"', '\0']) && text != "." && text != "..");
        }
        Err(refused) => is_not_repeated(&refused),
    }
}

fn key(text: &str) -> Option<Key> {
    let key = match Key::parse(text) {
        Ok(key) => key,
        Err(refused) => {
            is_not_repeated(&refused);
            return None;
        }
    };
    assert_eq!(key.to_string(), text);
    assert_eq!(Key::from_stored(key.stored()).as_ref(), Ok(&key));
    assert!((1..=SEGMENTS_MAX).contains(&key.segments().count()));
    let segments: Vec<Segment> = key
        .segments()
        .map(|segment| Segment::parse(segment).expect("a key is made of segments"))
        .collect();
    assert_eq!(Key::from_segments(&segments).as_ref(), Ok(&key));
    assert!(key.parent().holds(&key));
    assert_eq!(Stream::new(key.clone()).to_string(), text);
    Some(key)
}

fn prefix(text: &str) {
    if let Ok(prefix) = Prefix::parse(text) {
        assert_eq!(prefix.to_string(), text);
        let segment = Segment::number(7);
        if let Ok(key) = prefix.key([&segment]) {
            assert!(prefix.holds(&key));
            assert_eq!(key.parent(), prefix);
        }
    }
}

fn stored(text: &str) {
    if let Ok(key) = Key::from_stored(text) {
        assert_eq!(key.stored(), text);
        assert_eq!(Key::parse(&key.to_string()).as_ref(), Ok(&key));
    }
}

/// The order of keys is the order of their segments and of their stored bytes; a prefix is a range of those.
fn pair(first: &Key, second: &Key) {
    let by_segment = first.segments().cmp(second.segments());
    assert_eq!(first.cmp(second), by_segment);
    assert_eq!(
        first.stored().as_bytes().cmp(second.stored().as_bytes()),
        by_segment
    );
    let above = second.parent();
    let (start, end) = above.range();
    let is_in_range = first.stored() >= start.as_str() && end.is_none_or(|end| first.stored() < end.as_str());
    assert_eq!(above.holds(first), is_in_range);
    let mut segments = first.segments();
    let is_below =
        above.segments().all(|segment| segments.next() == Some(segment)) && segments.next().is_some();
    assert_eq!(above.holds(first), is_below);
}

/// Whatever was refused, what is said is one of five sentences.
fn is_not_repeated(refused: &InvalidName) {
    let sentences = [
        InvalidName::Empty,
        InvalidName::Byte,
        InvalidName::SegmentTooLong,
        InvalidName::TooDeep,
        InvalidName::KeyTooLong,
    ];
    assert!(
        sentences
            .iter()
            .any(|sentence| sentence.to_string() == refused.to_string())
    );
}
