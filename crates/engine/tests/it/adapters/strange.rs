//! What no adapter knows: counted, and nothing fails.

use dormouse_engine::adapter::{Options, Provider, Stream, What};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{fixtures, lines, now, play, provider, whats};

/// A value as a provider would not write it.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!([{"type": "hologram"}, null, 3])),
        Just(json!({"type": "hologram", "kind": {"x": {}}})),
    ]
}

/// Changes one value anywhere in a line, chosen by `at`.
fn change(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| change(item, at, with)),
        Value::Object(fields) => fields.iter_mut().for_each(|(_, field)| change(field, at, with)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// WK-36: unknown types, fields and statuses, messages in parts and in another order are read without failing.
    #[test]
    fn nothing_that_is_strange_fails(
        name in prop::sample::select(fixtures()),
        changes in prop::collection::vec((0usize..40, 0usize..60, odd()), 1..6),
        swap in (0usize..40, 0usize..40),
        cut in 0usize..4000,
    ) {
        let mut lines = lines(&name);
        let count = lines.len();
        for (line, at, with) in changes {
            let line = &mut lines[line % count];
            let mut value: Value = serde_json::from_str(line).unwrap();
            change(&mut value, &mut at.clone(), &with);
            *line = value.to_string();
        }
        lines.swap(swap.0 % count, swap.1 % count);
        let last = &mut lines[count - 1];
        let end = (0..=cut.min(last.len())).rev().find(|at| last.is_char_boundary(*at)).unwrap();
        last.truncate(end);
        let played = play(provider(&name), &lines, Some(0));
        // Whatever came, calls begin before they end, end once, and the end of the stream is the last event.
        let mut open = Vec::new();
        for what in whats(&played.events) {
            match what {
                What::ToolStarted { id, .. } => {
                    prop_assert!(!open.contains(id));
                    open.push(id.clone());
                }
                What::ToolFinished { id, .. } => {
                    prop_assert!(open.contains(id));
                    open.retain(|other| other != id);
                }
                _ => {}
            }
        }
        prop_assert!(open.is_empty());
        let is_end = matches!(played.events.last().map(|seen| &seen.what), Some(What::StreamEnded { .. }));
        prop_assert!(is_end);
        let seqs: Vec<_> = played.events.iter().map(|seen| seen.seq).collect();
        prop_assert_eq!(seqs, (1..=played.events.len() as u64).collect::<Vec<_>>());
    }
}

/// WK-36: what is not known is counted by every adapter, and both shapes of what is known are read.
#[test]
fn what_is_not_known_is_counted() {
    for provider in Provider::ALL {
        let mut stream = Stream::new(provider, Options::default());
        let lines = [
            r#"{"type":"hologram","method":"hologram"}"#,
            "a banner",
            "[1]",
            "\u{0}\u{fffd}",
            "",
            r#"{"type":7,"method":"x/y"}"#,
        ];
        for line in lines {
            stream.line(now(), line.as_bytes());
        }
        stream.line(now(), b"\xff\xfe{");
        assert_eq!(stream.unknown(), 2, "{provider:?}");
    }
    let late = [
        r#"{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"early"}]}}"#.to_owned(),
        r#"{"type":"system","subtype":"init","session_id":"s"}"#.to_owned(),
        r#"{"type":"system","subtype":"init","session_id":"s"}"#.to_owned(),
        r#"{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"late"}]}}"#.to_owned(),
    ];
    let played = play(Provider::Claude, &late, Some(0));
    let count = |kind: fn(&What) -> bool| {
        whats(&played.events)
            .into_iter()
            .filter(|what| kind(what))
            .count()
    };
    assert_eq!(count(|what| matches!(what, What::Bound { .. })), 1);
    assert_eq!(count(|what| matches!(what, What::TurnStarted)), 1);
    assert_eq!(count(|what| matches!(what, What::Message { .. })), 2);
    assert_eq!(played.stream.text(), Some("late"));
}
