//! Every type of event that this build writes.

use std::fmt;

use dormouse_secrets::VaultChange;
use serde::Deserialize;
use serde::de::value::MapDeserializer;

use super::Change;

/// Every type of event that this build writes, in alphabetical order. A log may hold those of other builds too.
///
/// It is read off [`Change`], and off the changes of credentials and of their vault: no type can be missing here.
#[must_use]
pub fn catalogue() -> Vec<&'static str> {
    let (of_engine, of_secrets) = (types::<Change>(), types::<dormouse_secrets::Change>());
    let mut types = [of_engine, of_secrets, types::<VaultChange>()].concat();
    types.sort_unstable();
    types
}

/// The types of an enum that is tagged by them: what serde says it knows, asked for one that it cannot.
fn types<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let none = MapDeserializer::<_, Variants>::new([("type", "")].into_iter());
    match T::deserialize(none) {
        Err(Variants(types)) => types,
        Ok(_) => unreachable!("no change is of no type"),
    }
}

#[derive(Debug)]
struct Variants(&'static [&'static str]);

impl fmt::Display for Variants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {} types is wanted", self.0.len())
    }
}

impl std::error::Error for Variants {}

impl serde::de::Error for Variants {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}
