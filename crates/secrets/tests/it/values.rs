//! Which values are taken, and how long and binary ones are found.

use dormouse_secrets::{InvalidValue, Redaction, Scrubber, Secret, SecretName, SetFull};

use crate::scrubber;

fn redaction(value: &[u8]) -> Result<Redaction, InvalidValue> {
    Redaction::new(
        SecretName::parse("KEY").expect("a name"),
        Secret::new(value.to_vec()),
    )
}

#[test]
fn a_value_too_short_too_long_or_with_a_marker_is_refused() {
    let name = SecretName::parse("KEY").expect("a name");
    let refused = |value: &[u8]| redaction(value).expect_err("refused");
    assert_eq!(
        refused(b""),
        InvalidValue::TooShort {
            name: name.clone(),
            length: 0
        }
    );
    assert_eq!(
        refused(b"1234567"),
        InvalidValue::TooShort {
            name: name.clone(),
            length: 7
        }
    );
    assert_eq!(
        refused(&[b'x'; 32 * 1024 + 1]),
        InvalidValue::TooLong {
            name: name.clone(),
            length: 32 * 1024 + 1
        }
    );
    assert_eq!(
        refused(b"a [redacted:B] c"),
        InvalidValue::ContainsMarker { name }
    );
    assert!(redaction(b"12345678").is_ok());
}

#[test]
fn more_values_than_a_set_takes_are_refused() {
    let many = |count: u32| {
        (0..count).map(|index| redaction(format!("value-{index:04}").as_bytes()).expect("a value"))
    };
    assert_eq!(
        Scrubber::new(many(1_025).collect()).expect_err("refused"),
        SetFull { values: 1_025 }
    );
    assert!(Scrubber::new(many(1_024).collect()).is_ok());
}

/// SE-60
#[test]
fn split_characters_invalid_text_and_binary_values_pass_without_harm() {
    let binary: &[u8] = &[0xFF, 0, 1, 2, 3, 0x82, 0xAC, 0xFE, 0xE2];
    let scrubber = scrubber(&[("BIN", binary), ("KEY", b"hunter2hunter2")]);
    let text = [b"\xC3\xA9\xFF\xE2 ", binary, b" hunter2hunter2\x80\xC3"].concat();
    let expected = b"\xC3\xA9\xFF\xE2 [redacted:BIN] [redacted:KEY]\x80\xC3";
    for cut in 0..=text.len() {
        assert_eq!(
            crate::streamed(&scrubber, &[&text[..cut], &text[cut..]]),
            expected
        );
    }
    assert_eq!(
        scrubber.scrub_lossy(&text).as_str(),
        "é\u{FFFD}\u{FFFD} [redacted:BIN] [redacted:KEY]\u{FFFD}\u{FFFD}"
    );
}

#[test]
fn a_span_widens_to_whole_characters() {
    // The last byte of one euro sign to the first byte of another.
    let value = [&[0xAC][..], b"secrets", &[0xE2]].concat();
    let scrubber = scrubber(&[("KEY", &value)]);
    assert_eq!(scrubber.scrub("1€secrets€2").as_str(), "1[redacted:KEY]2");
}

#[test]
fn of_a_long_value_any_fragment_of_96_bytes_is_found_and_at_most_31_stay_at_its_edges() {
    let value: Vec<u8> = (0..10_240_u32)
        .flat_map(|index| format!("{index:x}").into_bytes())
        .take(10_240)
        .collect();
    let scrubber = scrubber(&[("LONG", &value)]);
    assert_eq!(scrubber.bytes(&value).as_slice(), b"[redacted:LONG]");
    for start in (0..10_240 - 96).step_by(7) {
        let clean = scrubber.bytes(&value[start..start + 96]).into_vec();
        let marker = b"[redacted:LONG]";
        let place = clean
            .windows(marker.len())
            .position(|window| window == marker)
            .expect("a marker");
        assert!(
            place <= 31 && clean.len() - place - marker.len() <= 31,
            "fragment at {start}"
        );
    }
}

#[test]
fn decoding_makes_no_value_that_stays() {
    let scrubber = scrubber(&[("KEY", "pass\u{FFFD}word".as_bytes())]);
    assert_eq!(scrubber.scrub_lossy(b"pass\xFFword").as_str(), "[redacted:KEY]");
}
