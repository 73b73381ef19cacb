//! A segment's header and name. Pure functions; no input makes them panic.

use super::FORMAT;
use super::frame::{u32_at, u64_at};

/// Bytes before a segment's first frame.
pub const HEADER_BYTES: usize = 56;

const MAGIC: &[u8; 8] = b"dormseg\n";
const CRC_AT: usize = 48;

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Its number: one more than the segment before.
    pub segment: u32,
    /// The store it belongs to.
    pub store: [u8; 16],
    /// No version in it is lower.
    pub floor: u64,
    /// The last version written before it; 0 in a store's first segment.
    pub previous: u64,
}

/// Why bytes are no header of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// They were damaged, or never were a header.
    Damaged,
    /// A newer build wrote them.
    TooNew {
        /// The format found.
        found: u32,
    },
}

impl SegmentHeader {
    /// The header as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.segment.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.store);
        bytes[32..40].copy_from_slice(&self.floor.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.previous.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header back.
    ///
    /// # Errors
    /// `TooNew` for one of a later format, `Damaged` for anything else that is not exactly one.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let format = (bytes.get(0..8) == Some(MAGIC))
            .then(|| u32_at(bytes, 8))
            .flatten();
        match format {
            Some(FORMAT) => Self::fields(bytes).ok_or(Unreadable::Damaged),
            Some(found) if found > FORMAT => Err(Unreadable::TooNew { found }),
            Some(_) | None => Err(Unreadable::Damaged),
        }
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        let crc = crc32c::crc32c(bytes.get(..CRC_AT)?);
        (u32_at(bytes, CRC_AT)? == crc).then_some(())?;
        Some(Self {
            segment: u32_at(bytes, 12)?,
            store: bytes.get(16..32)?.try_into().ok()?,
            floor: u64_at(bytes, 32)?,
            previous: u64_at(bytes, 40)?,
        })
    }
}

/// The name of a segment that begins at this version.
#[must_use]
pub fn name(floor: u64) -> String {
    format!("{floor:020}.seg")
}

/// The version in a segment's name; none for a file that is no segment.
#[must_use]
pub fn floor_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}
