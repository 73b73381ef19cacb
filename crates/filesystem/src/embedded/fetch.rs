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

/// Reads frames of the log, keeping the last: neighbours in a page often lie in one.
#[derive(Debug)]
pub(crate) struct LogFetch<'a> {
    reader: &'a Reader,
    buffer: Vec<u8>,
    loaded: Option<Place>,
    /// Made before the index is looked at.
    _pin: Pin,
}

impl<'a> LogFetch<'a> {
    pub(crate) fn of(reader: &'a Reader) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            loaded: None,
            _pin: reader.pin(),
        }
    }

    /// The operation at a spot, if its frame, checksum and version are what the index says.
    fn operation(&mut self, spot: &Spot) -> Result<Operation<'_>, Unfetched> {
        self.load(spot.place)?;
        let frame = Frame::verified(&self.buffer).ok_or(Unfetched::Corrupt)?;
        let operation = frame.operation(spot.at as usize).ok_or(Unfetched::Corrupt)?;
        if operation.version(frame.header().version) != spot.version {
            return Err(Unfetched::Corrupt);
        }
        Ok(operation)
    }

    fn load(&mut self, place: Place) -> Result<(), Unfetched> {
        if self.loaded == Some(place) {
            return Ok(());
        }
        self.loaded = None;
        let is_there = self.reader.read(place, &mut self.buffer)?;
        if !is_there || self.reader.verify(place, &self.buffer).is_none() {
            return Err(Unfetched::Corrupt);
        }
        self.loaded = Some(place);
        Ok(())
    }
}

impl Fetch<Spot> for LogFetch<'_> {
    fn entry(&mut self, key: &Key, spot: &Spot) -> Result<Entry, Unfetched> {
        match self.operation(spot)? {
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
            } if found == key.stored() => Ok(Entry {
                key: key.clone(),
                value: Bytes::copy_from_slice(value),
                version: Version::new(spot.version),
                kind: RecordKind::parse(kind).ok_or(Unfetched::Corrupt)?,
            }),
            _ => Err(Unfetched::Corrupt),
        }
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
