//! What a frame holds: operations, as bytes. Pure functions; no input makes them panic.

use super::frame::{u32_at, u64_at};

const PUT: u8 = 1;
const DELETE: u8 = 2;
const APPEND: u8 = 3;
const TRUNCATE: u8 = 4;
const BEGIN: u8 = 5;
const MOVED: u8 = 6;
const MOVED_ENTRY: u8 = 7;
const HEAD: u8 = 8;
const CLEANED: u8 = 9;
const LOST: u8 = 10;

/// A log that another one continues. Written as two zeros where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its incarnation, which is never 0.
    pub incarnation: u64,
    /// The position behind its last.
    pub next: u64,
}

impl Ended {
    /// Bytes it takes.
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn encode(ended: Option<Self>) -> [u8; Self::BYTES] {
        let numbers = ended.map_or([0, 0], |ended| [ended.incarnation, ended.next]);
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&numbers[0].to_le_bytes());
        bytes[8..].copy_from_slice(&numbers[1].to_le_bytes());
        bytes
    }

    /// None for bytes that are too few.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Option<Self>> {
        let (incarnation, next) = (u64_at(bytes, 0)?, u64_at(bytes, 8)?);
        Some((incarnation > 0).then_some(Self { incarnation, next }))
    }
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
    /// A log that begins where another one ended.
    Begin {
        /// The log.
        log: &'a str,
        /// Its first position, and that of its first entry.
        first: u64,
        /// The log it continues.
        predecessor: Option<Ended>,
    },
    /// A record as it is, written again so that the segment it lay in can go.
    Moved {
        /// Its key.
        key: &'a str,
        /// The version it has, older than the frame's.
        version: u64,
        /// What it is.
        kind: &'a str,
        /// Its bytes.
        value: &'a [u8],
    },
    /// An entry of a log as it is, written again so that the segment it lay in can go.
    MovedEntry {
        /// The log.
        log: &'a str,
        /// Its place.
        position: u64,
        /// The version it has, older than the frame's.
        version: u64,
        /// Its bytes.
        entry: &'a [u8],
    },
    /// Where a log begins and ends now, whatever the segments before say.
    Head {
        /// The log.
        log: &'a str,
        /// The version of its first append.
        incarnation: u64,
        /// Its first position.
        first: u64,
        /// The position of the next append.
        next: u64,
        /// Bytes of its entries.
        bytes: u64,
        /// The log it continues.
        predecessor: Option<Ended>,
    },
    /// What is live of all segments up to this one was written again before this: they are not needed any more.
    Cleaned {
        /// The last of those segments.
        segment: u64,
    },
    /// Nothing, in the place of bytes that could not be read and were moved aside.
    Lost {
        /// How many.
        bytes: usize,
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
            Self::Begin { log, first, .. } => write!(f, "Begin({log} at {first})"),
            Self::Moved {
                key,
                version,
                kind,
                value,
            } => write!(f, "Moved({kind} {key} {version}, {} bytes)", value.len()),
            Self::MovedEntry {
                log,
                position,
                version,
                entry,
            } => write!(f, "MovedEntry({log} {position} {version}, {} bytes)", entry.len()),
            Self::Head {
                log,
                incarnation,
                first,
                next,
                bytes,
                ..
            } => write!(f, "Head({log} {incarnation}, {first} to {next}, {bytes} bytes)"),
            Self::Cleaned { segment } => write!(f, "Cleaned({segment})"),
            Self::Lost { bytes } => write!(f, "Lost({bytes} bytes)"),
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
            Self::Moved { key, kind, value, .. } => 16 + key.len() + kind.len() + value.len(),
            Self::MovedEntry { log, entry, .. } => 24 + log.len() + entry.len(),
            Self::Begin { log, .. } => 16 + Ended::BYTES + log.len(),
            Self::Head { log, .. } => 40 + Ended::BYTES + log.len(),
            Self::Cleaned { .. } => 16,
            Self::Lost { bytes } => 16 + *bytes,
        }
    }

    /// The version of the item it writes: its own if it was moved, else that of its frame.
    #[must_use]
    pub const fn version(&self, of_frame: u64) -> u64 {
        match *self {
            Self::Moved { version, .. } | Self::MovedEntry { version, .. } => version,
            Self::Put { .. }
            | Self::Delete { .. }
            | Self::Append { .. }
            | Self::Truncate { .. }
            | Self::Begin { .. }
            | Self::Head { .. }
            | Self::Cleaned { .. }
            | Self::Lost { .. } => of_frame,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
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
            Self::Begin {
                log,
                first,
                predecessor,
            } => {
                fixed(out, BEGIN, 0, log.len(), 0, first);
                out.extend_from_slice(&Ended::encode(predecessor));
                out.extend_from_slice(log.as_bytes());
            }
            Self::Moved {
                key,
                version,
                kind,
                value,
            } => {
                fixed(out, MOVED, kind.len(), key.len(), value.len(), version);
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(kind.as_bytes());
                out.extend_from_slice(value);
            }
            Self::MovedEntry {
                log,
                position,
                version,
                entry,
            } => {
                fixed(out, MOVED_ENTRY, 0, log.len(), entry.len(), position);
                out.extend_from_slice(&version.to_le_bytes());
                out.extend_from_slice(log.as_bytes());
                out.extend_from_slice(entry);
            }
            Self::Head {
                log,
                incarnation,
                first,
                next,
                bytes,
                predecessor,
            } => {
                fixed(out, HEAD, 0, log.len(), 0, incarnation);
                for number in [first, next, bytes] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                out.extend_from_slice(&Ended::encode(predecessor));
                out.extend_from_slice(log.as_bytes());
            }
            Self::Cleaned { segment } => fixed(out, CLEANED, 0, 0, 0, segment),
            Self::Lost { bytes } => {
                fixed(out, LOST, 0, 0, bytes, 0);
                out.resize(out.len() + bytes, 0);
            }
        }
    }
}

/// The 16 bytes every operation begins with. Lengths fit: keys, kinds, values have been held against their limits, and
/// what is lost is put into frames.
fn fixed(out: &mut Vec<u8>, tag: u8, kind_len: usize, key_len: usize, value_len: usize, number: u64) {
    let kind_len = u8::try_from(kind_len).expect("a kind has at most 63 bytes");
    let key_len = u16::try_from(key_len).expect("a key has at most 512 bytes");
    let value_len = u32::try_from(value_len).expect("a value is shorter than a frame");
    let mut bytes = [0; 16];
    bytes[0] = tag;
    bytes[1] = kind_len;
    bytes[2..4].copy_from_slice(&key_len.to_le_bytes());
    bytes[4..8].copy_from_slice(&value_len.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&bytes);
}

/// The operation at an offset of a frame; none when there is none there.
pub(super) fn operation_at(bytes: &[u8], at: usize) -> Option<Operation<'_>> {
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
        BEGIN => Operation::Begin {
            first: number,
            predecessor: Ended::decode(take(&mut rest, Ended::BYTES)?)?,
            log: text(&mut rest, key_len)?,
        },
        MOVED => Operation::Moved {
            key: text(&mut rest, key_len)?,
            version: number,
            kind: text(&mut rest, kind_len)?,
            value: take(&mut rest, value_len)?,
        },
        MOVED_ENTRY => Operation::MovedEntry {
            position: number,
            version: u64_at(take(&mut rest, 8)?, 0)?,
            log: text(&mut rest, key_len)?,
            entry: take(&mut rest, value_len)?,
        },
        HEAD => Operation::Head {
            incarnation: number,
            first: u64_at(take(&mut rest, 8)?, 0)?,
            next: u64_at(take(&mut rest, 8)?, 0)?,
            bytes: u64_at(take(&mut rest, 8)?, 0)?,
            predecessor: Ended::decode(take(&mut rest, Ended::BYTES)?)?,
            log: text(&mut rest, key_len)?,
        },
        CLEANED => Operation::Cleaned { segment: number },
        LOST => Operation::Lost {
            bytes: take(&mut rest, value_len)?.len(),
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
