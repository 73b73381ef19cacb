//! What must be true of a file's items one after another. Pure.

use super::item::{FileItem, Header, Trailer};
use super::mark;
use crate::{Digest, ExportCounts, Key, LogHead, Position, Version};

/// How far a file was found to be as it must.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) header: Option<Header>,
    pub(super) trailer: Option<Trailer>,
    counts: ExportCounts,
    bytes: u64,
    /// The highest version so far; 0 for none.
    highest: u64,
    record: Option<Key>,
    log: Option<OfLog>,
}

/// The log whose entries follow.
#[derive(Debug)]
struct OfLog {
    key: Key,
    head: LogHead,
    next: Position,
    bytes: u64,
}

impl OfLog {
    fn is_whole(&self) -> bool {
        self.next == self.head.next && self.bytes == self.head.bytes
    }
}

impl Checked {
    /// Takes the next item; what is wrong with it here, if something is.
    ///
    /// `digest` is of all before it, where it is the trailer.
    pub(super) fn take(&mut self, item: &FileItem, digest: Option<Digest>) -> Result<(), &'static str> {
        if self.trailer.is_some() {
            return Err("something follows the end");
        }
        let is_begun = self.header.is_some();
        match item {
            FileItem::Header(_) if is_begun => Err("it begins twice"),
            FileItem::Header(header) => {
                self.highest = header.version.get();
                self.header = Some(header.clone());
                Ok(())
            }
            _ if !is_begun => Err("its header is missing"),
            FileItem::Record(entry) => {
                self.counts.records += 1;
                self.weigh(entry.version, entry.value.len());
                self.record(&entry.key)
            }
            FileItem::Log(log, head) => {
                self.counts.logs += 1;
                self.log(log.key(), head)
            }
            FileItem::Entry(logged) => {
                self.counts.entries += 1;
                self.weigh(logged.version, logged.entry.len());
                self.entry(logged.position, logged.entry.len())
            }
            FileItem::Trailer(trailer) => self.end(trailer, digest),
        }
    }

    fn weigh(&mut self, version: Version, bytes: usize) {
        self.highest = self.highest.max(version.get());
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    fn holds(&self, key: &Key) -> bool {
        self.header
            .as_ref()
            .is_some_and(|header| header.prefix.holds(key))
    }

    fn record(&mut self, key: &Key) -> Result<(), &'static str> {
        if self.log.is_some() {
            return Err("a record stands behind a log");
        }
        if self.record.as_ref().is_some_and(|last| key <= last) {
            return Err("records are not in order");
        }
        if !self.holds(key) {
            return Err("a record is not below the prefix");
        }
        if mark::is_key(key) {
            return Err("it is of a store whose import was not ended");
        }
        self.record = Some(key.clone());
        Ok(())
    }

    fn log(&mut self, key: &Key, head: &LogHead) -> Result<(), &'static str> {
        if let Some(last) = &self.log {
            if !last.is_whole() {
                return Err("a log does not have the entries that it says");
            }
            if *key <= last.key {
                return Err("logs are not in order");
            }
        }
        if !self.holds(key) {
            return Err("a log is not below the prefix");
        }
        self.weigh(head.incarnation.unwrap_or(Version::new(0)), 0);
        self.log = Some(OfLog {
            key: key.clone(),
            head: *head,
            next: head.first,
            bytes: 0,
        });
        Ok(())
    }

    fn entry(&mut self, position: Position, bytes: usize) -> Result<(), &'static str> {
        let Some(log) = &mut self.log else {
            return Err("an entry is of no log");
        };
        if position != log.next || position >= log.head.next {
            return Err("entries are not in order");
        }
        log.next = position.next();
        log.bytes = log.bytes.saturating_add(bytes as u64);
        Ok(())
    }

    fn end(&mut self, trailer: &Trailer, digest: Option<Digest>) -> Result<(), &'static str> {
        if self.log.as_ref().is_some_and(|log| !log.is_whole()) {
            return Err("a log does not have the entries that it says");
        }
        if digest != Some(trailer.digest) {
            return Err("its digest is another");
        }
        let found = (self.counts, self.bytes, Version::new(self.highest));
        if found != (trailer.counts, trailer.bytes, trailer.highest) {
            return Err("it does not hold as much as it says");
        }
        self.trailer = Some(*trailer);
        Ok(())
    }

    /// What the trailer of all that was taken says.
    pub(super) fn trailer_of(&self, digest: Digest) -> Trailer {
        Trailer {
            counts: self.counts,
            bytes: self.bytes,
            highest: Version::new(self.highest),
            digest,
        }
    }
}
