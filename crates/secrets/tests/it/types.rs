//! The types: what they print, and how they are read back.

use dormouse_secrets::{InvalidName, Redaction, Scrubbed, Scrubber, Secret, SecretName};

use crate::scrubber;

#[test]
fn nothing_prints_a_value() {
    let name = SecretName::parse("KEY").expect("a name");
    let redaction = Redaction::new(name, Secret::new(b"hunter2hunter2".to_vec())).expect("a value");
    assert_eq!(
        format!("{redaction:?}"),
        r#"Redaction { name: SecretName("KEY"), value: *** }"#
    );
    let scrubber = Scrubber::new(vec![redaction]).expect("one value");
    let mut stream = scrubber.stream();
    assert!(stream.push(b"hunter2hunter").is_empty());
    for text in [format!("{scrubber:?}"), format!("{stream:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn clean_text_prints_and_reads_back_as_a_plain_string() {
    let text = scrubber(&[("KEY", b"hunter2hunter2")]).scrub("a hunter2hunter2");
    let json = serde_json::to_string(&text).expect("a string");
    assert_eq!(json, r#""a [redacted:KEY]""#);
    assert_eq!(serde_json::from_str::<Scrubbed>(&json).expect("a string"), text);
    assert_eq!(format!("{text:>18}|"), "  a [redacted:KEY]|");
}

#[test]
fn the_empty_set_passes_everything() {
    let scrubber = Scrubber::empty();
    assert_eq!(scrubber.scrub("anything").as_str(), "anything");
    let mut stream = scrubber.stream();
    assert_eq!(stream.push(b"\xFFany").as_slice(), b"\xFFany");
    assert!(stream.finish().is_empty());
}

#[test]
fn a_name_is_in_capital_letters_and_nothing_is_folded() {
    let refused = |text: &str| SecretName::parse(text).expect_err("refused");
    assert_eq!(
        SecretName::parse("API_KEY_2").expect("a name").as_str(),
        "API_KEY_2"
    );
    assert_eq!(
        refused("api_key"),
        InvalidName::LowerCase {
            instead: "API_KEY".to_owned()
        }
    );
    for text in ["", "2FA", "_A", "A-B", "A B", "A/B", "A=B", "A\n", "Ä", "A\0"] {
        assert_eq!(refused(text), InvalidName::Form, "{text:?}");
    }
    assert_eq!(refused(&"A".repeat(129)), InvalidName::TooLong { length: 129 });
    assert!(serde_json::from_str::<SecretName>(r#""api""#).is_err());
}
