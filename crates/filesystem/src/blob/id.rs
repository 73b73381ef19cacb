//! Names of blobs.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{RecordId, Segment};

const PREFIX: &str = "blb_";

/// The name of a blob: `blb_` and 32 hex digits. Whoever stages one makes it, from a clock and a generator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(u128);

impl BlobId {
    /// The id of this number: a UUID's, for one.
    #[must_use]
    pub const fn new(number: u128) -> Self {
        Self(number)
    }

    /// Reads an id as it is printed; none when it is no such id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == 32)?;
        let is_printed = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_printed.then(|| u128::from_str_radix(digits, 16).ok().map(Self))?
    }

    pub(super) fn segment(self) -> Segment {
        Segment::parse(&self.to_string()).expect("a prefix and hex digits are a legal name")
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:032x}", self.0)
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}

impl RecordId for BlobId {
    fn segments(&self) -> Vec<Segment> {
        vec![self.segment()]
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        match segments {
            [one] => Self::parse(one),
            _ => None,
        }
    }
}

impl Serialize for BlobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no blob's id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_printed_and_in_no_other_way() {
        for number in [0, 7, u128::MAX] {
            let id = BlobId::new(number);
            assert_eq!(BlobId::parse(&id.to_string()), Some(id));
        }
        let printed = BlobId::new(u128::MAX).to_string();
        for wrong in [
            "",
            "blb_",
            "blb_0",
            &printed.to_uppercase(),
            &printed[1..],
            &format!("{printed}0"),
        ] {
            assert_eq!(BlobId::parse(wrong), None, "{wrong}");
        }
        assert_eq!(BlobId::parse("blb_+0000000000000000000000000000000"), None);
    }
}
