//! How `scrub.formats` is stored: by its word.

use dormouse_secrets::Formats;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// [`Formats`], as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Strict,
    OwnOnly,
    Off,
}

/// Stores what an agent's configuration says of formats, or that it says nothing.
pub(crate) struct FormatsWord;

impl FormatsWord {
    #[expect(clippy::ref_option, reason = "serde asks with a reference")]
    pub(crate) fn serialize<S: Serializer>(formats: &Option<Formats>, to: S) -> Result<S::Ok, S::Error> {
        let word = formats.map(|formats| match formats {
            Formats::Strict => Word::Strict,
            Formats::OwnOnly => Word::OwnOnly,
            Formats::Off => Word::Off,
        });
        word.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Formats>, D::Error> {
        let word = Option::<Word>::deserialize(from)?;
        Ok(word.map(|word| match word {
            Word::Strict => Formats::Strict,
            Word::OwnOnly => Formats::OwnOnly,
            Word::Off => Formats::Off,
        }))
    }
}

/// Whether an agent's configuration leaves it to the program.
#[expect(clippy::ref_option, reason = "serde asks with a reference")]
pub(crate) fn is_not_said(formats: &Option<Formats>) -> bool {
    formats.is_none()
}
