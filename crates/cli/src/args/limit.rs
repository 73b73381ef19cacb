//! Values of arguments of budgets: amounts, limits, shares, periods.

use std::time::Duration;

use dormouse_engine::budget::{CalendarUnit, Dimension};

use super::budget::{NewLimit, NewPeriod, NewShare};
use super::value::known;
use crate::config::bounds::PERIOD;
use crate::duration::{self, Bounds};

/// Dollars, as millionths.
pub(super) fn usd(text: &str) -> Result<u64, String> {
    let wrong = || "an amount of dollars has at most 6 digits behind its point, as in 0.10".to_owned();
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(rest) || rest.len() > 6 {
        return Err(wrong());
    }
    let micros = format!("{rest:0<6}").parse::<u64>().map_err(|_| wrong())?;
    let whole = whole
        .parse::<u64>()
        .ok()
        .and_then(|whole| whole.checked_mul(1_000_000));
    whole
        .and_then(|whole| whole.checked_add(micros))
        .ok_or_else(wrong)
}

/// Dollars, or none.
pub(super) fn usd_limit(text: &str) -> Result<NewLimit, String> {
    limit(text, usd)
}

/// A number, or none.
pub(super) fn number_limit(text: &str) -> Result<NewLimit, String> {
    limit(text, |text| {
        text.parse().map_err(|_| "it is a number, or none".to_owned())
    })
}

/// A duration in milliseconds, or none.
pub(super) fn wall_limit(text: &str) -> Result<NewLimit, String> {
    limit(text, wall)
}

fn limit(text: &str, parse: impl Fn(&str) -> Result<u64, String>) -> Result<NewLimit, String> {
    match text {
        "none" => Ok(NewLimit(None)),
        text => parse(text).map(|limit| NewLimit(Some(limit))),
    }
}

/// A duration, in milliseconds.
pub(crate) fn wall(text: &str) -> Result<u64, String> {
    let everything = Bounds {
        min: Duration::ZERO,
        max: Duration::from_secs(3650 * 24 * 60 * 60),
    };
    let wall = duration::parse(text, everything).map_err(|error| error.to_string())?;
    Ok(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX))
}

/// The amount that a limit is raised to, in what is counted.
pub(crate) fn amount(dimension: Dimension, text: &str) -> Result<u64, String> {
    match dimension {
        Dimension::UsdMicros => usd(text),
        Dimension::WallMs => wall(text),
        Dimension::InputTokens
        | Dimension::OutputTokens
        | Dimension::OutputBytes
        | Dimension::EgressBytes
        | Dimension::Processes
        | Dimension::Concurrency => text.parse().map_err(|_| "it is a number".to_owned()),
    }
}

/// A share of a limit, or default.
pub(super) fn share(text: &str) -> Result<NewShare, String> {
    if text == "default" {
        return Ok(NewShare(None));
    }
    match text.strip_suffix('%').unwrap_or(text).parse() {
        Ok(share @ 1..=100) => Ok(NewShare(Some(share))),
        _ => Err("it is 1% to 100%, or default".to_owned()),
    }
}

/// How long what is used counts.
pub(super) fn period(text: &str) -> Result<NewPeriod, String> {
    let length = |text| duration::parse(text, PERIOD).map_err(|error| error.to_string());
    let millis = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    match text.split_once(':') {
        Some(("every", text)) => return Ok(NewPeriod::Every(millis(length(text)?))),
        Some(("rolling", text)) => return Ok(NewPeriod::Rolling(millis(length(text)?))),
        _ => {}
    }
    let words = [
        "day",
        "week",
        "month",
        "lifetime",
        "run",
        "every:DURATION",
        "rolling:DURATION",
    ];
    Ok(match known(text, &words)?.as_str() {
        "day" => NewPeriod::Calendar(CalendarUnit::Day),
        "week" => NewPeriod::Calendar(CalendarUnit::Week),
        "month" => NewPeriod::Calendar(CalendarUnit::Month),
        "run" => NewPeriod::Run,
        "lifetime" => NewPeriod::Lifetime,
        _ => return Err("it is every: or rolling: with a duration, as in every:6h".to_owned()),
    })
}
