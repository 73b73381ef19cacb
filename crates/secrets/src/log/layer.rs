//! The layer of `tracing-subscriber` that the program logs through.

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, Layer, layer};
use tracing_subscriber::registry::LookupSpan;

use super::OpenValues;
use super::fields::{Fields, shown};

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogForm {
    /// For people: time, level, spans, target, message, fields.
    #[default]
    Text,
    /// One JSON object a line: `timestamp level target message fields spans`.
    Json,
}

/// The layer that [`scrub_layer`] makes: `with_writer`, `with_ansi` and the rest of
/// [`fmt::Layer`](tracing_subscriber::fmt::Layer) are there.
pub type ScrubLayer<S> = Layer<S, ScrubFormat, ScrubFormat>;

/// A layer that writes no value that is open in this process: of messages, fields and the fields of spans each text
/// passes `values` before it is formatted. Say with `with_writer` where to: without, it is standard output.
///
/// ```
/// use dormouse_secrets::{LogForm, OpenValues, install_panic_hook, PanicText, scrub_layer};
/// use tracing_subscriber::{EnvFilter, layer::SubscriberExt};
///
/// let values = OpenValues::default();
/// let log = tracing_subscriber::registry()
///     .with(EnvFilter::new("info"))
///     .with(scrub_layer(&values, LogForm::Text).with_writer(std::io::sink).with_ansi(false));
/// tracing::subscriber::with_default(log, || tracing::info!(token = "hunter2", "it is *** that is written"));
/// install_panic_hook(&values, |_thread| PanicText::Whole);
/// # let _ = std::panic::take_hook();
/// ```
pub fn scrub_layer<S>(values: &OpenValues, form: LogForm) -> ScrubLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let format = ScrubFormat {
        values: values.clone(),
        form,
    };
    layer().fmt_fields(format.clone()).event_format(format)
}

/// How [`scrub_layer`] formats events and fields.
#[derive(Clone, Debug)]
pub struct ScrubFormat {
    values: OpenValues,
    form: LogForm,
}

impl<'w> FormatFields<'w> for ScrubFormat {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let fields = Fields::of(&self.values, &fields);
        match self.form {
            LogForm::Text => writer.write_str(&fields.text()),
            LogForm::Json => writer.write_str(&Value::Object(fields.json()).to_string()),
        }
    }

    fn add_fields(
        &self,
        current: &'w mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        let more = Fields::of(&self.values, fields);
        match self.form {
            LogForm::Text => {
                let space = if current.fields.is_empty() { "" } else { " " };
                current.fields.push_str(space);
                current.fields.push_str(&more.text());
            }
            LogForm::Json => {
                let mut all = read(&current.fields);
                all.extend(more.json());
                current.fields = Value::Object(all).to_string();
            }
        }
        Ok(())
    }
}

impl<S> FormatEvent<S, ScrubFormat> for ScrubFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, ScrubFormat>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        match self.form {
            LogForm::Text => {
                let full: Format<Full> = Format::default();
                full.format_event(context, writer, event)
            }
            LogForm::Json => {
                let line = self.json(context, event)?;
                writeln!(writer, "{line}")
            }
        }
    }
}

impl ScrubFormat {
    fn json<S>(
        &self,
        context: &FmtContext<'_, S, ScrubFormat>,
        event: &Event<'_>,
    ) -> Result<Value, fmt::Error>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut fields = Fields::of(&self.values, event).json();
        let spans = context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root());
        let spans = spans.map(|span| {
            let extensions = span.extensions();
            let mut fields = extensions
                .get::<FormattedFields<ScrubFormat>>()
                .map(|fields| read(&fields.fields))
                .unwrap_or_default();
            fields.insert("name".to_owned(), json!(span.name()));
            Value::Object(fields)
        });
        Ok(json!({
            "timestamp": timestamp,
            "level": event.metadata().level().as_str(),
            "target": shown(&self.values, event.metadata().target()),
            "message": fields.remove("message").unwrap_or_default(),
            "spans": spans.collect::<Vec<_>>(),
            "fields": fields,
        }))
    }
}

fn read(fields: &str) -> Map<String, Value> {
    serde_json::from_str(fields).unwrap_or_default()
}
