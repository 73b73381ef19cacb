//! A frame: one commit as bytes. Pure functions; no input makes them panic.

use super::operation::operation_at;
pub use super::operation::{Ended, Operation};

/// Bytes before a frame's operations.
pub const HEADER_BYTES: usize = 32;
/// Longest frame: a whole batch with the overhead of all its operations.
pub const FRAME_MAX: usize = 2 * 1024 * 1024;
/// Frames begin at multiples of this.
pub const ALIGNMENT: usize = 8;

/// The next multiple of [`ALIGNMENT`].
#[must_use]
pub const fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// What the checksums of a store's frames begin with: its id's. So no value, however made, and no frame of another
/// store passes for a frame of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u32);

impl Seed {
    /// The seed of this store.
    #[must_use]
    pub fn of(store: [u8; 16]) -> Self {
        Self(crc32c::crc32c(&store))
    }
}

/// What a frame says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The commit's version.
    pub version: u64,
    /// The segment and offset of the first frame that was flushed with this one.
    pub group: u64,
    /// The segment it was written to.
    pub segment: u32,
}

/// Operations that will be a frame, as bytes.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    bytes: Vec<u8>,
    count: u32,
}

impl Packed {
    /// Adds one.
    pub fn push(&mut self, operation: &Operation<'_>) {
        operation.encode(&mut self.bytes);
        self.count += 1;
    }

    /// Bytes of them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Appends a frame and its padding to a buffer whose length is a multiple of [`ALIGNMENT`].
///
/// Returns the frame's length without the padding.
pub fn encode<'a>(
    header: Header,
    seed: Seed,
    operations: impl Iterator<Item = Operation<'a>>,
    out: &mut Vec<u8>,
) -> usize {
    framed(header, seed, out, |out| {
        operations.fold(0, |count, operation| {
            operation.encode(out);
            count + 1
        })
    })
}

/// As [`encode`], of operations packed before.
pub fn encode_packed(header: Header, seed: Seed, packed: &Packed, out: &mut Vec<u8>) -> usize {
    framed(header, seed, out, |out| {
        out.extend_from_slice(&packed.bytes);
        packed.count
    })
}

fn framed(header: Header, seed: Seed, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> u32) -> usize {
    let start = out.len();
    out.resize(start + HEADER_BYTES, 0);
    let count = write(out);
    let len = out.len() - start;
    let frame = &mut out[start..];
    let len_field = u32::try_from(len).expect("a frame is at most FRAME_MAX");
    frame[0..4].copy_from_slice(&len_field.to_le_bytes());
    frame[8..16].copy_from_slice(&header.version.to_le_bytes());
    frame[16..24].copy_from_slice(&header.group.to_le_bytes());
    frame[24..28].copy_from_slice(&header.segment.to_le_bytes());
    frame[28..32].copy_from_slice(&count.to_le_bytes());
    let crc = checksum(frame, seed);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    out.resize(start + aligned(len), 0);
    len
}

fn checksum(frame: &[u8], Seed(seed): Seed) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &frame[0..4]), &frame[8..])
}

/// The length that the bytes at a frame's place claim; none when they cannot begin a frame. 0 is the end.
#[must_use]
pub fn claimed_len(bytes: &[u8]) -> Option<usize> {
    let len = u32_at(bytes, 0)? as usize;
    (len == 0 || (HEADER_BYTES..=FRAME_MAX).contains(&len)).then_some(len)
}

/// What the first bytes of a frame say, before anything of it is verified: for passing over what is none.
#[must_use]
pub fn claimed_header(bytes: &[u8]) -> Option<Header> {
    Some(Header {
        version: u64_at(bytes, 8)?,
        group: u64_at(bytes, 16)?,
        segment: u32_at(bytes, 24)?,
    })
}

/// A frame whose checksum was verified.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    header: Header,
    count: u32,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Verifies the bytes of one frame, exactly as long as it says. None when anything is wrong with them.
    #[must_use]
    pub fn decode(bytes: &'a [u8], seed: Seed) -> Option<Self> {
        let frame = Self::verified(bytes)?;
        (u32_at(bytes, 4)? == checksum(bytes, seed)).then_some(frame)
    }

    /// Reads the bytes of a frame whose checksum was verified before.
    #[must_use]
    pub fn verified(bytes: &'a [u8]) -> Option<Self> {
        let len = claimed_len(bytes).filter(|len| *len == bytes.len() && *len > 0)?;
        Some(Self {
            header: claimed_header(bytes)?,
            count: u32_at(bytes, 28)?,
            bytes: &bytes[..len],
        })
    }

    /// What the frame says about itself.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header
    }

    /// The operations with their offsets in the frame. It ends early at what is no operation; see
    /// [`is_whole`](Self::is_whole).
    pub fn operations(&self) -> impl Iterator<Item = (usize, Operation<'a>)> + use<'a> {
        let bytes = self.bytes;
        let mut at = HEADER_BYTES;
        (0..self.count).map_while(move |_| {
            let operation = operation_at(bytes, at)?;
            let found = (at, operation);
            at += operation.encoded_len();
            Some(found)
        })
    }

    /// Whether its operations are as many as it says and fill it: false for what a correct writer never made.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let (count, end) = self
            .operations()
            .fold((0_u32, HEADER_BYTES), |(count, _), (at, operation)| {
                (count + 1, at + operation.encoded_len())
            });
        count == self.count && end == self.bytes.len()
    }

    /// The operation at an offset that an index remembers; none when there is none there.
    #[must_use]
    pub fn operation(&self, at: usize) -> Option<Operation<'a>> {
        (at >= HEADER_BYTES)
            .then(|| operation_at(self.bytes, at))
            .flatten()
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(field.try_into().ok()?))
}
