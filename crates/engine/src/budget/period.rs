//! Periods: how long what is used counts, and when it begins anew.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::CommandError;

/// How many parts a rolling duration is counted in.
pub const ROLLING_BUCKETS: u64 = 24;
/// Shortest length of a period that is given as one.
pub const PERIOD_MIN: SignedDuration = SignedDuration::from_mins(1);
/// Longest.
pub const PERIOD_MAX: SignedDuration = SignedDuration::from_hours(24 * 366);

/// How long what is used counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Period {
    /// For ever.
    #[default]
    Lifetime,
    /// For one run: each run below the account has the limits for itself.
    Run,
    /// From one local midnight to another.
    Calendar {
        /// Which.
        unit: CalendarUnit,
        /// Where: an IANA time zone.
        zone: String,
    },
    /// From an instant on, again and again.
    Every {
        /// How long, in milliseconds.
        every_ms: u64,
        /// One beginning.
        anchor: Timestamp,
    },
    /// The time just past, in 24 parts.
    Rolling {
        /// How long, in milliseconds.
        over_ms: u64,
    },
}

/// A part of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalendarUnit {
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// A month, from its first.
    Month,
}

impl Period {
    /// Refuses what is no period.
    ///
    /// # Errors
    /// `Invalid` for a zone that is not known and a length out of bounds.
    pub fn check(&self) -> Result<(), CommandError> {
        match self {
            Self::Lifetime | Self::Run => Ok(()),
            Self::Calendar { zone, .. } => match TimeZone::get(zone) {
                Ok(_) => Ok(()),
                Err(_) => Err(CommandError::invalid(
                    "zone",
                    "is no time zone of the IANA database",
                )),
            },
            Self::Every { every_ms, .. } => check_length(*every_ms),
            Self::Rolling { over_ms } => check_length(*over_ms),
        }
    }

    /// When the period began that this instant is in; `since` is when the account began.
    ///
    /// A zone that was known when it was set and is no more counts as UTC.
    #[must_use]
    pub fn started_at(&self, now: Timestamp, since: Timestamp) -> Timestamp {
        match self {
            Self::Lifetime | Self::Run => since,
            Self::Calendar { unit, zone } => unit.started_at(now, zone).unwrap_or(since),
            Self::Every { every_ms, anchor } => grid(now, *anchor, *every_ms),
            Self::Rolling { over_ms } => grid(now, Timestamp::UNIX_EPOCH, *over_ms),
        }
    }

    /// When the period ends that began then; none where it never does.
    #[must_use]
    pub fn ends_at(&self, started_at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Lifetime | Self::Run => None,
            Self::Calendar { unit, zone } => unit.ends_at(started_at, zone),
            Self::Every { every_ms: length, .. } | Self::Rolling { over_ms: length } => {
                started_at.checked_add(millis(*length)).ok()
            }
        }
    }

    /// Which part of a rolling duration an instant is in; none for other periods.
    #[must_use]
    pub fn bucket(&self, at: Timestamp) -> Option<u64> {
        let Self::Rolling { over_ms } = self else {
            return None;
        };
        let width = (over_ms / ROLLING_BUCKETS).max(1);
        Some(u64::try_from(at.as_millisecond()).unwrap_or(0) / width)
    }

    /// Its word, for people.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Lifetime => "lifetime".to_owned(),
            Self::Run => "run".to_owned(),
            Self::Calendar { unit, zone } => format!("{} ({zone})", unit.word()),
            Self::Every { every_ms, .. } => format!("every {}", shown(*every_ms)),
            Self::Rolling { over_ms } => format!("rolling {}", shown(*over_ms)),
        }
    }
}

impl CalendarUnit {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    fn started_at(self, now: Timestamp, zone: &str) -> Option<Timestamp> {
        let date = local(now, zone);
        let first = match self {
            Self::Day => date,
            Self::Week => {
                let since_monday = i64::from(date.weekday().to_monday_zero_offset());
                date.checked_sub(since_monday.days()).ok()?
            }
            Self::Month => date.first_of_month(),
        };
        midnight(first, zone)
    }

    fn ends_at(self, start: Timestamp, zone: &str) -> Option<Timestamp> {
        let length = match self {
            Self::Day => 1.day(),
            Self::Week => 1.week(),
            Self::Month => 1.month(),
        };
        midnight(local(start, zone).checked_add(length).ok()?, zone)
    }
}

fn zone_of(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

fn local(at: Timestamp, zone: &str) -> Date {
    at.to_zoned_datetime(zone_of(zone)).date()
}

/// The first instant of a day. Where a zone leaves midnight out, it is the first one behind that.
fn midnight(date: Date, zone: &str) -> Option<Timestamp> {
    Some(date.to_zoned_datetime(zone_of(zone)).ok()?.timestamp())
}

/// The last beginning at or before an instant.
fn grid(now: Timestamp, anchor: Timestamp, length_ms: u64) -> Timestamp {
    let length = i64::try_from(length_ms.max(1)).unwrap_or(i64::MAX);
    let past = now.as_millisecond().saturating_sub(anchor.as_millisecond());
    let start = anchor
        .as_millisecond()
        .saturating_add(past.div_euclid(length).saturating_mul(length));
    Timestamp::from_millisecond(start).unwrap_or(now)
}

fn millis(length: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(length).unwrap_or(i64::MAX))
}

fn check_length(length: u64) -> Result<(), CommandError> {
    if (PERIOD_MIN..=PERIOD_MAX).contains(&millis(length)) {
        Ok(())
    } else {
        Err(CommandError::invalid("period", "lasts 1 minute to 366 days"))
    }
}

fn shown(milliseconds: u64) -> String {
    let minutes = milliseconds / 60_000;
    match (minutes / 1440, minutes % 1440, minutes % 60) {
        (days @ 1.., 0, _) => format!("{days}d"),
        (_, _, 0) => format!("{}h", minutes / 60),
        (_, _, _) => format!("{minutes}m"),
    }
}
