//! The values of the index, as bytes. Pure functions; no input makes them panic.

use crate::commit_log::Place;
use crate::commit_log::frame::Ended;
use crate::{LogHead, Position, Predecessor, Version};

/// Where an item lies in the log, and what a page needs to know of it without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Its frame.
    pub(crate) place: Place,
    /// The operation's offset in the frame.
    pub(crate) at: u32,
    /// Bytes of kind and value, or of the log entry.
    pub(crate) weight: u32,
    /// The commit that wrote it.
    pub(crate) version: u64,
}

impl Spot {
    #[cfg(feature = "sled")]
    pub(crate) fn encode(&self) -> [u8; 28] {
        let mut bytes = [0; 28];
        bytes[0..4].copy_from_slice(&self.place.segment.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.place.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.place.len.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.at.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.weight.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.version.to_le_bytes());
        bytes
    }

    #[cfg(feature = "sled")]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 28] = bytes.try_into().ok()?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Some(Self {
            place: Place {
                segment: word(0),
                offset: word(4),
                len: word(8),
            },
            at: word(12),
            weight: word(16),
            version: u64::from(word(20)) | u64::from(word(24)) << 32,
        })
    }
}

/// A log's head, and the commit that last changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) incarnation: u64,
    pub(crate) first: u64,
    pub(crate) next: u64,
    pub(crate) bytes: u64,
    pub(crate) version: u64,
    pub(crate) predecessor: Option<Ended>,
}

impl Head {
    /// Of a log whose first append is in this commit.
    pub(crate) fn begun(version: u64) -> Self {
        Self {
            incarnation: version,
            first: Position::FIRST.get(),
            next: Position::FIRST.get(),
            bytes: 0,
            version: 0,
            predecessor: None,
        }
    }

    /// Of a log that this commit begins where another one ended.
    pub(crate) fn begun_at(version: u64, first: u64, predecessor: Option<Ended>) -> Self {
        Self {
            first,
            next: first,
            predecessor,
            ..Self::begun(version)
        }
    }

    #[cfg(feature = "sled")]
    pub(crate) fn encode(&self) -> [u8; 56] {
        let mut bytes = [0; 56];
        let numbers = [self.incarnation, self.first, self.next, self.bytes, self.version];
        for (field, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        bytes[40..].copy_from_slice(&Ended::encode(self.predecessor));
        bytes
    }

    #[cfg(feature = "sled")]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 56] = bytes.try_into().ok()?;
        let number = |at: usize| {
            let field = bytes.iter().skip(at * 8).take(8).rev();
            field.fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        Some(Self {
            incarnation: number(0),
            first: number(1),
            next: number(2),
            bytes: number(3),
            version: number(4),
            predecessor: Ended::decode(&bytes[40..])?,
        })
    }
}

impl From<Head> for LogHead {
    fn from(head: Head) -> Self {
        Self {
            incarnation: Some(Version::new(head.incarnation)),
            first: Position::new(head.first),
            next: Position::new(head.next),
            bytes: head.bytes,
            predecessor: head.predecessor.map(|ended| Predecessor {
                incarnation: Version::new(ended.incarnation),
                next: Position::new(ended.next),
            }),
        }
    }
}

/// A spot of a commit, for tests to which it does not matter where it is.
#[cfg(all(test, feature = "sled"))]
pub(crate) fn spot(version: u64) -> Spot {
    let place = Place {
        segment: 1,
        offset: 64,
        len: 40,
    };
    Spot {
        place,
        at: 32,
        weight: 5,
        version,
    }
}

#[cfg(all(test, feature = "sled"))]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn spots_and_heads_read_back_as_written(n: [u64; 7], w: [u32; 5]) {
            let place = Place { segment: w[0], offset: w[1], len: w[2] };
            let spot = Spot { place, at: w[3], weight: w[4], version: n[0] };
            proptest::prop_assert_eq!(Spot::decode(&spot.encode()), Some(spot));
            let predecessor = (n[5] > 0).then_some(Ended { incarnation: n[5], next: n[6] });
            let [incarnation, first, next, bytes, version, ..] = n;
            let head = Head { incarnation, first, next, bytes, version, predecessor };
            proptest::prop_assert_eq!(Head::decode(&head.encode()), Some(head));
        }

        #[test]
        fn other_bytes_are_refused(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(Spot::decode(&bytes).is_some(), bytes.len() == 28);
            proptest::prop_assert_eq!(Head::decode(&bytes).is_some(), bytes.len() == 56);
        }
    }
}
