//! What an account says to one more (stores.md, section 8): a pure function of its counters and lines.

use super::Dimension;

/// One dimension of an account, as it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What is counted.
    pub dimension: Dimension,
    /// What was used in this period; always 0 of a gauge.
    pub used: u64,
    /// What is held.
    pub reserved: u64,
    /// The limit that stands: the raised one, where it was.
    pub limit: u64,
    /// From which share of it on it is said, in percent.
    pub warn: u8,
    /// From which share on a person is asked, in percent; 100 is never.
    pub pause: u8,
    /// What a person said in this period.
    pub said: Said,
}

/// What a person said of an account in its period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Said {
    /// Nothing yet.
    #[default]
    Nothing,
    /// The limit is another: nobody is asked again.
    Raised,
    /// No.
    Denied,
}

/// What an account answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// Yes.
    Admitted,
    /// Yes, and it comes near the limit.
    Warned,
    /// A person is asked.
    NeedsApproval,
    /// No.
    Exceeded,
}

impl Answer {
    /// The answer's word, as the table prints it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Warned => "admitted, warned",
            Self::NeedsApproval => "NeedsApproval",
            Self::Exceeded => "LimitExceeded",
        }
    }
}

/// What this line answers to so much more. A limit of 0 admits nothing, not even nothing.
#[must_use]
pub fn judge(line: &Line, estimate: u64) -> Answer {
    let sum = line
        .used
        .checked_add(line.reserved)
        .and_then(|held| held.checked_add(estimate));
    let Some(total) = sum.filter(|total| line.limit > 0 && *total <= line.limit) else {
        return Answer::Exceeded;
    };
    let pauses = !line.dimension.is_gauge() && line.pause < 100 && line.said != Said::Raised;
    if pauses && reaches(total, line.limit, line.pause) {
        return match line.said {
            Said::Denied => Answer::Exceeded,
            Said::Nothing | Said::Raised => Answer::NeedsApproval,
        };
    }
    if reaches(total, line.limit, line.warn) {
        Answer::Warned
    } else {
        Answer::Admitted
    }
}

/// What is said of what is used up by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metered {
    /// Go on.
    Continue,
    /// Go on; it comes near the limit.
    Warn,
    /// It is over the limit.
    Stop,
}

impl Metered {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Warn => "warn",
            Self::Stop => "stop",
        }
    }
}

/// What this line says of what is used and held by now.
#[must_use]
pub fn meter(line: &Line) -> Metered {
    match line.used.checked_add(line.reserved) {
        Some(total) if total <= line.limit => {
            if line.limit > 0 && reaches(total, line.limit, line.warn) {
                Metered::Warn
            } else {
                Metered::Continue
            }
        }
        Some(_) | None => Metered::Stop,
    }
}

/// Whether a total is at this share of a limit or above it.
fn reaches(total: u64, limit: u64, percent: u8) -> bool {
    u128::from(total) * 100 >= u128::from(limit) * u128::from(percent)
}
