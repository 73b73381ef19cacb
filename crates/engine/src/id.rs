//! Ids: a prefix that says the kind, and a uuid v7 as 32 hexadecimal digits. Parsed once, at the edge.
//!
//! An id is made from a time and a generator that are handed in, so the ids of one kind sort by when they were made.

use std::fmt;
use std::str::FromStr;

use dormouse_filesystem::Segment;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::Random;

/// Hexadecimal digits behind an id's prefix.
pub const ID_DIGITS: usize = 32;
/// Fewest digits of the short form of an id.
pub const ID_SHORT_MIN: usize = 8;

/// Every prefix in use, with the noun people know it by: so that an id of another kind can be named as such.
const KINDS: &[(&str, &str)] = &[
    ("tsk_", "task"),
    ("run_", "run"),
    ("ses_", "session"),
    ("lse_", "lease"),
    ("evt_", "event"),
    ("op_", "operation"),
    ("gat_", "gate"),
    ("thr_", "thread"),
    ("msg_", "message"),
    ("hld_", "hold"),
    ("sch_", "schedule"),
    ("mon_", "monitor"),
    ("wak_", "wake"),
    ("blb_", "blob"),
];

/// A text that is not the id that is wanted. Nothing was looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// An id of another kind.
    #[error("{found_prefix}… is a {found}, a {wanted} ({wanted_prefix}…) is wanted")]
    OtherKind {
        /// The noun of the kind that was given.
        found: &'static str,
        /// Its prefix.
        found_prefix: &'static str,
        /// The noun of the kind that is wanted.
        wanted: &'static str,
        /// Its prefix.
        wanted_prefix: &'static str,
    },
    /// No known prefix.
    #[error("the id of a {wanted} begins with {wanted_prefix}")]
    Prefix {
        /// The noun of the kind that is wanted.
        wanted: &'static str,
        /// Its prefix.
        wanted_prefix: &'static str,
    },
    /// Too few digits, or too many.
    #[error(
        "the id of a {wanted} has {ID_DIGITS} digits after {wanted_prefix} ({ID_SHORT_MIN} or more of its short form), not {found}"
    )]
    Length {
        /// The noun of the kind that is wanted.
        wanted: &'static str,
        /// Its prefix.
        wanted_prefix: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A character that is no digit.
    #[error("the id of a {wanted} has only the digits 0-9 and a-f after {wanted_prefix}")]
    Digit {
        /// The noun of the kind that is wanted.
        wanted: &'static str,
        /// Its prefix.
        wanted_prefix: &'static str,
    },
}

/// A whole id, or the beginning of one that a service looks up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given<I> {
    /// All of it.
    Whole(I),
    /// Its first [`ID_SHORT_MIN`] digits or more.
    Short(Short),
}

/// The beginning of an id, prefix included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Short(String);

impl Short {
    /// The text, prefix included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.0)
    }
}

/// What all prefixed ids share.
pub trait PrefixedId: Sized {
    /// Its prefix, underscore included.
    const PREFIX: &'static str;
    /// What people call the thing.
    const NOUN: &'static str;

    /// The id of these 128 bits.
    fn from_uuid(uuid: Uuid) -> Self;

    /// The id's 128 bits.
    fn uuid(&self) -> Uuid;

    /// A new id. The generator makes it unique, the time makes it sort.
    #[must_use]
    fn make(now: Timestamp, random: &Random) -> Self {
        Self::from_uuid(uuid_v7(now, random))
    }

    /// Parses a whole id or its short form.
    ///
    /// # Errors
    /// [`InvalidId`], which says what is wrong.
    fn given(text: &str) -> Result<Given<Self>, InvalidId> {
        let digits = digits::<Self>(text)?;
        match digits.len() {
            ID_DIGITS => Ok(Given::Whole(Self::from_uuid(parsed::<Self>(digits)?))),
            ID_SHORT_MIN..ID_DIGITS => Ok(Given::Short(Short(text.to_owned()))),
            found => Err(length::<Self>(found)),
        }
    }
}

/// A uuid v7 of this millisecond.
pub(crate) fn uuid_v7(now: Timestamp, random: &Random) -> Uuid {
    let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &random.bytes()).into_uuid()
}

fn digits<I: PrefixedId>(text: &str) -> Result<&str, InvalidId> {
    let Some(digits) = text.strip_prefix(I::PREFIX) else {
        return Err(other_kind::<I>(text));
    };
    if digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(digits)
    } else {
        Err(InvalidId::Digit {
            wanted: I::NOUN,
            wanted_prefix: I::PREFIX,
        })
    }
}

fn other_kind<I: PrefixedId>(text: &str) -> InvalidId {
    match KINDS.iter().find(|(prefix, _)| text.starts_with(prefix)) {
        Some(&(found_prefix, found)) => InvalidId::OtherKind {
            found,
            found_prefix,
            wanted: I::NOUN,
            wanted_prefix: I::PREFIX,
        },
        None => InvalidId::Prefix {
            wanted: I::NOUN,
            wanted_prefix: I::PREFIX,
        },
    }
}

fn length<I: PrefixedId>(found: usize) -> InvalidId {
    InvalidId::Length {
        wanted: I::NOUN,
        wanted_prefix: I::PREFIX,
        found,
    }
}

fn parsed<I: PrefixedId>(digits: &str) -> Result<Uuid, InvalidId> {
    if digits.len() == ID_DIGITS {
        Ok(Uuid::try_parse(digits).expect("32 hexadecimal digits are a uuid"))
    } else {
        Err(length::<I>(digits.len()))
    }
}

fn parse<I: PrefixedId>(text: &str) -> Result<I, InvalidId> {
    digits::<I>(text).and_then(parsed::<I>).map(I::from_uuid)
}

macro_rules! prefixed_ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal $noun:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl PrefixedId for $name {
            const PREFIX: &'static str = $prefix;
            const NOUN: &'static str = $noun;

            fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            fn uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl dormouse_filesystem::RecordId for $name {
            fn segments(&self) -> Vec<Segment> {
                vec![segment(&self.to_string())]
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

pub(crate) fn segment(text: &str) -> Segment {
    Segment::parse(text).expect("ids and names are parsed to be segments")
}

prefixed_ids! {
    /// A task.
    TaskId "tsk_" "task";
    /// A run: one attempt at a task, or an ad hoc piece of work.
    RunId "run_" "run";
    /// One holding of a lease.
    LeaseId "lse_" "lease";
    /// An entry of the event log.
    EventId "evt_" "event";
    /// One command: what wrote a row is its operation.
    OpId "op_" "operation";
    /// A session.
    SessionId "ses_" "session";
    /// A gate: a question to a human.
    GateId "gat_" "gate";
    /// A thread: a conversation with an agent.
    ThreadId "thr_" "thread";
    /// A message of a thread.
    MessageId "msg_" "message";
    /// A hold: a reservation in a chain of accounts.
    HoldId "hld_" "hold";
    /// A timed wake: that an agent is to be woken at a time.
    WakeId "wak_" "wake";
}

/// Given at creation, so that what a former holder of a name wrote is not taken for the present one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(Uuid);

impl Incarnation {
    /// A new one.
    #[must_use]
    pub fn make(now: Timestamp, random: &Random) -> Self {
        Self(uuid_v7(now, random))
    }

    /// The same, as secrets are kept by it.
    pub(crate) fn of_secrets(self) -> dormouse_secrets::Incarnation {
        dormouse_secrets::Incarnation::from_u128(self.0.as_u128())
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0198c0de7f3a7c11a2b3c4d5e6f70819";

    fn refused(text: &str) -> String {
        text.parse::<TaskId>().expect_err(text).to_string()
    }

    #[test]
    fn an_id_prints_as_it_was_read() {
        let text = format!("tsk_{HEX}");
        assert_eq!(text.parse::<TaskId>().unwrap().to_string(), text);
    }

    #[test]
    fn what_is_no_id_is_told_what_is_wrong() {
        assert_eq!(
            refused(&format!("run_{HEX}")),
            "run_… is a run, a task (tsk_…) is wanted"
        );
        assert_eq!(refused("7"), "the id of a task begins with tsk_");
        assert!(refused("tsk_0198c0de").ends_with("not 8"));
        assert!(refused(&format!("tsk_{}", HEX.to_uppercase())).contains("only the digits"));
        assert!(refused("tsk_ä").contains("only the digits"));
    }

    #[test]
    fn a_short_form_has_eight_digits_or_more() {
        assert!(matches!(TaskId::given("tsk_0198c0de"), Ok(Given::Short(_))));
        assert!(matches!(
            TaskId::given(&format!("tsk_{HEX}")),
            Ok(Given::Whole(_))
        ));
        assert!(matches!(
            TaskId::given("tsk_0198c0d"),
            Err(InvalidId::Length { found: 7, .. })
        ));
        assert!(matches!(
            TaskId::given(&format!("tsk_{HEX}0")),
            Err(InvalidId::Length { found: 33, .. })
        ));
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let random = Random::seeded(1);
        let at = |ms| TaskId::make(Timestamp::from_millisecond(ms).unwrap(), &random);
        assert!(at(1_000) < at(1_001));
        assert_ne!(at(1_000), at(1_000));
    }
}
