//! Names that people choose: of agents and tenants. Parsed once, never folded or escaped.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use dormouse_filesystem::Segment;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::segment;

/// Longest name of an agent or a tenant, in bytes.
pub const NAME_MAX: usize = 63;

/// A name that cannot be taken. The input is not repeated: it may be hostile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing at all.
    #[error("the name of {kind} is empty")]
    Empty {
        /// What it is to name.
        kind: &'static str,
    },
    /// Over [`NAME_MAX`].
    #[error("the name of {kind} has {found} bytes, at most {NAME_MAX} are taken")]
    TooLong {
        /// What it is to name.
        kind: &'static str,
        /// Its bytes.
        found: usize,
    },
    /// A byte outside the alphabet.
    #[error("the name of {kind} has only a-z 0-9 _ - . and begins with one of a-z 0-9 _")]
    Byte {
        /// What it is to name.
        kind: &'static str,
    },
}

fn check(kind: &'static str, name: &str) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty { kind });
    }
    if name.len() > NAME_MAX {
        return Err(InvalidName::TooLong {
            kind,
            found: name.len(),
        });
    }
    Segment::parse(name)
        .map(drop)
        .map_err(|_| InvalidName::Byte { kind })
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as a part of a key.
            #[must_use]
            pub fn segment(&self) -> Segment {
                segment(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                check($kind, name).map(|()| Self(name.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
                name.parse().map_err(serde::de::Error::custom)
            }
        }

        impl dormouse_filesystem::RecordId for $name {
            fn segments(&self) -> Vec<Segment> {
                vec![self.segment()]
            }

            fn from_segments(segments: &[&str]) -> Option<Self> {
                match segments {
                    [one] => one.parse().ok(),
                    _ => None,
                }
            }
        }
    )*};
}

names! {
    /// The name of an agent: `[a-z0-9_][a-z0-9_.-]{0,62}`.
    ///
    /// ```
    /// use dormouse_engine::AgentName;
    /// assert!("alice".parse::<AgentName>().is_ok());
    /// assert!("../alice".parse::<AgentName>().is_err());
    /// ```
    AgentName "an agent";
    /// The name of a tenant: `[a-z0-9_][a-z0-9_.-]{0,62}`.
    TenantId "a tenant";
    /// The name of a sink or an observer of events: `[a-z0-9_][a-z0-9_.-]{0,62}`.
    SinkName "a sink";
    /// The name of a sweep of retention: `[a-z0-9_][a-z0-9_.-]{0,62}`.
    SweepName "a sweep";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_refused_and_not_repeated() {
        for bad in ["", ".a", "-a", "Alice", "a/b", "a b", "ä", &"a".repeat(64)] {
            let refused = bad.parse::<AgentName>().expect_err(bad).to_string();
            assert!(bad.len() < 3 || !refused.contains(bad), "{refused}");
        }
        assert!("a".repeat(63).parse::<AgentName>().is_ok());
    }
}
