//! Any chunking gives what the whole gives.

use proptest::{collection::vec, prelude::*};

use crate::{scrubber, streamed};

/// Checks that every way to cut `text` in up to three, and in single bytes, gives `expected`.
fn check(values: &[(&str, &[u8])], text: &[u8], expected: &[u8]) {
    let scrubber = scrubber(values);
    let bytes: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(streamed(&scrubber, &bytes), expected, "byte by byte");
    for first in 0..=text.len() {
        for second in first..=text.len() {
            let chunks = [&text[..first], &text[first..second], &text[second..]];
            assert_eq!(
                streamed(&scrubber, &chunks),
                expected,
                "cut at {first} and {second}"
            );
        }
    }
}

/// SE-55
#[test]
fn of_a_value_that_begins_another_neither_is_left_however_the_text_is_cut() {
    let scrubber = scrubber(&[("SHORT", b"abcdefgh"), ("LONG", b"abcdefghijkl")]);
    for (text, expected) in [
        ("x abcdefgh y", "x [redacted:SHORT] y"),
        ("abcdefghijkl", "[redacted:LONG]"),
        ("x abcdefghijk", "x [redacted:SHORT]ijk"),
    ] {
        // Each bit says whether the text is cut behind that byte.
        for cuts in 0_u32..1 << (text.len() - 1) {
            let mut chunks = vec![Vec::new()];
            for (index, byte) in text.bytes().enumerate() {
                chunks.last_mut().expect("there is one").push(byte);
                if cuts >> index & 1 == 1 {
                    chunks.push(Vec::new());
                }
            }
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            assert_eq!(streamed(&scrubber, &chunks), expected.as_bytes(), "cuts {cuts:b}");
        }
    }
}

/// SE-56
#[test]
fn of_two_values_that_overlap_no_letter_is_left() {
    let values: &[(&str, &[u8])] = &[("A", b"abcdefgh"), ("B", b"efghijkl")];
    check(values, b"abcdefghijkl", b"[redacted:A]");
    check(values, b"-abcdefghijkl-", b"-[redacted:A]-");
}

#[test]
fn overlapping_and_touching_values_become_one_marker_named_after_the_first() {
    let values: &[(&str, &[u8])] = &[("A", b"abcdefgh"), ("B", b"defghijk"), ("C", b"zzzzzzzz")];
    check(values, b"-abcdefghijk-", b"-[redacted:A]-");
    check(values, b"-defghijkzzzzzzzz-", b"-[redacted:B]-");
    check(values, b"-zzzzzzzzzz-", b"-[redacted:C]-");
}

#[test]
fn a_value_inside_a_longer_one_bears_the_name_of_the_longer() {
    let values: &[(&str, &[u8])] = &[("INNER", b"cdefghij"), ("OUTER", b"abcdefghijkl")];
    check(
        values,
        b"abcdefghijkl cdefghij",
        b"[redacted:OUTER] [redacted:INNER]",
    );
}

#[test]
fn a_stream_holds_back_no_more_than_may_still_become_a_value() {
    let scrubber = scrubber(&[("KEY", b"hunter2hunter2")]);
    let mut stream = scrubber.stream();
    assert_eq!(stream.push(b"plain words ").as_slice(), b"plain words ");
    assert_eq!(stream.push(b"hunter2hunter").as_slice(), b"");
    assert_eq!(stream.push(b"1 ").as_slice(), b"hunter2hunter1 ");
    assert_eq!(stream.held_len(), 0);
}

#[test]
fn an_endless_run_of_values_is_held_back_within_bounds() {
    let scrubber = scrubber(&[("KEY", b"aaaaaaaa")]);
    let mut stream = scrubber.stream();
    let mut out = Vec::new();
    for _ in 0..20_000 {
        out.extend(stream.push(b"a").into_vec());
        assert!(stream.held_len() <= 8 * 1024);
    }
    out.extend(stream.finish().into_vec());
    assert_eq!(out, b"[redacted:KEY]");
}

/// Values and texts over a small alphabet meet, overlap and touch all the time.
fn small() -> impl Strategy<Value = Vec<u8>> {
    let letter = prop_oneof![
        8 => Just(b"a".to_vec()),
        8 => Just(b"b".to_vec()),
        2 => Just("é".as_bytes().to_vec()),
        1 => Just(vec![0xC3]),
        1 => Just(vec![0xA9]),
        1 => Just(b"[redacted:A]".to_vec()),
        1 => Just(b"]".to_vec()),
    ];
    vec(letter, 0..60).prop_map(|letters| letters.concat())
}

fn values() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let value = small().prop_filter("long enough, no marker", |value| {
        value.len() >= 8 && !value.windows(10).any(|window| window == b"[redacted:")
    });
    let long = (300_usize..700).prop_map(|length| b"ab".iter().copied().cycle().take(length).collect());
    vec(prop_oneof![20 => value, 1 => long], 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_chunking_equals_the_whole(
        values in values(), texts in vec(small(), 0..6), picks in vec(0_usize..4, 0..6), cuts in vec(1_usize..40, 0..60),
    ) {
        let scrubber = named(&values);
        let text = mixed(&texts, &picks, &values);
        let whole = scrubber.bytes(&text);
        let mut rest = text.as_slice();
        let mut chunks = Vec::new();
        for cut in cuts {
            let (chunk, behind) = rest.split_at(cut.min(rest.len()));
            chunks.push(chunk);
            rest = behind;
        }
        chunks.push(rest);
        prop_assert_eq!(streamed(&scrubber, &chunks), whole.as_slice());
        prop_assert_eq!(scrubber.bytes(whole.as_slice()), whole, "twice is once");
    }

    #[test]
    fn no_value_is_left_outside_of_markers(
        values in values(), texts in vec(small(), 0..6), picks in vec(0_usize..4, 0..6),
    ) {
        let text = mixed(&texts, &picks, &values);
        let clean = named(&values).bytes(&text).into_vec();
        for part in outside_markers(&clean) {
            for value in values.iter().filter(|value| value.len() <= 256) {
                prop_assert!(!part.windows(value.len()).any(|window| window == value.as_slice()));
            }
        }
    }

    #[test]
    fn valid_text_stays_valid(values in values(), text in "[abé€😀]{0,80}") {
        let clean = named(&values).scrub(&text);
        prop_assert!(clean.len() <= text.len() * 4);
    }
}

fn named(values: &[Vec<u8>]) -> dormouse_secrets::Scrubber {
    let names = ["A", "B", "C", "D"];
    let pairs: Vec<(&str, &[u8])> = names.into_iter().zip(values.iter().map(Vec::as_slice)).collect();
    scrubber(&pairs)
}

/// Texts with values strewn between them.
fn mixed(texts: &[Vec<u8>], picks: &[usize], values: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        out.extend_from_slice(text);
        if let Some(value) = picks.get(index).and_then(|pick| values.get(*pick)) {
            out.extend_from_slice(value);
        }
    }
    out
}

/// The parts between the markers of the four names.
fn outside_markers(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        let marker = [b"[redacted:A]", b"[redacted:B]", b"[redacted:C]", b"[redacted:D]"]
            .into_iter()
            .find(|marker| rest.starts_with(*marker));
        match marker {
            Some(marker) => {
                parts.push(Vec::new());
                rest = &rest[marker.len()..];
            }
            None => {
                parts.last_mut().expect("there is one").push(*first);
                rest = behind;
            }
        }
    }
    parts
}
