//! Values of arguments.

use std::str::FromStr;
use std::time::Duration;

use dormouse_engine::credentials::secret_reference;
use dormouse_engine::gate::Scope;
use dormouse_engine::idempotency::{ClientKey, InvalidClientKey};
use dormouse_engine::limits::AGENT_CONCURRENCY_MAX;
use dormouse_engine::name::InvalidName;
use dormouse_engine::run::OutcomeKind;
use dormouse_engine::task::{OnFailed, Priority, TaskState};
use dormouse_engine::worker::environment::{NameClass, name_class};
use dormouse_engine::worker::isolation::{InvalidPolicy, Policy};
use dormouse_engine::{
    AgentName, GateId, HoldId, MessageId, PrefixedId, RunId, SessionId, TaskId, ThreadId, WakeId,
};
use dormouse_secrets::{SecretCategory, SecretName};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::FormatsView;
use crate::config::bounds::{CLOCK, EXPIRES, GRACE};
use crate::config::key::MODES;
use crate::duration::{self, Bounds};
use crate::endpoint::Expires;
use crate::nearest::nearest;

use super::spec::milliseconds;

/// Words that make a variable's name look like a credential's.
const CREDENTIAL_WORDS: &[&str] = &[
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "APIKEY",
    "API_KEY",
    "KEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "COOKIE",
    "BEARER",
    "AUTHORIZATION",
    "AUTH",
];

/// A secret's name, with the right spelling of one in small letters.
pub(super) fn secret(text: &str) -> Result<SecretName, String> {
    SecretName::parse(text).map_err(|error| error.to_string())
}

/// Whom a secret serves.
pub(super) fn category(text: &str) -> Result<SecretCategory, String> {
    Ok(match known(text, &["tool", "system"])?.as_str() {
        "system" => SecretCategory::System,
        _ => SecretCategory::Tool,
    })
}

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
    let keys: Vec<&str> = AGENT_KEYS.iter().map(|(key, ..)| *key).collect();
    let key = known(key, &keys)?;
    let (_, field, parse) = AGENT_KEYS
        .iter()
        .find(|(known, ..)| *known == key)
        .expect("it is one of them");
    let value = parse(value)?;
    Ok(AgentSetting { field, value })
}

/// A task's number, `12` or `#12`, its id or its short form, checked and kept as it was written but for the mark of a
/// number, which is none in a path.
pub(super) fn task(text: &str) -> Result<String, String> {
    let number = text.strip_prefix('#').unwrap_or(text);
    if number.parse::<u64>().is_ok() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(number.to_owned());
    }
    TaskId::given(text)
        .map(|_| text.to_owned())
        .map_err(|error| format!("{error}; or its number is taken, as in 12"))
}

/// How much a task presses.
pub(super) fn priority(text: &str) -> Result<Priority, String> {
    let word = known(text, &Priority::ALL.map(Priority::word))?;
    let found = Priority::ALL.into_iter().find(|priority| priority.word() == word);
    Ok(found.expect("it is one of them"))
}

/// What becomes of a task when one that it waits for is not done.
pub(super) fn on_failed(text: &str) -> Result<OnFailed, String> {
    let word = known(text, &OnFailed::ALL.map(OnFailed::word))?;
    let found = OnFailed::ALL.into_iter().find(|what| what.word() == word);
    Ok(found.expect("it is one of them"))
}

/// How much later.
pub(super) fn later(text: &str) -> Result<Duration, String> {
    duration::parse(text, EXPIRES).map_err(|error| error.to_string())
}

/// A time before which a task is not to be tried, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotBefore(pub Option<Timestamp>);

/// An instant, or `any`.
pub(super) fn not_before(text: &str) -> Result<NotBefore, String> {
    match text {
        "any" => Ok(NotBefore(None)),
        text => text
            .parse()
            .map(|at| NotBefore(Some(at)))
            .map_err(|_| "an instant is taken, as in 2026-03-01T12:00:00Z, or any".to_owned()),
    }
}

/// One field of a task's metadata, and what it is to be; null removes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// The field.
    pub key: String,
    /// Its value.
    pub value: Value,
}

/// `KEY=VALUE` of a task's metadata: JSON where it is, else text.
pub(super) fn metadata(text: &str) -> Result<Metadata, String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is taken")?;
    if key.is_empty() {
        return Err("KEY=VALUE is taken".to_owned());
    }
    let value = match value {
        "" => Value::Null,
        value => serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned())),
    };
    let key = key.to_owned();
    Ok(Metadata { key, value })
}

/// A run's id or its short form, checked and kept as it was written.
pub(super) fn run(text: &str) -> Result<String, String> {
    RunId::given(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// A gate's id or its short form, checked and kept as it was written.
pub(super) fn gate(text: &str) -> Result<String, String> {
    GateId::given(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// A timed wake's id or its short form, checked and kept as it was written.
pub(super) fn wake(text: &str) -> Result<String, String> {
    WakeId::given(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// A hold, as it was printed.
pub(super) fn hold(text: &str) -> Result<String, String> {
    if text == "unlimited" {
        return Ok(text.to_owned());
    }
    text.parse::<HoldId>()
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// A session's id or its short form, checked and kept as it was written.
pub(super) fn session(text: &str) -> Result<String, String> {
    SessionId::given(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// A thread's id or its short form, checked and kept as it was written.
pub(super) fn thread(text: &str) -> Result<String, String> {
    ThreadId::given(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// A message's sequence in its thread, or its id.
pub(super) fn message(text: &str) -> Result<String, String> {
    match (text.parse::<u64>(), text.parse::<MessageId>()) {
        (Err(_), Err(error)) => Err(format!(
            "a message is named by its number in the thread, or its id: {error}"
        )),
        _ => Ok(text.to_owned()),
    }
}

/// A key under which something is done once.
pub(super) fn key(text: &str) -> Result<ClientKey, String> {
    text.parse().map_err(|error: InvalidClientKey| error.to_string())
}

/// The word of a task's state.
pub(super) fn task_state(text: &str) -> Result<String, String> {
    known(text, &TaskState::WORDS)
}

/// Which gates a list has.
pub(super) fn gate_state(text: &str) -> Result<String, String> {
    known(text, &["pending", "all"])
}

/// Whether a worker is walled in.
pub(super) fn policy(text: &str) -> Result<Policy, String> {
    let word = known(text, &Policy::WORDS)?;
    word.parse().map_err(|error: InvalidPolicy| error.to_string())
}

/// The rule that calls are made under, as a setting writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMode(pub String);

/// `mode=WORD`.
pub(super) fn mode(text: &str) -> Result<NewMode, String> {
    let word = text
        .strip_prefix("mode=")
        .ok_or("it is mode=ask, mode=deny, mode=rules or mode=open")?;
    known(word, MODES).map(NewMode)
}

/// How far an approval goes.
pub(super) fn scope(text: &str) -> Result<Scope, String> {
    Ok(match known(text, &["once", "session"])?.as_str() {
        "session" => Scope::Session,
        _ => Scope::Once,
    })
}

/// The word of an outcome.
pub(super) fn outcome(text: &str) -> Result<OutcomeKind, String> {
    let words = OutcomeKind::ALL.map(OutcomeKind::word);
    let word = known(text, &words)?;
    let found = OutcomeKind::ALL.into_iter().find(|kind| kind.word() == word);
    Ok(found.expect("it is one of them"))
}

pub(super) fn known(text: &str, words: &[&str]) -> Result<String, String> {
    if words.contains(&text) {
        return Ok(text.to_owned());
    }
    let near = nearest(text, words.iter().copied()).map(|near| format!("did you mean {near}? "));
    Err(format!(
        "{}it is one of {}",
        near.unwrap_or_default(),
        words.join(", ")
    ))
}

/// A wall clock.
pub(super) fn clock(text: &str) -> Result<Duration, String> {
    duration::parse(text, CLOCK).map_err(|error| error.to_string())
}

/// A grace.
pub(super) fn grace(text: &str) -> Result<Duration, String> {
    duration::parse(text, GRACE).map_err(|error| error.to_string())
}

/// For how long a gate can be decided.
pub(super) fn expires(text: &str) -> Result<Expires, String> {
    match text {
        "never" => Ok(Expires::Never),
        "by type" => Ok(Expires::ByType),
        text => duration::parse(text, EXPIRES)
            .map(|time| Expires::AfterMs(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
            .map_err(|error| format!("{error}, or never")),
    }
}

/// A clock that may be off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaybeOff {
    /// It does not run.
    Off,
    /// This long without progress.
    After(Duration),
}

impl FromStr for MaybeOff {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        duration::parse(text, CLOCK)
            .map(Self::After)
            .map_err(|error| format!("{error}, or off"))
    }
}

/// A cursor, as a list gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let is_cursor = (1..=512).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if is_cursor {
            Ok(Self(text.to_owned()))
        } else {
            Err("is no next_cursor of a list")
        }
    }
}

/// How long a server lets runs end.
///
/// # Errors
/// What is taken.
pub(super) fn drain(text: &str) -> Result<Duration, String> {
    let bounds = Bounds {
        min: Duration::ZERO,
        max: Duration::from_secs(24 * 60 * 60),
    };
    duration::parse(text, bounds).map_err(|error| error.to_string())
}

/// `NAME=VALUE` for the worker's environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Variable({}=…)", self.name)
    }
}

impl Variable {
    /// Parses `NAME=VALUE`. Names that look like credentials take `secret:OTHER` alone: a value on a command line is readable by
    /// everybody on the host, and by the store's history.
    ///
    /// # Errors
    /// What is wrong; the value is never repeated.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("--env takes NAME=VALUE")?;
        if !is_variable(name) {
            return Err("--env takes NAME=VALUE, the name of letters, digits and _".to_owned());
        }
        let is_reference = match secret_reference(value) {
            None => false,
            Some(Ok(_)) => true,
            Some(Err(why)) => return Err(format!("--env {name}: {why}")),
        };
        if looks_like_credential(name) && !is_reference {
            return Err(format!(
                "--env {name}: a variable of that name looks like a credential"
            ));
        }
        match name_class(name) {
            NameClass::Free => {}
            class @ (NameClass::Ours | NameClass::LoadsCode) => {
                return Err(format!("--env {name}: nobody may set it, {class}"));
            }
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// Whether it is the name of a variable: letters, digits and `_`, no digit first.
pub(crate) fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether a part of the name, between underscores, is a word for a credential.
pub(crate) fn looks_like_credential(name: &str) -> bool {
    let name = format!("_{}_", name.to_ascii_uppercase());
    CREDENTIAL_WORDS
        .iter()
        .any(|word| name.contains(&format!("_{word}_")))
        || ["TOKEN", "SECRET", "PASSWORD", "APIKEY"]
            .iter()
            .any(|word| name.contains(word))
}
