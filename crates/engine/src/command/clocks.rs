//! The clocks of a run, as they are set: of its task, of its agent, of the engine. The first that is set holds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    CLOCK_MAX, CLOCK_MIN, GRACE_DEFAULT, GRACE_MAX, IDLE_TIMEOUT_DEFAULT, STALL_AFTER_DEFAULT,
    WALL_CLOCK_DEFAULT,
};

/// A clock that may be off. Stored and sent as milliseconds, or as null where it is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<u64>", into = "Option<u64>")]
pub enum Timer {
    /// It does not run.
    Off,
    /// It ends after so many milliseconds: [`CLOCK_MIN`] to [`CLOCK_MAX`].
    After(u64),
}

impl Timer {
    fn duration(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::After(ms) => Some(Duration::from_millis(ms)),
        }
    }
}

impl From<Option<u64>> for Timer {
    fn from(ms: Option<u64>) -> Self {
        ms.map_or(Self::Off, Self::After)
    }
}

impl From<Timer> for Option<u64> {
    fn from(timer: Timer) -> Self {
        match timer {
            Timer::Off => None,
            Timer::After(ms) => Some(ms),
        }
    }
}

/// A timer that is there, also where it is null: that is off.
pub(super) fn timer<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timer>, D::Error> {
    Timer::deserialize(from).map(Some)
}

/// The clocks that somebody sets. What is not set is as whoever comes next says, and at last as the defaults say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockSettings {
    /// From claim to stop, in milliseconds: [`CLOCK_MIN`] to [`CLOCK_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_clock_ms: Option<u64>,
    /// From the last progress to the stop.
    #[serde(default, deserialize_with = "timer", skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<Timer>,
    /// From the last progress to the word that it stalls.
    #[serde(default, deserialize_with = "timer", skip_serializing_if = "Option::is_none")]
    pub stall_after_ms: Option<Timer>,
    /// From the cooperative stop to the kill, in milliseconds: 0 to [`GRACE_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
}

/// A clock out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {found} ms is out of bounds, {min} to {max} ms are taken")]
pub struct InvalidClock {
    /// The field.
    pub field: &'static str,
    /// What was given.
    pub found: u64,
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl InvalidClock {
    /// What is wrong, without the field.
    #[must_use]
    pub fn reason(&self) -> String {
        let Self { found, min, max, .. } = self;
        format!("{found} ms is out of bounds, {min} to {max} ms are taken")
    }
}

impl ClockSettings {
    /// Whether none is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, and for each that is not set that of `next`.
    #[must_use]
    pub fn or(&self, next: &Self) -> Self {
        Self {
            wall_clock_ms: self.wall_clock_ms.or(next.wall_clock_ms),
            idle_timeout_ms: self.idle_timeout_ms.or(next.idle_timeout_ms),
            stall_after_ms: self.stall_after_ms.or(next.stall_after_ms),
            grace_ms: self.grace_ms.or(next.grace_ms),
        }
    }

    /// The wall clock.
    #[must_use]
    pub fn wall_clock(&self) -> Duration {
        self.wall_clock_ms
            .map_or(WALL_CLOCK_DEFAULT, Duration::from_millis)
    }

    /// The idle clock, if it is on.
    #[must_use]
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout_ms
            .map_or(Some(IDLE_TIMEOUT_DEFAULT), Timer::duration)
    }

    /// How long it is silent before its session is told, if that is told.
    #[must_use]
    pub fn stall_after(&self) -> Option<Duration> {
        self.stall_after_ms
            .map_or(Some(STALL_AFTER_DEFAULT), Timer::duration)
    }

    /// From the cooperative stop to the kill.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.grace_ms.map_or(GRACE_DEFAULT, Duration::from_millis)
    }

    /// Checks the bounds of each that is set.
    ///
    /// # Errors
    /// The first that is out of them.
    pub fn validate(&self) -> Result<(), InvalidClock> {
        let after = |timer: Option<Timer>| timer.and_then(Option::<u64>::from);
        check("wall_clock_ms", self.wall_clock_ms, CLOCK_MIN, CLOCK_MAX)?;
        check(
            "idle_timeout_ms",
            after(self.idle_timeout_ms),
            CLOCK_MIN,
            CLOCK_MAX,
        )?;
        check("stall_after_ms", after(self.stall_after_ms), CLOCK_MIN, CLOCK_MAX)?;
        check("grace_ms", self.grace_ms, Duration::ZERO, GRACE_MAX)
    }
}

pub(super) fn check(
    field: &'static str,
    found: Option<u64>,
    min: Duration,
    max: Duration,
) -> Result<(), InvalidClock> {
    let [min, max] = [min, max].map(|d| u64::try_from(d.as_millis()).expect("bounds are days at most"));
    match found {
        Some(found) if !(min..=max).contains(&found) => Err(InvalidClock {
            field,
            found,
            min,
            max,
        }),
        Some(_) | None => Ok(()),
    }
}
