//! `scrub.formats`, by its words.

use dormouse_secrets::Formats;
use serde::{Deserialize, Serialize};

/// What is done about credentials that nobody registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormatsView {
    /// They are redacted, and counted.
    Strict,
    /// They are left, and counted.
    OwnOnly,
    /// They are not looked for.
    Off,
}

impl FormatsView {
    /// The word, as a setting has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::OwnOnly => "own_only",
            Self::Off => "off",
        }
    }

    /// What the word says; strict for any other.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        match word {
            "own_only" => Self::OwnOnly,
            "off" => Self::Off,
            _ => Self::Strict,
        }
    }
}

impl From<Formats> for FormatsView {
    fn from(formats: Formats) -> Self {
        match formats {
            Formats::Strict => Self::Strict,
            Formats::OwnOnly => Self::OwnOnly,
            Formats::Off => Self::Off,
        }
    }
}

impl From<FormatsView> for Formats {
    fn from(view: FormatsView) -> Self {
        match view {
            FormatsView::Strict => Self::Strict,
            FormatsView::OwnOnly => Self::OwnOnly,
            FormatsView::Off => Self::Off,
        }
    }
}
