//! What kind of failure: by field, else by text.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::event::{Class, Source};

/// How long a usage limit is waited for that does not say until when.
pub const RATE_LIMIT_DEFAULT: SignedDuration = SignedDuration::from_mins(15);

/// The class of an HTTP status.
pub(super) fn by_status(status: u64) -> Option<Class> {
    match status {
        401 | 403 => Some(Class::Auth),
        402 => Some(Class::Billing),
        429 => Some(Class::RateLimited),
        500..=599 => Some(Class::Overloaded),
        400..=499 => Some(Class::BadRequest),
        _ => None,
    }
}

/// The class of a provider's own word for a failure.
pub(super) fn by_word(word: &str) -> Option<Class> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    Some(match word.as_str() {
        "authentication_error"
        | "authentication_failed"
        | "unauthorized"
        | "permission_error"
        | "providerautherror"
        | "auth"
        | "invalid_api_key" => Class::Auth,
        "billing_error" | "insufficient_quota" | "billing" => Class::Billing,
        "rate_limit"
        | "rate_limit_error"
        | "rate_limit_exceeded"
        | "usagelimitexceeded"
        | "usage_limit_exceeded"
        | "usage_limit_reached" => Class::RateLimited,
        "overloaded"
        | "overloaded_error"
        | "server_error"
        | "api_error"
        | "internal_server_error"
        | "internalservererror"
        | "serveroverloaded" => Class::Overloaded,
        "context_length_exceeded"
        | "contextwindowexceeded"
        | "context_window_exceeded"
        | "contextoverflowerror"
        | "prompt_too_long" => Class::ContextOverflow,
        "invalid_request" | "invalid_request_error" | "badrequest" | "bad_request" => Class::BadRequest,
        "refusal" | "refused" => Class::Refused,
        _ => return None,
    })
}

/// Words that tell a class, the more telling first.
const WORDS: &[(&str, Class)] = &[
    ("usage limit", Class::RateLimited),
    ("rate limit", Class::RateLimited),
    ("too many requests", Class::RateLimited),
    ("incorrect api key", Class::Auth),
    ("invalid api key", Class::Auth),
    ("not logged in", Class::Auth),
    ("please run /login", Class::Auth),
    ("unauthorized", Class::Auth),
    ("credit balance", Class::Billing),
    ("insufficient_quota", Class::Billing),
    ("context window", Class::ContextOverflow),
    ("context length", Class::ContextOverflow),
    ("context_length_exceeded", Class::ContextOverflow),
    ("prompt is too long", Class::ContextOverflow),
    ("high demand", Class::Overloaded),
    ("overloaded", Class::Overloaded),
    ("internal server error", Class::Overloaded),
    ("service unavailable", Class::Overloaded),
    ("bad gateway", Class::Overloaded),
    ("invalid_request_error", Class::BadRequest),
    ("bad request", Class::BadRequest),
];

/// The class of a failure, and how it is known: by a status or word in JSON within the text, else by the text.
pub(super) fn of_text(text: &str) -> (Option<Class>, Source) {
    if let Some(class) = of_embedded(text) {
        return (Some(class), Source::Stream);
    }
    let lower = text.to_lowercase();
    let word = WORDS.iter().find(|(word, _)| lower.contains(word));
    let class = word
        .map(|(_, class)| *class)
        .or_else(|| status_in(&lower).and_then(by_status));
    (class, Source::Text)
}

/// A message that is itself the provider's answer in JSON.
fn of_embedded(text: &str) -> Option<Class> {
    let inner: Value = serde_json::from_str(text.trim()).ok()?;
    let error = inner.get("error").unwrap_or(&inner);
    let words = [&error["code"], &error["type"]];
    words.into_iter().filter_map(Value::as_str).find_map(by_word)
}

/// The number behind the word `status`.
fn status_in(lower: &str) -> Option<u64> {
    let behind = lower.split("status").skip(1);
    behind
        .filter_map(|rest| {
            let rest = rest
                .trim_start_matches([' ', ':', '='])
                .trim_start_matches("code");
            let digits: String = rest
                .trim_start_matches([' ', ':', '='])
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            digits.parse().ok()
        })
        .find(|status| (400..600).contains(status))
}

/// When a limit is over: what the text says in the worker's time zone, else [`RATE_LIMIT_DEFAULT`] from now.
pub(super) fn retry_at(text: &str, now: Timestamp, tz: &TimeZone) -> Timestamp {
    said(text, now, tz).unwrap_or_else(|| now.checked_add(RATE_LIMIT_DEFAULT).unwrap_or(now))
}

fn said(text: &str, now: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
    let at = text.to_lowercase().find("try again at ")? + "try again at ".len();
    let rest = text
        .get(at..)?
        .lines()
        .next()?
        .trim()
        .trim_end_matches(['.', '!']);
    if let Ok(instant) = rest.parse::<Timestamp>() {
        return Some(instant);
    }
    let plain = without_ordinals(rest);
    for format in ["%b %d, %Y %I:%M %p", "%B %d, %Y %I:%M %p", "%Y-%m-%d %H:%M"] {
        if let Ok(civil) = DateTime::strptime(format, &plain) {
            return tz.to_timestamp(civil).ok();
        }
    }
    let time = ["%I:%M %p", "%H:%M"]
        .iter()
        .find_map(|format| Time::strptime(format, &plain).ok())?;
    next(time, now, tz)
}

/// The next time the clocks show this.
fn next(time: Time, now: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
    let today = tz.to_datetime(now).date();
    let at = |date: jiff::civil::Date| tz.to_timestamp(date.to_datetime(time)).ok();
    let first = at(today)?;
    if first > now {
        return Some(first);
    }
    at(today.tomorrow().ok()?)
}

/// `25th` as `25`.
fn without_ordinals(text: &str) -> String {
    let word = |word: &str| {
        let (number, comma) = word.strip_suffix(',').map_or((word, ""), |w| (w, ","));
        let digits = number.trim_end_matches(['s', 't', 'n', 'd', 'r', 'h']);
        let is_ordinal = !digits.is_empty()
            && digits.len() < number.len()
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_ordinal {
            format!("{digits}{comma}")
        } else {
            word.to_owned()
        }
    };
    text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}
