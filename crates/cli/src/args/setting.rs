//! What can be set of an agent: by `agent set`, by `agent add`, in a configuration file.

use dormouse_engine::AgentName;
use dormouse_engine::agent::AgentMode;
use dormouse_engine::limits::AGENT_CONCURRENCY_MAX;
use dormouse_engine::name::InvalidName;
use serde::Serialize;
use serde_json::{Value, json};

use super::spec::milliseconds;
use super::value::{MaybeOff, clock, grace, known, secret};
use crate::api::FormatsView;

/// One thing that is set of an agent: a field of the API's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSetting {
    /// The field.
    pub field: &'static str,
    /// What it is to be.
    pub value: Value,
}

/// What a key's text means, or what is wrong with it.
type AgentValue = fn(&str) -> Result<Value, String>;

/// What can be set of an agent: its key, the field of the API's body, and what is taken.
const AGENT_KEYS: &[(&str, &str, AgentValue)] = &[
    ("concurrency", "concurrency", concurrency),
    ("delegates_to", "delegates_to", |text| names(text, agent_name)),
    ("secrets", "secrets", |text| names(text, secret)),
    ("scrub.formats", "scrub_formats", formats),
    ("effects", "effects", effects),
    ("mode", "mode", mode),
    ("wall_clock", "wall_clock_ms", |text| {
        set("wall_clock", text, clock, |time| json!(milliseconds(time)))
    }),
    ("idle_timeout", "idle_timeout_ms", |text| {
        set("idle_timeout", text, maybe_off, timer)
    }),
    ("stall_after", "stall_after_ms", |text| {
        set("stall_after", text, maybe_off, timer)
    }),
    ("grace", "grace_ms", |text| {
        set("grace", text, grace, |time| json!(milliseconds(time)))
    }),
];

/// What is set, as the API takes it; of an empty text nothing is.
fn set<T>(
    key: &str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
    value: impl FnOnce(T) -> Value,
) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    parse(text).map(value).map_err(|why| format!("{key}: {why}"))
}

fn maybe_off(text: &str) -> Result<MaybeOff, String> {
    text.parse()
}

fn timer(timer: MaybeOff) -> Value {
    match timer {
        MaybeOff::Off => json!("off"),
        MaybeOff::After(time) => json!(milliseconds(time)),
    }
}

fn effects(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    known(text, &["opaque", "repeatable", "resumable"]).map(Value::String)
}

fn mode(text: &str) -> Result<Value, String> {
    known(text, &AgentMode::ALL.map(AgentMode::word)).map(Value::String)
}

fn concurrency(text: &str) -> Result<Value, String> {
    match text.parse::<u32>() {
        Ok(1..=AGENT_CONCURRENCY_MAX) => Ok(json!(text.parse::<u32>().expect("it was parsed"))),
        _ => Err(format!("concurrency is a number, 1 to {AGENT_CONCURRENCY_MAX}")),
    }
}

/// Names with commas between them; none of an empty text.
fn names<T: Serialize>(text: &str, name: impl Fn(&str) -> Result<T, String>) -> Result<Value, String> {
    let found = text.split(',').filter(|text| !text.is_empty()).map(name);
    Ok(json!(found.collect::<Result<Vec<T>, _>>()?))
}

fn agent_name(text: &str) -> Result<AgentName, String> {
    text.parse().map_err(|error: InvalidName| error.to_string())
}

fn formats(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    let word = known(text, &["strict", "own_only", "off"])?;
    Ok(json!(FormatsView::of_word(&word)))
}

/// `KEY=VALUE` of an agent.
pub(super) fn agent_setting(text: &str) -> Result<AgentSetting, String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is taken")?;
    let (field, parse) = found(key)?;
    let value = parse(value)?;
    Ok(AgentSetting { field, value })
}

/// What a key of an agent is to be, as a file says it.
///
/// # Errors
/// What is wrong with the key, with the nearest; or with the value, which the caller shows.
pub(crate) fn agent_value(key: &str, text: &str) -> Result<AgentSetting, String> {
    let (field, parse) = found(key).map_err(|why| format!("nothing that is set of an agent; {why}"))?;
    let value = parse(text).map_err(|why| format!("{text:?} is not taken: {why}"))?;
    Ok(AgentSetting { field, value })
}

fn found(key: &str) -> Result<(&'static str, AgentValue), String> {
    let keys: Vec<&str> = AGENT_KEYS.iter().map(|(key, ..)| *key).collect();
    let key = known(key, &keys)?;
    let (_, field, parse) = AGENT_KEYS
        .iter()
        .find(|(known, ..)| *known == key)
        .expect("it is one of them");
    Ok((field, *parse))
}
