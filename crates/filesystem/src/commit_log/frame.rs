//! A frame: one commit as bytes. Pure functions; no input makes them panic.

/// Bytes before a frame's operations.
pub const HEADER_BYTES: usize = 32;
/// Longest frame: a whole batch with the overhead of all its operations.
pub const FRAME_MAX: usize = 2 * 1024 * 1024;
/// Frames begin at multiples of this.
pub const ALIGNMENT: usize = 8;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const APPEND: u8 = 3;
const TRUNCATE: u8 = 4;

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

/// One change of a commit. Keys are in their stored form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// A record written.
    Put {
        /// Its key.
        key: &'a str,
        /// The version replaced; 0 for none.
        was: u64,
        /// What it is.
        kind: &'a str,
        /// Its bytes.
        value: &'a [u8],
    },
    /// A record removed.
    Delete {
        /// Its key.
        key: &'a str,
        /// The version removed.
        was: u64,
    },
    /// An entry added to a log.
    Append {
        /// The log.
        log: &'a str,
        /// Its place.
        position: u64,
        /// Its bytes.
        entry: &'a [u8],
    },
    /// The entries of a log before a position dropped.
    Truncate {
        /// The log.
        log: &'a str,
        /// The first position until now.
        first: u64,
        /// The new first position.
        before: u64,
        /// How many bytes of entries that drops.
        bytes: u64,
    },
}

impl std::fmt::Debug for Operation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put {
                key,
                was,
                kind,
                value,
            } => {
                write!(f, "Put({kind} {key} was {was}, {} bytes)", value.len())
            }
            Self::Delete { key, was } => write!(f, "Delete({key} was {was})"),
            Self::Append { log, position, entry } => {
                write!(f, "Append({log} {position}, {} bytes)", entry.len())
            }
            Self::Truncate {
                log,
                first,
                before,
                bytes,
            } => write!(f, "Truncate({log} {first} to {before}, {bytes} bytes)"),
        }
    }
}

impl Operation<'_> {
    /// Bytes it takes in a frame.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        match self {
            Self::Put { key, kind, value, .. } => 16 + key.len() + kind.len() + value.len(),
            Self::Delete { key, .. } => 16 + key.len(),
            Self::Append { log, entry, .. } => 16 + log.len() + entry.len(),
            Self::Truncate { log, .. } => 32 + log.len(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Put {
                key,
                was,
                kind,
                value,
            } => {
                fixed(out, PUT, kind.len(), key.len(), value.len(), was);
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(kind.as_bytes());
                out.extend_from_slice(value);
            }
            Self::Delete { key, was } => {
                fixed(out, DELETE, 0, key.len(), 0, was);
                out.extend_from_slice(key.as_bytes());
            }
            Self::Append { log, position, entry } => {
                fixed(out, APPEND, 0, log.len(), entry.len(), position);
                out.extend_from_slice(log.as_bytes());
                out.extend_from_slice(entry);
            }
            Self::Truncate {
                log,
                first,
                before,
                bytes,
            } => {
                fixed(out, TRUNCATE, 0, log.len(), 0, before);
                out.extend_from_slice(&first.to_le_bytes());
                out.extend_from_slice(&bytes.to_le_bytes());
                out.extend_from_slice(log.as_bytes());
            }
        }
    }
}

/// The 16 bytes every operation begins with. Lengths fit: keys, kinds, values have been held against their limits.
fn fixed(out: &mut Vec<u8>, tag: u8, kind_len: usize, key_len: usize, value_len: usize, number: u64) {
    let kind_len = u8::try_from(kind_len).expect("a kind has at most 63 bytes");
    let key_len = u16::try_from(key_len).expect("a key has at most 512 bytes");
    let value_len = u32::try_from(value_len).expect("a value has at most 768 KiB");
    let mut bytes = [0; 16];
    bytes[0] = tag;
    bytes[1] = kind_len;
    bytes[2..4].copy_from_slice(&key_len.to_le_bytes());
    bytes[4..8].copy_from_slice(&value_len.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&bytes);
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
    let start = out.len();
    out.resize(start + HEADER_BYTES, 0);
    let mut count = 0_u32;
    for operation in operations {
        operation.encode(out);
        count += 1;
    }
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
            header: Header {
                version: u64_at(bytes, 8)?,
                group: u64_at(bytes, 16)?,
                segment: u32_at(bytes, 24)?,
            },
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

fn operation_at(bytes: &[u8], at: usize) -> Option<Operation<'_>> {
    let fixed = bytes.get(at..at.checked_add(16)?)?;
    let kind_len = usize::from(fixed[1]);
    let key_len = usize::from(u16::from_le_bytes([fixed[2], fixed[3]]));
    let value_len = u32_at(fixed, 4)? as usize;
    let number = u64_at(fixed, 8)?;
    let mut rest = &bytes[at + 16..];
    let operation = match fixed[0] {
        PUT => Operation::Put {
            key: text(&mut rest, key_len)?,
            was: number,
            kind: text(&mut rest, kind_len)?,
            value: take(&mut rest, value_len)?,
        },
        DELETE => Operation::Delete {
            key: text(&mut rest, key_len)?,
            was: number,
        },
        APPEND => Operation::Append {
            log: text(&mut rest, key_len)?,
            position: number,
            entry: take(&mut rest, value_len)?,
        },
        TRUNCATE => Operation::Truncate {
            before: number,
            first: u64_at(take(&mut rest, 8)?, 0)?,
            bytes: u64_at(take(&mut rest, 8)?, 0)?,
            log: text(&mut rest, key_len)?,
        },
        _ => return None,
    };
    Some(operation)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

fn text<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a str> {
    std::str::from_utf8(take(rest, len)?).ok()
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(field.try_into().ok()?))
}
