//! Reading items of the commit log, verified.

use bytes::Bytes;

use super::spot::Spot;
use crate::commit_log::frame::{Frame, Operation};
use crate::commit_log::{Pin, Place, Reader};
use crate::{Entry, Key, Logged, Position, ReadError, RecordKind, Stream, Version};

/// Why an item was not fetched.
#[derive(Debug)]
pub(crate) enum Unfetched {
    Corrupt,
    Io(std::io::Error),
}

impl From<std::io::Error> for Unfetched {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl Unfetched {
    pub(crate) fn of(self, key: &Key) -> ReadError {
        match self {
            Self::Corrupt => ReadError::Corrupt { key: key.clone() },
            Self::Io(error) => ReadError::Unavailable {
                reason: "reading the store's files",
                source: Some(Box::new(error)),
            },
        }
    }
}

/// Reads items by where they lie.
pub(crate) trait Fetch<S> {
    /// The record of this key that lies there.
    fn entry(&mut self, key: &Key, spot: &S) -> Result<Entry, Unfetched>;
    /// The entry of a log at a position that lies there.
    fn logged(&mut self, log: &Stream, at: u64, spot: &S) -> Result<Logged, Unfetched>;
}

/// Most bytes that are read at once of frames that lie one behind the other.
const AHEAD_MAX: usize = 64 * 1024;
/// The least.
const AHEAD_MIN: usize = 4 * 1024;

/// Reads frames of the log, keeping the last: neighbours in a page often lie in one, or one behind the other. Of those
/// more are read at once, the more the longer it goes on.
///
/// What it is asked for was written before it was asked: so what it has read is as it will stay.
#[derive(Debug)]
pub(crate) struct LogFetch<'a> {
    reader: &'a Reader,
    buffer: Vec<u8>,
    /// Where the buffer's first byte lies: segment and offset.
    begin: (u32, u32),
    /// How much is read where one frame follows another.
    ahead: usize,
    /// The frame that was verified last; it is in the buffer.
    loaded: Option<Place>,
    /// Made before the index is looked at.
    _pin: Pin,
}

impl<'a> LogFetch<'a> {
    pub(crate) fn of(reader: &'a Reader) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            begin: (0, 0),
            ahead: 0,
            loaded: None,
            _pin: reader.pin(),
        }
    }

    /// The operation at a spot, if its frame, checksum and version are what the index says.
    fn operation(&mut self, spot: &Spot) -> Result<Operation<'_>, Unfetched> {
        let bytes = self.load(spot.place)?;
        let frame = Frame::verified(bytes).ok_or(Unfetched::Corrupt)?;
        let operation = frame.operation(spot.at as usize).ok_or(Unfetched::Corrupt)?;
        if operation.version(frame.header().version) != spot.version {
            return Err(Unfetched::Corrupt);
        }
        Ok(operation)
    }

    fn load(&mut self, place: Place) -> Result<&[u8], Unfetched> {
        if self.loaded != Some(place) {
            let before = self.loaded.take();
            if self.buffered(place).is_none() {
                self.ahead = match before {
                    Some(before) if follows(place, before) => (self.ahead * 2).clamp(AHEAD_MIN, AHEAD_MAX),
                    Some(_) | None => 0,
                };
                self.begin = (place.segment, place.offset);
                if !self.reader.read(place, self.ahead, &mut self.buffer)? {
                    return Err(Unfetched::Corrupt);
                }
            }
            let bytes = self.buffered(place).ok_or(Unfetched::Corrupt)?;
            if self.reader.verify(place, bytes).is_none() {
                return Err(Unfetched::Corrupt);
            }
            self.loaded = Some(place);
        }
        self.buffered(place).ok_or(Unfetched::Corrupt)
    }

    /// A frame's bytes, if they were read.
    fn buffered(&self, place: Place) -> Option<&[u8]> {
        let (segment, offset) = self.begin;
        let at = place.offset.checked_sub(offset)? as usize;
        let bytes = self.buffer.get(at..at.checked_add(place.len as usize)?)?;
        (segment == place.segment).then_some(bytes)
    }
}

/// The record of a key that an operation has; none when it is another's.
pub(crate) fn entry_of(operation: &Operation<'_>, key: &Key, version: u64) -> Option<Entry> {
    match operation {
        Operation::Put {
            key: found,
            kind,
            value,
            ..
        }
        | Operation::Moved {
            key: found,
            kind,
            value,
            ..
        } if *found == key.stored() => Some(Entry {
            key: key.clone(),
            value: Bytes::copy_from_slice(value),
            version: Version::new(version),
            kind: RecordKind::parse(kind)?,
        }),
        _ => None,
    }
}

/// Whether a frame lies behind another one, and not far.
fn follows(place: Place, before: Place) -> bool {
    let end = before.offset.saturating_add(before.len);
    place.segment == before.segment && place.offset >= end && (place.offset - end) as usize <= AHEAD_MIN
}

impl Fetch<Spot> for LogFetch<'_> {
    fn entry(&mut self, key: &Key, spot: &Spot) -> Result<Entry, Unfetched> {
        entry_of(&self.operation(spot)?, key, spot.version).ok_or(Unfetched::Corrupt)
    }

    fn logged(&mut self, log: &Stream, at: u64, spot: &Spot) -> Result<Logged, Unfetched> {
        match self.operation(spot)? {
            Operation::Append {
                log: found,
                position,
                entry,
            }
            | Operation::MovedEntry {
                log: found,
                position,
                entry,
                ..
            } if found == log.key().stored() && position == at => Ok(Logged {
                position: Position::new(position),
                version: Version::new(spot.version),
                entry: Bytes::copy_from_slice(entry),
            }),
            _ => Err(Unfetched::Corrupt),
        }
    }
}
