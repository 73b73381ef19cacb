//! Reading items: from their files, or from the commit log while they are not yet behind it.

use std::sync::{Arc, RwLockReadGuard};

use bytes::Bytes;

use super::index::{LocalIndex, Seat};
use super::{part_file, place, record_file, settle};
use crate::commit_log::FileLayer;
use crate::embedded::fetch::{Fetch, LogFetch, Unfetched};
use crate::embedded::shared::Shared;
use crate::{Entry, Key, Logged, Position, Stream, Version};

/// Reads at one read point: no file is replaced or removed while it lives.
#[derive(Debug)]
pub(super) struct LocalFetch<'a> {
    files: &'a Arc<dyn FileLayer>,
    log: LogFetch<'a>,
    /// The last part read, by its path.
    part: Option<(String, Bytes, Vec<part_file::Slot>)>,
    _files: RwLockReadGuard<'a, ()>,
}

impl<'a> LocalFetch<'a> {
    pub(super) fn of(shared: &'a Shared<LocalIndex>) -> Self {
        Self {
            files: &shared.files,
            log: LogFetch::of(&shared.reader),
            part: None,
            _files: shared.beside.keep_files(),
        }
    }

    /// A whole part of a log, verified.
    fn part(&mut self, log: &str, first: u64) -> Result<(&Bytes, &[part_file::Slot]), Unfetched> {
        let path = place::part(log, first);
        if self.part.as_ref().is_none_or(|(known, ..)| *known != path) {
            let bytes = settle::read_file(&**self.files, &path, part_file::FILE_MAX)?;
            let bytes = bytes.ok_or(Unfetched::Corrupt)?;
            let (_, slots) = part_file::decode(log, &bytes).ok_or(Unfetched::Corrupt)?;
            self.part = Some((path, bytes.into(), slots));
        }
        let (_, bytes, slots) = self.part.as_ref().expect("it was read a moment ago");
        Ok((bytes, slots))
    }
}

impl Fetch<Seat> for LocalFetch<'_> {
    fn entry(&mut self, key: &Key, seat: &Seat) -> Result<Entry, Unfetched> {
        let (version, crc) = match seat {
            Seat::Log(spot) => return self.log.entry(key, spot),
            Seat::File { version, crc, .. } => (*version, *crc),
            Seat::Part { .. } | Seat::Damaged => return Err(Unfetched::Corrupt),
        };
        let path = place::record(key.stored());
        let bytes = settle::read_file(&**self.files, &path, record_file::FILE_MAX)?;
        let bytes = bytes.ok_or(Unfetched::Corrupt)?;
        let line = record_file::decode(key.stored(), &bytes)
            .filter(|line| (line.version, line.crc) == (version, crc))
            .ok_or(Unfetched::Corrupt)?;
        Ok(Entry {
            key: key.clone(),
            value: Bytes::from(bytes).slice(line.value_at..),
            version: Version::new(version),
            kind: line.kind,
        })
    }

    fn logged(&mut self, log: &Stream, position: u64, seat: &Seat) -> Result<Logged, Unfetched> {
        let (first, slot) = match *seat {
            Seat::Log(spot) => return self.log.logged(log, position, &spot),
            Seat::Part {
                first,
                version,
                at,
                len,
            } => (first, part_file::Slot { version, at, len }),
            Seat::File { .. } | Seat::Damaged => return Err(Unfetched::Corrupt),
        };
        let (bytes, slots) = self.part(log.key().stored(), first)?;
        let nth = usize::try_from(position - first).map_err(|_| Unfetched::Corrupt)?;
        if slots.get(nth) != Some(&slot) {
            return Err(Unfetched::Corrupt);
        }
        let at = slot.at as usize;
        Ok(Logged {
            position: Position::new(position),
            version: Version::new(slot.version),
            entry: bytes.slice(at..at + slot.len as usize),
        })
    }
}
