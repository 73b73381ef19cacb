//! Deciding a group: each batch judged in order against durable state plus what the group accepted, and encoded.

use std::cell::Cell;
use std::collections::HashMap;

use super::index::{Index, IndexError, Spotted};
use super::spot::Head;
use super::work::{Truncate, Truncated};
use crate::commit_log::Place;
use crate::commit_log::frame::{self, Ended, Header, Operation, Packed, Seed};
use crate::judge::judge;
use crate::{Batch, Begin, CommitError, Committed, Expected, Key, LogError, Position, Stream, Version};

/// Most entries that one step of a truncation drops: a long one is many commits, so that others go between.
const TRUNCATE_STEP: u64 = 256;

/// The group being formed: its frames, and the state as it will be after them.
#[derive(Debug)]
pub(crate) struct Group {
    seed: Seed,
    segment: u32,
    /// Where in the segment its first frame goes.
    begin: u32,
    next: u64,
    /// Its frames, aligned: what is written.
    pub(crate) bytes: Vec<u8>,
    /// Where each of its frames will lie.
    pub(crate) places: Vec<Place>,
    /// The keys of records and logs it changes, for hints.
    pub(crate) changed: Vec<Key>,
    versions: HashMap<Key, Option<u64>>,
    heads: HashMap<Stream, Head>,
    /// How many records it adds.
    growth: i64,
}

/// Why a batch has no verdict.
#[derive(Debug)]
pub(crate) enum Undecided {
    /// It was judged and does not hold.
    Refused(CommitError),
    /// The log has no such head to drop.
    Past(LogError),
    /// The index did not answer.
    Index(IndexError),
}

impl From<IndexError> for Undecided {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl Group {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            seed,
            segment: 0,
            begin: 0,
            next: 0,
            bytes: Vec::new(),
            places: Vec::new(),
            changed: Vec::new(),
            versions: HashMap::new(),
            heads: HashMap::new(),
            growth: 0,
        }
    }

    /// An empty group again, that goes to this place; its first commit has this version.
    pub(crate) fn begin(&mut self, (segment, offset): (u32, u32), next: u64) {
        self.segment = segment;
        self.begin = offset;
        self.next = next;
        self.bytes.clear();
        self.places.clear();
        self.changed.clear();
        self.versions.clear();
        self.heads.clear();
        self.growth = 0;
    }

    /// The version of the next commit.
    pub(crate) fn next_version(&self) -> u64 {
        self.next
    }

    /// Judges a batch and, if it holds, adds it to the group.
    pub(crate) fn commit<I: Index>(&mut self, index: &I, batch: &Batch) -> Result<Committed, Undecided> {
        index.admits(batch, self.growth).map_err(Undecided::Refused)?;
        self.judge(index, batch)?;
        if !batch.writes() {
            return Ok(Committed {
                version: None,
                positions: Vec::new(),
            });
        }
        let version = self.next;
        let positions = self.positions(index, batch, version)?;
        self.encode(operations(batch, &positions));
        for put in &batch.puts {
            self.growth += i64::from(put.expected == Expected::Absent);
            self.versions.insert(put.key.clone(), Some(version));
            self.changed.push(put.key.clone());
        }
        for delete in &batch.deletes {
            self.growth -= 1;
            self.versions.insert(delete.key.clone(), None);
            self.changed.push(delete.key.clone());
        }
        Ok(Committed {
            version: Some(Version::new(version)),
            positions: first_positions(batch, &positions),
        })
    }

    fn judge<I: Index>(&self, index: &I, batch: &Batch) -> Result<(), Undecided> {
        let failure = Cell::new(None);
        let or_fail = |found: Result<Option<u64>, IndexError>| match found {
            Ok(number) => number.map(Version::new),
            Err(error) => {
                failure.set(Some(error));
                None
            }
        };
        let incarnation_of = |log: &Stream| {
            let head = self.head_of(index, log);
            or_fail(head.map(|head| head.map(|head| head.incarnation)))
        };
        let judged = judge(batch, |key| or_fail(self.version_of(index, key)), incarnation_of);
        match failure.take() {
            Some(error) => Err(Undecided::Index(error)),
            None => judged.map_err(Undecided::Refused),
        }
    }

    fn version_of<I: Index>(&self, index: &I, key: &Key) -> Result<Option<u64>, IndexError> {
        match self.versions.get(key) {
            Some(version) => Ok(*version),
            None => Ok(index.looked_for(key.stored())?.map(|spot| spot.version())),
        }
    }

    fn head_of<I: Index>(&self, index: &I, log: &Stream) -> Result<Option<Head>, IndexError> {
        match self.heads.get(log) {
            Some(head) => Ok(Some(*head)),
            None => index.head(log.key().stored()),
        }
    }

    /// The position of each append, in the batch's order.
    fn positions<I: Index>(
        &mut self,
        index: &I,
        batch: &Batch,
        version: u64,
    ) -> Result<Vec<u64>, IndexError> {
        for begin in &batch.begins {
            let head = Head::begun_at(version, begin.first.get(), ended(begin));
            self.heads.insert(begin.log.clone(), head);
            self.changed.push(begin.log.key().clone());
        }
        let mut positions = Vec::with_capacity(batch.appends.len());
        for append in &batch.appends {
            let known = self.head_of(index, &append.log)?;
            let mut head = known.unwrap_or(Head::begun(version));
            positions.push(head.next);
            head.next += 1;
            head.bytes += append.entry.len() as u64;
            self.heads.insert(append.log.clone(), head);
            self.changed.push(append.log.key().clone());
        }
        Ok(positions)
    }

    /// Adds one step of a truncation. What was appended in this very group waits for a later step.
    pub(crate) fn truncate<I: Index>(
        &mut self,
        index: &I,
        truncate: &Truncate,
    ) -> Result<Truncated, Undecided> {
        let Truncate { log, before } = truncate;
        index.admits_truncation(log).map_err(Undecided::Refused)?;
        let known = self.head_of(index, log)?;
        let mut head = known.unwrap_or(Head::begun(0));
        if before.get() > head.next {
            return Err(Undecided::Past(past(&head)));
        }
        let indexed = index.head(log.key().stored())?.map_or(0, |head| head.next);
        let end = before
            .get()
            .min(indexed)
            .min(head.first.saturating_add(TRUNCATE_STEP));
        if end > head.first {
            let mut bytes = 0;
            index.walk_entries(log.key().stored(), head.first, end, |_, spot| {
                bytes += spot.weight() as u64;
                true
            })?;
            let log_name = log.key().stored();
            self.encode(std::iter::once(Operation::Truncate {
                log: log_name,
                first: head.first,
                before: end,
                bytes,
            }));
            head.first = end;
            head.bytes = head.bytes.saturating_sub(bytes);
            self.heads.insert(log.clone(), head);
            self.changed.push(log.key().clone());
        }
        Ok(Truncated {
            first: Position::new(head.first),
        })
    }

    /// Adds what is written again, before anything else: what is committed in this group comes behind it.
    ///
    /// Returns how many bytes that takes.
    pub(crate) fn move_again(&mut self, moves: &Packed) -> usize {
        let before = self.bytes.len();
        self.framed(|header, seed, out| frame::encode_packed(header, seed, moves, out));
        self.bytes.len() - before
    }

    fn encode<'a>(&mut self, operations: impl Iterator<Item = Operation<'a>>) {
        self.framed(|header, seed, out| frame::encode(header, seed, operations, out));
    }

    fn framed(&mut self, encode: impl FnOnce(Header, Seed, &mut Vec<u8>) -> usize) {
        let offset = |bytes: usize| self.begin + u32::try_from(bytes).expect("a group is below 4 GiB");
        let header = Header {
            version: self.next,
            group: u64::from(self.segment) << 32 | u64::from(self.begin),
            segment: self.segment,
        };
        let at = offset(self.bytes.len());
        let len = encode(header, self.seed, &mut self.bytes);
        self.places.push(Place {
            segment: self.segment,
            offset: at,
            len: u32::try_from(len).expect("a frame is at most FRAME_MAX"),
        });
        self.next += 1;
    }

    /// The frames encoded, with their places.
    pub(crate) fn frames(&self) -> impl Iterator<Item = (Place, frame::Frame<'_>)> {
        self.places.iter().map(|place| {
            let start = (place.offset - self.begin) as usize;
            let bytes = &self.bytes[start..start + place.len as usize];
            (
                *place,
                frame::Frame::verified(bytes).expect("it was encoded a moment ago"),
            )
        })
    }
}

fn past(head: &Head) -> LogError {
    LogError::ReplayGap {
        first: Position::new(head.first),
        next: Position::new(head.next),
    }
}

fn operations<'a>(batch: &'a Batch, positions: &'a [u64]) -> impl Iterator<Item = Operation<'a>> {
    let puts = batch.puts.iter().map(|put| Operation::Put {
        key: put.key.stored(),
        was: match put.expected {
            Expected::Absent => 0,
            Expected::At(version) => version.get(),
        },
        kind: put.kind.as_str(),
        value: &put.value,
    });
    let deletes = batch.deletes.iter().map(|delete| Operation::Delete {
        key: delete.key.stored(),
        was: delete.at.get(),
    });
    let begins = batch.begins.iter().map(|begin| Operation::Begin {
        log: begin.log.key().stored(),
        first: begin.first.get(),
        predecessor: ended(begin),
    });
    let appends = batch
        .appends
        .iter()
        .zip(positions)
        .map(|(append, position)| Operation::Append {
            log: append.log.key().stored(),
            position: *position,
            entry: &append.entry,
        });
    deletes.chain(puts).chain(begins).chain(appends)
}

fn ended(begin: &Begin) -> Option<Ended> {
    begin.predecessor.map(|predecessor| Ended {
        incarnation: predecessor.incarnation.get(),
        next: predecessor.next.get(),
    })
}

/// The first position in each log, in the order in which the batch first names them.
fn first_positions(batch: &Batch, positions: &[u64]) -> Vec<(Stream, Position)> {
    let mut firsts: Vec<(Stream, Position)> = Vec::new();
    for (append, position) in batch.appends.iter().zip(positions) {
        if firsts.iter().all(|(log, _)| *log != append.log) {
            firsts.push((append.log.clone(), Position::new(*position)));
        }
    }
    firsts
}
