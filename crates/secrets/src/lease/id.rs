//! The id of a lease: `lse_` and 32 hexadecimal digits, from a time and random bytes.

use std::fmt;
use std::str::FromStr;

use dormouse_filesystem::{RecordId, Segment};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::{LeaseError, Random, random};

const PREFIX: &str = "lse_";

/// The id of a lease, or of a credential session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(Uuid);

impl LeaseId {
    pub(crate) fn make(now: Timestamp, random: &dyn Random) -> Self {
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let bytes = random::bytes::<10>(random);
        Self(uuid::Builder::from_unix_timestamp_millis(milliseconds, &bytes).into_uuid())
    }
}

impl FromStr for LeaseId {
    type Err = LeaseError;

    fn from_str(text: &str) -> Result<Self, LeaseError> {
        let digits = text.strip_prefix(PREFIX).ok_or(LeaseError::Unknown)?;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 32 || !digits.bytes().all(is_digit) {
            return Err(LeaseError::Unknown);
        }
        Uuid::try_parse(digits).map(Self).map_err(|_| LeaseError::Unknown)
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0.simple())
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for LeaseId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LeaseId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| serde::de::Error::custom("is no id of a lease"))
    }
}

impl RecordId for LeaseId {
    fn segments(&self) -> Vec<Segment> {
        vec![Segment::parse(&self.to_string()).expect("an id is a segment")]
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        match segments {
            [one] => one.parse().ok(),
            _ => None,
        }
    }
}
