//! Durations as people write them: `90s`, `30m`, `1h30m`, `2d`. Strict: a unit is always named, nothing is clamped.

use std::fmt;
use std::time::Duration;

/// The units, longest first, in milliseconds.
const UNITS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The least and the most a duration may be, both taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The least.
    pub min: Duration,
    /// The most.
    pub max: Duration,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", show(self.min), show(self.max))
    }
}

/// Why a duration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// Not a number followed by a unit.
    #[error(
        "not a duration, which is whole numbers with units (ms, s, m, h, d), as in 90s or 1h30m; {bounds} is taken"
    )]
    Form {
        /// What is taken.
        bounds: Bounds,
    },
    /// Below the least or above the most.
    #[error("out of bounds, {bounds} is taken")]
    Bounds {
        /// What is taken.
        bounds: Bounds,
    },
}

/// Parses a duration within its bounds.
///
/// # Errors
/// [`InvalidDuration`], which names the bounds.
pub fn parse(text: &str, bounds: Bounds) -> Result<Duration, InvalidDuration> {
    let milliseconds = milliseconds(text).ok_or(InvalidDuration::Form { bounds })?;
    let duration = Duration::from_millis(milliseconds.ok_or(InvalidDuration::Bounds { bounds })?);
    if (bounds.min..=bounds.max).contains(&duration) {
        Ok(duration)
    } else {
        Err(InvalidDuration::Bounds { bounds })
    }
}

/// None when the form is wrong; `Some(None)` when no number holds it. Units fall from part to part, none twice.
fn milliseconds(text: &str) -> Option<Option<u64>> {
    let mut rest = text;
    let mut units = UNITS;
    let mut total = Some(0_u64);
    while !rest.is_empty() || total == Some(0) && units.len() == UNITS.len() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at(letters);
        let at = units.iter().position(|(name, _)| *name == unit)?;
        if number.is_empty() {
            return None;
        }
        let part = number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(units[at].1));
        total = total.zip(part).and_then(|(total, part)| total.checked_add(part));
        units = &units[at + 1..];
        rest = after;
    }
    Some(total)
}

/// Writes a duration as [`parse`] reads it: `1h30m`, `250ms`, `0s`.
#[must_use]
pub fn show(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, size) in UNITS {
        if rest >= *size {
            text.push_str(&format!("{}{name}", rest / size));
            rest %= size;
        }
    }
    text
}

/// Writes how long something took, for people: `0.42 s`, `6.1 s`, `3m 20s`.
#[must_use]
pub fn took(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match milliseconds {
        0..1_000 => format!("0.{:02} s", milliseconds / 10),
        1_000..60_000 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        60_000..3_600_000 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}
