//! Text in events, made fit to be told: without credentials, and without controls that a terminal would obey.
//!
//! It is done where an event is written and again where it is read, since an older build may have written it.

use dormouse_secrets::Scrubber;
use serde_json::{Map, Value};

/// Cleans every text in the data of an event.
pub(crate) fn clean(data: &mut Map<String, Value>, scrubber: &Scrubber) {
    data.values_mut().for_each(|value| clean_value(value, scrubber));
}

fn clean_value(value: &mut Value, scrubber: &Scrubber) {
    match value {
        Value::String(text) => {
            if let Some(clean) = clean_text(text, scrubber) {
                *text = clean;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| clean_value(value, scrubber)),
        Value::Object(fields) => clean(fields, scrubber),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// None where it is clean as it is.
fn clean_text(text: &str, scrubber: &Scrubber) -> Option<String> {
    if text.len() <= WORD_MAX && text.bytes().all(is_of_word) {
        return None;
    }
    let scrubbed = scrubber.scrub(text).into_string();
    if !scrubbed.chars().any(is_obeyed) {
        return (scrubbed != text).then_some(scrubbed);
    }
    // What a terminal would obey goes first: a credential may be hidden between two of them.
    let harmless: String = text
        .chars()
        .map(|c| if is_obeyed(c) { SHOWN } else { c })
        .collect();
    let joined: String = text.chars().filter(|c| !is_obeyed(*c)).collect();
    let without = scrubber.scrub(&joined);
    let is_hiding = without.as_str() != joined;
    Some(if is_hiding {
        without.into_string()
    } else {
        scrubber.scrub(&harmless).into_string()
    })
}

/// Longest text that can be no credential: a word of ours.
const WORD_MAX: usize = 16;
/// What stands for a control.
const SHOWN: char = char::REPLACEMENT_CHARACTER;

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-' | b'.')
}

/// A control but line feed and tab.
fn is_obeyed(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use dormouse_secrets::Formats;

    use super::*;

    fn cleaned(text: &str) -> String {
        let scrubber = Scrubber::empty().with_formats(Formats::Strict);
        let mut data = Map::new();
        data.insert("deep".to_owned(), serde_json::json!([{ "message": text }]));
        clean(&mut data, &scrubber);
        data["deep"][0]["message"].as_str().expect("a text").to_owned()
    }

    fn token() -> String {
        format!("ghp_{}", "a1B2".repeat(9))
    }

    #[test]
    fn what_is_clean_stays_as_it_is() {
        for text in [
            "",
            "fenced",
            "exit code 3\n\tsee the log",
            "grüße",
            "tsk_0198c0de7f3a7c11a2b3c4d5e6f70819",
        ] {
            assert_eq!(cleaned(text), text);
        }
    }

    #[test]
    fn a_control_is_shown_and_not_sent() {
        assert_eq!(cleaned("\u{1b}[2Jgone\u{7}"), "\u{fffd}[2Jgone\u{fffd}");
        assert_eq!(cleaned("a\u{9b}31mb"), "a\u{fffd}31mb");
    }

    #[test]
    fn a_credential_goes_also_with_controls_in_between() {
        let token = token();
        assert!(!cleaned(&format!("refused: {token}")).contains(&token));
        let (first, rest) = token.split_at(12);
        let hidden = cleaned(&format!("refused: {first}\u{0}{rest}"));
        assert!(!hidden.contains(rest), "{hidden}");
    }
}
