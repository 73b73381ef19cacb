//! The program's own log and panics, as who reads standard error sees them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, mpsc};

use dormouse_secrets::{
    CHAIN_MAX, LogForm, MASK, MaskKeys, OpenValues, Registrar, Secret, SecretName, error_chain, scrub_layer,
};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

/// Where the lines go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What is logged in `what`.
fn logged(values: &OpenValues, form: LogForm, what: impl FnOnce()) -> String {
    let lines = Lines::default();
    let layer = scrub_layer(values, form)
        .with_writer(lines.clone())
        .with_ansi(false);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), what);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn open(values: &OpenValues, name: &str, value: &str) {
    values.opened(
        &SecretName::parse(name).unwrap(),
        &Secret::new(value.as_bytes().to_vec()),
    );
}

#[derive(Debug, thiserror::Error)]
#[error("{said}")]
struct Said {
    said: &'static str,
    source: Option<Box<Said>>,
}

fn chain(said: &[&'static str]) -> Said {
    Said {
        said: said[0],
        source: (said.len() > 1).then(|| Box::new(chain(&said[1..]))),
    }
}

const VALUE: &str = "correct horse battery";

#[test]
fn no_field_no_message_and_no_span_has_an_open_value() {
    for form in [LogForm::Text, LogForm::Json] {
        let values = OpenValues::default();
        open(&values, "HORSE", VALUE);
        let error = chain(&["outer", "middle", VALUE]);
        let lines = logged(&values, form, || {
            let span = tracing::info_span!("span", early = VALUE, late = tracing::field::Empty);
            let _in = span.enter();
            span.record("late", format!("a {VALUE} b"));
            let reason: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(text = VALUE, debug = ?[VALUE], display = %VALUE, error = reason, "said {VALUE}");
        });
        assert_eq!(lines.matches("[redacted:HORSE]").count(), 7, "{lines}");
        assert!(!lines.contains("battery"), "{lines}");
        assert!(lines.contains("outer: middle: "), "{lines}");
    }
}

/// Arrays in arrays, so many.
fn nested(depth: usize) -> String {
    format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
}

/// SE-73
#[test]
fn what_stands_under_a_key_of_credentials_is_masked_with_all_that_is_below_it() {
    let values = OpenValues::default();
    let json = serde_json::json!({"a": {"token": [1, "x1", {"b": 2}]}, "input_tokens": 12, "token_count": 7});
    for form in [LogForm::Text, LogForm::Json] {
        let line = logged(&values, form, || {
            tracing::info!(token = 12345, api_key = ?vec!["q1", "q2"], authToken = %json, input_tokens = 12, token_count = 7);
        });
        for hidden in ["12345", "q1", "q2", "x1"] {
            assert!(!line.contains(hidden), "{hidden} in {line}");
        }
        assert_eq!(line.matches(MASK).count(), 3, "{line}");
        let shown = match form {
            LogForm::Text => ["input_tokens=12", "token_count=7"],
            LogForm::Json => [r#""input_tokens":12"#, r#""token_count":7"#],
        };
        assert!(shown.iter().all(|shown| line.contains(shown)), "{line}");
    }
    let keys = MaskKeys::and(["seat number"]);
    let deep = nested(50);
    let cases = [
        (
            json.to_string(),
            r#"{"a":{"token":"***"},"input_tokens":12,"token_count":7}"#.to_owned(),
        ),
        (
            format!("{json:#}"),
            "{\n  \"a\": {\n    \"token\": \"***\"\n  },\n  \"input_tokens\": 12,\n  \"token_count\": 7\n}"
                .to_owned(),
        ),
        (
            r#"{"token":12,"ok":3}"#.to_owned(),
            r#"{"token":"***","ok":3}"#.to_owned(),
        ),
        (
            r#"{"x":{"privateKey":{"d":["1",{"e":"}"}]}},"y":1}"#.to_owned(),
            r#"{"x":{"privateKey":"***"},"y":1}"#.to_owned(),
        ),
        (
            format!(r#"{{"token":{deep},"b":1}}"#),
            r#"{"token":"***","b":1}"#.to_owned(),
        ),
        (deep.clone(), format!("{}***{}", "[".repeat(32), "]".repeat(32))),
        (
            r#"{"said":"{\"password\":\"a\\\"b]\",\"c\":1}"}"#.to_owned(),
            r#"{"said":"{\"password\":\"***\",\"c\":1}"}"#.to_owned(),
        ),
        (
            r#"{"said":"{\"password\":[\"a]b\",2],\"c\":1}"}"#.to_owned(),
            r#"{"said":"{\"password\":\"***\",\"c\":1}"}"#.to_owned(),
        ),
        (
            r#"Login { user: "u", password: Some("p1"), cookie: Jar { a: 1 }, n: 2 }"#.to_owned(),
            r#"Login { user: "u", password: ***, cookie: ***, n: 2 }"#.to_owned(),
        ),
        (
            "https://h/p?access_token=abc&x=1".to_owned(),
            "https://h/p?access_token=***&x=1".to_owned(),
        ),
        (
            "token_budget=12 token_limit=x9 seat-number=4".to_owned(),
            "token_budget=12 token_limit=*** seat-number=***".to_owned(),
        ),
        (
            "x-api-key: k3y4abcdef, and Cookie: a=b; c=d\nnext".to_owned(),
            "x-api-key: ***, and Cookie: ***\nnext".to_owned(),
        ),
        (
            "bad token: expected a string; secret:GH_TOKEN is missing".to_owned(),
            "bad token: expected a string; secret:GH_TOKEN is missing".to_owned(),
        ),
        ("the bearer of this".to_owned(), "the bearer of this".to_owned()),
    ];
    for (text, masked) in cases {
        let is = keys.in_text(&text).unwrap_or_else(|| text.clone());
        assert_eq!(is, masked);
        assert_eq!(keys.in_text(&is), None, "twice is once: {is}");
    }
}

/// SE-74, with what a panic in the midst of a rebuild prints (`log::tests`).
#[test]
fn a_bearer_in_an_error_chain_is_masked_and_the_messages_are_kept() {
    let values = OpenValues::default();
    let error = chain(&[
        "the hook was not delivered",
        "401 for authorization: Bearer abcdefghijkl0123456789: connection reset",
        "after bearer zyxwvu9876543210zyxwvu",
        "end",
    ]);
    for form in [LogForm::Text, LogForm::Json] {
        let line = logged(&values, form, || {
            tracing::error!(cause = &error as &(dyn std::error::Error + 'static), "not sent");
        });
        for kept in [
            "the hook was not delivered",
            "401 for",
            "connection reset",
            "after bearer",
            ": end",
            "not sent",
        ] {
            assert!(line.contains(kept), "{kept} is not in {line}");
        }
        assert!(!line.contains("abcdefgh") && !line.contains("zyxwvu"), "{line}");
    }
    let long = chain(&[
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17",
    ]);
    assert!(
        error_chain(&long).ends_with(": 15"),
        "a chain is walked to {CHAIN_MAX}"
    );
}

/// SE-75
#[test]
fn a_value_that_another_thread_logs_as_soon_as_it_is_open_is_never_in_clear() {
    let values = OpenValues::default();
    let (send, receive) = mpsc::sync_channel::<String>(0);
    let writer = std::thread::spawn({
        let values = values.clone();
        move || {
            let mut clear = 0;
            for value in receive {
                clear +=
                    usize::from(values.clean(&format!("got {value}!")).as_str() != "got [redacted:NEW]!");
            }
            clear
        }
    });
    // In 10^5 times, 1,000 values: each is new, and in the rebuilds, when it is logged first.
    for number in 0..100_000_u32 {
        let value = format!("value-{:06}", number % 1_000);
        open(&values, "NEW", &value);
        send.send(value).unwrap();
    }
    drop(send);
    assert_eq!(writer.join().unwrap(), 0);
    assert_eq!(values.len(), 1_000);
}

#[tokio::test]
async fn a_rebuild_beside_the_runtime_loses_no_value_and_values_that_overlap_leave_nothing() {
    let values = OpenValues::default();
    let all: Vec<String> = (0..200)
        .map(|number| format!("{number:03}abcdefgh{number:03}"))
        .collect();
    for value in &all {
        open(&values, "KEY", value);
        assert!(!values.clean(&format!("<{value}>")).as_str().contains("abcdefgh"));
    }
    // One that is in a set, or will be, and one that is searched singly.
    open(&values, "LAST", "h199+tail");
    let clean = values.clean("199abcdefgh199+tail");
    assert!(
        clean.as_str().starts_with("[redacted:") && clean.as_str().ends_with(']'),
        "{clean}"
    );
    for value in &all {
        assert_eq!(values.clean(&format!("<{value}>")).as_str(), "<[redacted:KEY]>");
    }
}
