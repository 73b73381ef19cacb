//! The durable part: two logs of a run, and reading through both.

use std::collections::VecDeque;

use bytes::Bytes;
use dormouse_filesystem::{Log, LogError, LogHead, Namespace, PAGE_MAX, Position, Segment, Tenant};

use super::HEAD_MAX;
use super::frame::{Frame, decode};

/// The two logs of one run.
#[derive(Debug, Clone)]
pub struct TranscriptLogs {
    pub(super) head: Log,
    pub(super) tail: Log,
}

impl TranscriptLogs {
    /// The logs of this run, whether or not it has printed anything.
    #[must_use]
    pub fn of(tenant: &Namespace<Tenant>, run: &Segment) -> Self {
        let log = |part| tenant.log(&[name("run"), run.clone(), name(part)]);
        Self {
            head: log("head"),
            tail: log("tail"),
        }
    }

    /// Both of them.
    pub(crate) fn both(&self) -> [&Log; 2] {
        [&self.head, &self.tail]
    }

    /// What of it is durable already, read through.
    ///
    /// # Errors
    /// As any tail.
    pub(super) async fn durable(&self) -> Result<Durable, LogError> {
        let mut durable = Durable::default();
        for (part, log) in [(Part::Head, &self.head), (Part::Tail, &self.tail)] {
            let mut after = Position::START;
            // Ends with the last entry.
            loop {
                let entries = match log.tail(after, PAGE_MAX).await {
                    Ok(entries) => entries,
                    Err(LogError::ReplayGap { first, .. }) if after < first => {
                        after = Position::new(first.get() - 1);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let Some(last) = entries.last() else { break };
                after = last.position;
                for entry in &entries {
                    durable.add(part, entry.position, &entry.entry);
                }
            }
        }
        Ok(durable)
    }

    /// Reads from an offset on.
    #[must_use]
    pub fn read_from(&self, offset: u64) -> Reader {
        Reader {
            logs: self.clone(),
            part: Part::Head,
            after: Position::START,
            offset,
        }
    }
}

fn name(text: &str) -> Segment {
    Segment::parse(text).expect("names fixed here are legal")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Tail,
}

/// What a former process of a run made durable: a later one goes on behind it.
#[derive(Debug, Default)]
pub(super) struct Durable {
    /// The offset behind its last byte.
    pub(super) offset: u64,
    /// Bytes left out before that.
    pub(super) elided_bytes: u64,
    /// Bytes of the head, as they are stored; [`HEAD_MAX`] once the tail has begun.
    pub(super) head_bytes: u64,
    /// What lies in the tail.
    pub(super) tail: TailExtent,
}

impl Durable {
    fn add(&mut self, part: Part, position: Position, entry: &Bytes) {
        let mut printed = 0;
        for frame in decode(entry).into_iter().flatten() {
            self.elided_bytes += frame.offset.saturating_sub(self.offset);
            self.offset = self.offset.max(frame.end());
            printed += frame.bytes.len() as u64;
        }
        match part {
            Part::Head => self.head_bytes += entry.len() as u64,
            Part::Tail => {
                self.head_bytes = HEAD_MAX;
                self.tail.add(position, entry.len() as u64, printed);
            }
        }
    }
}

/// Reads the durable part of a transcript in order. It may be asked again after it has reached the end.
#[derive(Debug)]
pub struct Reader {
    logs: TranscriptLogs,
    part: Part,
    after: Position,
    offset: u64,
}

impl Reader {
    /// The offset of the next byte it has not returned.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes up to here were had elsewhere.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.offset = self.offset.max(offset);
    }

    /// The next frames that are durable; none when there are no more for now.
    ///
    /// # Errors
    /// As any tail. What was cut from the front of the tail meanwhile is no error: the next frame's offset jumps.
    pub async fn next(&mut self) -> Result<Option<Vec<Frame>>, LogError> {
        loop {
            // Asked before the head is read: once the tail has begun, the head grows no more.
            let has_tail = self.part == Part::Tail || self.logs.tail.head().await? != LogHead::NONE;
            let log = if self.part == Part::Head {
                &self.logs.head
            } else {
                &self.logs.tail
            };
            let entries = match log.tail(self.after, PAGE_MAX).await {
                Ok(entries) => entries,
                Err(LogError::ReplayGap { first, .. }) if self.after < first => {
                    self.after = Position::new(first.get() - 1);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(last) = entries.last() {
                self.after = last.position;
                let frames: Vec<Frame> = entries
                    .iter()
                    .filter_map(|entry| decode(&entry.entry))
                    .flatten()
                    .collect();
                let frames: Vec<Frame> = frames.iter().filter_map(|f| f.rest_from(self.offset)).collect();
                if let Some(last) = frames.last() {
                    self.offset = last.end();
                    return Ok(Some(frames));
                }
                continue;
            }
            if self.part == Part::Tail || !has_tail {
                return Ok(None);
            }
            (self.part, self.after) = (Part::Tail, Position::START);
        }
    }
}

/// Which entries of the tail log lie where, so that it can be cut from the front.
#[derive(Debug, Default)]
pub(super) struct TailExtent {
    entries: VecDeque<TailEntry>,
    stored: u64,
}

#[derive(Debug)]
struct TailEntry {
    position: Position,
    /// Bytes of the entry.
    stored: u64,
    /// Bytes of output in it.
    printed: u64,
}

impl TailExtent {
    pub(super) fn add(&mut self, position: Position, stored: u64, printed: u64) {
        self.entries.push_back(TailEntry {
            position,
            stored,
            printed,
        });
        self.stored += stored;
    }

    /// The position before which to cut, and the output that goes, once more than `max + slack` is stored.
    pub(super) fn cut(&mut self, max: u64, slack: u64) -> Option<(Position, u64)> {
        if self.stored <= max + slack {
            return None;
        }
        let (mut gone, mut before) = (0, None);
        while self.stored > max {
            let entry = self.entries.pop_front()?;
            self.stored -= entry.stored;
            gone += entry.printed;
            before = Some(entry.position.next());
        }
        before.map(|before| (before, gone))
    }
}
