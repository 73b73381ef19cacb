//! The fields of an event or a span, each scrubbed before anything is made of it.

use std::error::Error;
use std::fmt::{self, Write};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;

use super::mask::{MASK, Under};
use super::{OpenValues, error_chain};

/// Fields that are clean, in the order in which they were recorded.
pub(super) struct Fields<'a> {
    values: &'a OpenValues,
    clean: Vec<(&'static str, Shown)>,
}

/// A field's value as it may be shown.
enum Shown {
    /// `***`, or a number or truth.
    Plain(Value),
    /// Text of the program, in quotes.
    Text(String),
    /// What `Debug` or `Display` printed.
    Printed(String),
}

impl<'a> Fields<'a> {
    pub(super) fn of(values: &'a OpenValues, fields: &impl RecordFields) -> Self {
        let mut clean = Fields {
            values,
            clean: Vec::new(),
        };
        fields.record(&mut clean);
        clean
    }

    /// The message, then `key=value`.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let (messages, others): (Vec<_>, Vec<_>) =
            self.clean.iter().partition(|(name, _)| *name == "message");
        for (name, value) in messages.into_iter().chain(others) {
            let space = if out.is_empty() { "" } else { " " };
            out.push_str(space);
            if *name != "message" {
                let _ = write!(out, "{name}=");
            }
            match value {
                Shown::Plain(Value::String(text)) => out.push_str(text),
                Shown::Plain(value) => {
                    let _ = write!(out, "{value}");
                }
                Shown::Text(text) if *name != "message" => {
                    let _ = write!(out, "{text:?}");
                }
                Shown::Text(text) | Shown::Printed(text) => push_printable(&mut out, text),
            }
        }
        out
    }

    pub(super) fn json(self) -> Map<String, Value> {
        let value = |value: Shown| match value {
            Shown::Plain(value) => value,
            Shown::Text(text) | Shown::Printed(text) => Value::String(text),
        };
        let fields = self.clean.into_iter();
        fields
            .map(|(name, shown)| (name.to_owned(), value(shown)))
            .collect()
    }

    /// Takes a text, unless its key says that there is a credential.
    fn take(&mut self, field: &Field, value: impl FnOnce(&OpenValues) -> Shown) {
        let value = match self.values.under(field.name()) {
            Under::Shown => value(self.values),
            Under::NumberShown | Under::Masked => Shown::Plain(json!(MASK)),
        };
        self.clean.push((field.name(), value));
    }

    /// Takes a number, unless its key says that it is a credential.
    fn number(&mut self, field: &Field, value: Value) {
        let value = match self.values.under(field.name()) {
            Under::Shown | Under::NumberShown => value,
            Under::Masked => json!(MASK),
        };
        self.clean.push((field.name(), Shown::Plain(value)));
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, json!(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.number(field, json!(value.to_string()));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.number(field, json!(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, json!(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, |values| Shown::Text(shown(values, value)));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.take(field, |values| {
            Shown::Text(shown(values, &String::from_utf8_lossy(value)))
        });
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.take(field, |values| Shown::Printed(shown(values, &error_chain(value))));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A number that is recorded as what it prints is a number still.
        let text = format!("{value:?}");
        match text.parse::<i64>() {
            Ok(number) => self.number(field, json!(number)),
            Err(_) => self.take(field, |values| Shown::Printed(shown(values, &text))),
        }
    }
}

/// The text as a log may have it.
pub(super) fn shown(values: &OpenValues, text: &str) -> String {
    values.clean(text).into_string()
}

/// Without what would make a terminal do something.
fn push_printable(out: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '\n' | '\t' => out.push(char),
            char if char.is_control() => out.extend(char.escape_unicode()),
            char => out.push(char),
        }
    }
}
