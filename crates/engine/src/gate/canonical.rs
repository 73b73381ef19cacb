//! Input in its one canonical form: members sorted by bytes, no space, strings escaped alike, numbers as written.
//!
//! Two texts have the same canonical form exactly when they mean the same input. Numbers stay as they are written,
//! since reading them would merge large ones: 2⁵³ and 2⁵³ + 1 are different inputs, and so are 1 and 1.0.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits::{GATE_INPUT_DEPTH_MAX, GATE_INPUT_MAX};

/// The canonical form of some JSON.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Canonical(String);

/// A text that is no input. Nothing was opened.
#[derive(Debug, thiserror::Error)]
pub enum InvalidInput {
    /// Over [`GATE_INPUT_MAX`].
    #[error("it has {bytes} bytes, at most {GATE_INPUT_MAX} are taken")]
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// Over [`GATE_INPUT_DEPTH_MAX`].
    #[error("it is nested deeper than {GATE_INPUT_DEPTH_MAX}")]
    TooDeep,
    /// No JSON, or a member that is there twice.
    #[error("it is no JSON with one meaning: {0}")]
    Json(#[from] serde_json::Error),
}

impl Canonical {
    /// The canonical form of this JSON text.
    ///
    /// # Errors
    /// [`InvalidInput`]: no JSON, a member twice in one object, too long, too deep.
    pub fn parse(text: &str) -> Result<Self, InvalidInput> {
        if text.len() > GATE_INPUT_MAX {
            return Err(InvalidInput::TooLong { bytes: text.len() });
        }
        let raw: &RawValue = serde_json::from_str(text)?;
        let mut canonical = String::with_capacity(text.len());
        write(&mut canonical, raw.get(), 0)?;
        Ok(Self(canonical))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Input may hold a secret, so it is not printed.
impl fmt::Debug for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Canonical(*** {} bytes)", self.0.len())
    }
}

/// Each level reads its part again, so the depth is bounded.
fn write(out: &mut String, raw: &str, depth: usize) -> Result<(), InvalidInput> {
    if depth > GATE_INPUT_DEPTH_MAX {
        return Err(InvalidInput::TooDeep);
    }
    match raw.as_bytes().first() {
        Some(b'{') => write_object(out, raw, depth),
        Some(b'[') => write_array(out, raw, depth),
        Some(b'"') => write_string(out, &serde_json::from_str::<String>(raw)?),
        _ => {
            out.push_str(raw);
            Ok(())
        }
    }
}

fn write_object(out: &mut String, raw: &str, depth: usize) -> Result<(), InvalidInput> {
    let Members(members) = serde_json::from_str(raw)?;
    out.push('{');
    for (nth, (name, value)) in members.iter().enumerate() {
        if nth > 0 {
            out.push(',');
        }
        write_string(out, name)?;
        out.push(':');
        write(out, value.get(), depth + 1)?;
    }
    out.push('}');
    Ok(())
}

fn write_array(out: &mut String, raw: &str, depth: usize) -> Result<(), InvalidInput> {
    let items: Vec<&RawValue> = serde_json::from_str(raw)?;
    out.push('[');
    for (nth, item) in items.iter().enumerate() {
        if nth > 0 {
            out.push(',');
        }
        write(out, item.get(), depth + 1)?;
    }
    out.push(']');
    Ok(())
}

fn write_string(out: &mut String, text: &str) -> Result<(), InvalidInput> {
    out.push_str(&serde_json::to_string(text)?);
    Ok(())
}

/// The members of an object, sorted by the bytes of their names; one that is there twice is an error.
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;

        impl<'de> Visitor<'de> for Once {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if members.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("a member is there twice"));
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Once)
    }
}
