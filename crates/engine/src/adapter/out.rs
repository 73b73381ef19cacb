//! What a parser says of one line.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::class;
use super::event::{Class, Limit, Reading, Role, Source, TurnEnd, TurnFinished, What};

/// Most bytes of the name of something unknown.
const NAME_MAX: usize = 64;

/// An event, before its place is known.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) parent: Option<String>,
    pub(super) evidence: Source,
    pub(super) raw_at: Option<Timestamp>,
    pub(super) what: What,
}

/// The events of one line.
#[derive(Debug)]
pub(super) struct Out<'a> {
    pub(super) now: Timestamp,
    pub(super) tz: &'a TimeZone,
    pub(super) parent: Option<String>,
    pub(super) raw_at: Option<Timestamp>,
    pub(super) said: Vec<Said>,
}

impl Out<'_> {
    pub(super) fn say(&mut self, what: What) {
        self.say_by(Source::Stream, what);
    }

    pub(super) fn say_by(&mut self, evidence: Source, what: What) {
        self.said.push(Said {
            parent: self.parent.clone(),
            evidence,
            raw_at: self.raw_at,
            what,
        });
    }

    pub(super) fn unknown(&mut self, name: &str) {
        let name = name.chars().take(NAME_MAX).collect();
        self.say(What::Unknown { name });
    }

    pub(super) fn warn(&mut self, code: &'static str, text: &str) {
        let text = text.to_owned();
        self.say(What::Warning { code, text });
    }

    pub(super) fn message(&mut self, id: &Value, role: Role, text: &str, delta: bool) {
        self.say(What::Message {
            id: id.as_str().map(str::to_owned),
            role,
            text: text.to_owned(),
            delta,
        });
    }

    pub(super) fn usage(&mut self, reading: Reading) {
        self.say(What::Usage(reading));
    }

    pub(super) fn finished(&mut self, how: TurnEnd, text: Option<&str>) {
        self.say(What::TurnFinished(TurnFinished {
            how,
            class: None,
            retry_at: None,
            text: text.map(str::to_owned),
        }));
    }

    pub(super) fn limited(&mut self, limit: Limit, text: Option<&str>) {
        self.finished(TurnEnd::Limit(limit), text);
    }

    /// A turn that failed: of this class, or of what its text says.
    pub(super) fn failed(&mut self, known: Option<Class>, text: &str) {
        let (class, evidence) = match known {
            Some(class) => (Some(class), Source::Stream),
            None => class::of_text(text),
        };
        let is_limit = class == Some(Class::RateLimited);
        let retry_at = is_limit.then(|| class::retry_at(text, self.now, self.tz));
        let how = if class == Some(Class::Refused) {
            TurnEnd::Refused
        } else {
            TurnEnd::Failed
        };
        self.say_by(
            evidence,
            What::TurnFinished(TurnFinished {
                how,
                class,
                retry_at,
                text: Some(text.to_owned()),
            }),
        );
    }
}

/// An instant in milliseconds since 1970.
pub(super) fn millis(value: &Value) -> Option<Timestamp> {
    Timestamp::from_millisecond(value.as_i64()?).ok()
}

/// An instant in seconds since 1970.
pub(super) fn seconds(value: &Value) -> Option<Timestamp> {
    Timestamp::from_second(value.as_i64()?).ok()
}

/// An instant as text.
pub(super) fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A count; absent is 0.
pub(super) fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// Dollars as millionths of one.
pub(super) fn micros(value: &Value) -> Option<u64> {
    let micros = value.as_f64()? * 1e6;
    // Amounts of money here are small and not negative; anything else is none.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked"
    )]
    (0.0..1e15).contains(&micros).then(|| micros.round() as u64)
}

/// A text, or the joined texts of content blocks.
pub(super) fn text_of(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| {
                block["text"]
                    .as_str()
                    .or_else(|| block["content"]["text"].as_str())
            });
            let joined = texts.collect::<Vec<_>>().join("\n");
            (!joined.is_empty()).then_some(joined)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}
