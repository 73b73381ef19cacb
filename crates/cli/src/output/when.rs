//! Instants, as people want to read them.

use jiff::Timestamp;

/// The form of an instant in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TimeStyle {
    /// `4 minutes ago`.
    Relative,
    /// `2026-01-31T12:00:00Z`.
    Iso,
    /// Seconds since 1970.
    Unix,
}

impl TimeStyle {
    /// Writes an instant, as seen from `now`.
    #[must_use]
    pub fn show(self, at: Timestamp, now: Timestamp) -> String {
        match self {
            Self::Relative => relative(now.as_second() - at.as_second()),
            Self::Iso => at.to_string(),
            Self::Unix => at.as_second().to_string(),
        }
    }
}

fn relative(seconds_ago: i64) -> String {
    let amount = match seconds_ago.unsigned_abs() {
        0 => return "now".to_owned(),
        // What was just written may bear a time a little ahead of the clock that is looked at.
        1 if seconds_ago < 0 => return "now".to_owned(),
        1 => "1 second".to_owned(),
        s @ 2..60 => format!("{s} seconds"),
        s @ 60..120 => format!("{} minute", s / 60),
        s @ 120..3_600 => format!("{} minutes", s / 60),
        s @ 3_600..7_200 => format!("{} hour", s / 3_600),
        s @ 7_200..86_400 => format!("{} hours", s / 3_600),
        s @ 86_400..172_800 => format!("{} day", s / 86_400),
        s => format!("{} days", s / 86_400),
    };
    if seconds_ago < 0 {
        format!("in {amount}")
    } else {
        format!("{amount} ago")
    }
}
