//! The cleaner: what is live in the oldest segment is written again, and the segment goes.
//!
//! It works while commits come, a little in each group, in the group's own write and flush, and never when nobody
//! commits. Oldest first: so a deletion in the segment covers nothing older, and goes with it.

use std::collections::{BTreeMap, HashSet};
use std::io;

use super::index::{Index, IndexError, Spotted};
use super::shared::Shared;
use crate::commit_log::frame::{self, Frame, Operation, Packed};
use crate::commit_log::segment::HEADER_BYTES;
use crate::commit_log::{self, Place, RecoveryError, Scan, Scanner};

/// What may lie there beside twice what is live.
const SLACK_BYTES: u64 = 64 * 1024 * 1024;
/// Shortest segment, where longer ones are allowed: a few must fit into the slack.
const SEGMENT_MIN: u64 = SLACK_BYTES / 4;
/// Most bytes written again in one group; one item more may pass it.
const STEP_BYTES: i64 = 256 * 1024;
/// What commits earn at most ahead of need.
const CREDIT_MAX: i64 = 1024 * 1024;
/// Bytes of a segment looked at in one group, at least and at most.
const LOOK_MIN: u64 = 32 * 1024;
const LOOK_MAX: u64 = 1024 * 1024;
/// And for each byte committed.
const LOOK_SHARE: u64 = 16;

/// How a store is cleaned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CleanerOptions {
    /// Most bytes written again, of a hundred written. 1 to 99.
    pub(crate) share: u8,
    /// Longest segment.
    pub(crate) segment_bytes: u64,
}

/// Which segment is cleaned next, and what that may cost.
#[derive(Debug)]
pub(crate) struct Cleaner {
    options: CleanerOptions,
    /// Bytes of the whole segments that are needed, by number.
    whole: BTreeMap<u32, u64>,
    /// The first segment that is needed.
    first: u32,
    /// Bytes that may be written again.
    credit: i64,
    /// Bytes that the last group committed.
    committed: u64,
    under_way: Option<UnderWay>,
    /// A segment that cannot be read is never removed, nor any behind it.
    is_stuck: bool,
}

/// A segment being cleaned.
#[derive(Debug, Default)]
struct UnderWay {
    at: At,
    /// The logs whose ends were written again.
    heads: HashSet<String>,
}

/// How far a segment was looked through: the next frame, and the next operation in it.
#[derive(Debug, Clone, Copy)]
struct At {
    offset: u64,
    operation: usize,
    /// The version of the last frame before it; none at the segment's beginning.
    version: Option<u64>,
}

impl Default for At {
    fn default() -> Self {
        Self {
            offset: HEADER_BYTES as u64,
            operation: 0,
            version: None,
        }
    }
}

/// What one group does of it.
#[derive(Debug)]
pub(crate) struct Step {
    /// What is written again.
    pub(crate) moves: Packed,
    at: At,
    heads: HashSet<String>,
    is_whole: bool,
    is_unreadable: bool,
}

impl Step {
    fn begin(at: At) -> Self {
        Self {
            moves: Packed::default(),
            at,
            heads: HashSet::new(),
            is_whole: false,
            is_unreadable: false,
        }
    }
}

impl Step {
    /// The most bytes it takes in the log.
    pub(crate) fn encoded_max(&self) -> u64 {
        (frame::HEADER_BYTES + frame::ALIGNMENT + self.moves.bytes()) as u64
    }
}

/// Why a step was not taken.
#[derive(Debug)]
pub(crate) enum Unclean {
    Index(IndexError),
    Io(io::Error),
}

impl From<IndexError> for Unclean {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl From<io::Error> for Unclean {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Cleaner {
    /// One for a log whose whole segments have these bytes, and whose first that is needed is this.
    pub(crate) fn new(options: CleanerOptions, whole: Vec<(u32, u64)>, first: u32) -> Self {
        let mut cleaner = Self {
            options,
            whole: BTreeMap::new(),
            first,
            credit: 0,
            committed: 0,
            under_way: None,
            is_stuck: false,
        };
        cleaner.add(whole);
        cleaner
    }

    /// Segments became whole.
    pub(crate) fn add(&mut self, whole: Vec<(u32, u64)>) {
        let needed = whole.into_iter().filter(|(segment, _)| *segment >= self.first);
        self.whole.extend(needed);
    }

    /// The first segment that is needed.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    /// How long segments are while so many bytes are live: short ones in a small store, so that it stays small.
    pub(crate) fn segment_bytes(&self, live: u64) -> u64 {
        (live / 8).clamp(self.segment_min(), self.options.segment_bytes)
    }

    fn segment_min(&self) -> u64 {
        SEGMENT_MIN.min(self.options.segment_bytes)
    }

    /// A group was committed: what it wrote pays for what may be written again.
    pub(crate) fn earn(&mut self, bytes: usize) {
        let share = i64::from(self.options.share);
        let earned = bytes as i64 * share / (100 - share);
        self.committed = bytes as u64;
        self.credit = (self.credit + earned).min(CREDIT_MAX);
    }

    /// Whether the oldest segment is to be cleaned, with these bytes in the segments not yet whole.
    fn is_due(&self, live: u64, open_bytes: u64) -> bool {
        // One more segment is begun before the one that is cleaned has gone.
        let used = self.whole.values().sum::<u64>() + open_bytes + self.segment_bytes(live);
        let slack = SLACK_BYTES.min(4 * self.segment_min());
        !self.is_stuck && !self.whole.is_empty() && used > 2 * live + slack
    }

    /// The next step, if one is due.
    pub(crate) fn step<I: Index>(
        &self,
        shared: &Shared<I>,
        index: &I,
        live: u64,
        open_bytes: u64,
    ) -> Result<Option<Step>, Unclean> {
        if !self.is_due(live, open_bytes) {
            return Ok(None);
        }
        let Some((segment, _)) = self.whole.first_key_value() else {
            return Ok(None);
        };
        let Some(file) = shared.reader.file(*segment)? else {
            return Ok(None);
        };
        let at = self
            .under_way
            .as_ref()
            .map_or(At::default(), |under_way| under_way.at);
        let mut step = Step::begin(at);
        let (Some(before), Some(last)) = (
            written_before(shared, *segment)?,
            written_before(shared, segment + 1)?,
        ) else {
            step.is_unreadable = true;
            return Ok(Some(step));
        };
        let from = at.version.unwrap_or(before);
        let mut scanner = Scanner::new(&*file, *segment, shared.reader.seed(), at.offset, from)?;
        let look = (self.committed * LOOK_SHARE).clamp(LOOK_MIN, LOOK_MAX);
        scanner.read_ahead(look);
        while scanner.at() < at.offset + look {
            step.at.offset = scanner.at();
            match scanner.advance()? {
                Scan::Frame(place, frame) => {
                    if !self.look_through(index, place, &frame, &mut step)? {
                        return Ok(Some(step));
                    }
                }
                Scan::End => {
                    // Zeros where a frame was lost look like the end; what lies behind them is not to go.
                    if scanner.version() != last {
                        step.is_unreadable = true;
                        return Ok(Some(step));
                    }
                    step.is_whole = true;
                    step.moves.push(&Operation::Cleaned {
                        segment: u64::from(*segment),
                    });
                    return Ok(Some(step));
                }
                Scan::Bad => {
                    step.is_unreadable = true;
                    return Ok(Some(step));
                }
            }
            step.at = At {
                offset: scanner.at(),
                operation: 0,
                version: Some(scanner.version()),
            };
        }
        Ok(Some(step))
    }

    /// Takes what is live of a frame; false when it may take no more now.
    fn look_through<I: Index>(
        &self,
        index: &I,
        place: Place,
        frame: &Frame<'_>,
        step: &mut Step,
    ) -> Result<bool, IndexError> {
        let version = frame.header().version;
        let from = step.at.operation;
        for (at, operation) in frame.operations().filter(|(at, _)| *at >= from) {
            step.at.operation = at;
            let lies_here = |spot: Option<I::Spot>| {
                let spot = spot.and_then(|spot| spot.in_log());
                spot.is_some_and(|spot| spot.place == place && spot.at as usize == at)
            };
            let moved = match operation {
                Operation::Put { key, kind, value, .. } | Operation::Moved { key, kind, value, .. } => {
                    lies_here(index.record(key)?).then(|| Operation::Moved {
                        key,
                        version: operation.version(version),
                        kind,
                        value,
                    })
                }
                Operation::Append { log, position, entry }
                | Operation::MovedEntry {
                    log, position, entry, ..
                } => {
                    if !self.take_head(index, log, step)? {
                        return Ok(false);
                    }
                    lies_here(index.entry(log, position)?).then(|| Operation::MovedEntry {
                        log,
                        position,
                        version: operation.version(version),
                        entry,
                    })
                }
                Operation::Truncate { log, .. }
                | Operation::Begin { log, .. }
                | Operation::Head { log, .. } => {
                    if !self.take_head(index, log, step)? {
                        return Ok(false);
                    }
                    None
                }
                Operation::Delete { .. } | Operation::Cleaned { .. } | Operation::Lost { .. } => None,
            };
            if let Some(moved) = moved {
                if !self.affords(step) {
                    return Ok(false);
                }
                step.moves.push(&moved);
            }
        }
        Ok(true)
    }

    /// Writes the ends of a log again, once for each segment; false when it may take no more now.
    fn take_head<I: Index>(&self, index: &I, log: &str, step: &mut Step) -> Result<bool, IndexError> {
        let known = self.under_way.as_ref().map(|under_way| &under_way.heads);
        if known.is_some_and(|known| known.contains(log)) || step.heads.contains(log) {
            return Ok(true);
        }
        let Some(head) = index.head(log)? else {
            return Ok(true);
        };
        if !self.affords(step) {
            return Ok(false);
        }
        step.heads.insert(log.to_owned());
        step.moves.push(&Operation::Head {
            log,
            incarnation: head.incarnation,
            first: head.first,
            next: head.next,
            bytes: head.bytes,
            predecessor: head.predecessor,
        });
        Ok(true)
    }

    fn affords(&self, step: &Step) -> bool {
        (step.moves.bytes() as i64) < self.credit.min(STEP_BYTES)
    }

    /// A step was written and is durable, or had nothing to write.
    pub(crate) fn taken(&mut self, step: Step) {
        self.credit -= step.moves.bytes() as i64;
        if step.is_unreadable {
            tracing::error!("a segment of the store's log is damaged; it and those behind it are kept");
            self.is_stuck = true;
        }
        if step.is_whole {
            if let Some((segment, _)) = self.whole.pop_first() {
                self.first = segment + 1;
            }
            self.under_way = None;
        } else {
            let under_way = self.under_way.get_or_insert_default();
            under_way.at = step.at;
            under_way.heads.extend(step.heads);
        }
    }
}

/// The last version written before a segment, as its header has it; none when that cannot be read.
fn written_before<I: Index>(shared: &Shared<I>, segment: u32) -> io::Result<Option<u64>> {
    let names = shared.reader.names().into_iter();
    let Some((_, name)) = names.into_iter().find(|(number, _)| *number == segment) else {
        return Ok(None);
    };
    match commit_log::previous_of(&*shared.files, &name) {
        Ok(previous) => Ok(Some(previous)),
        Err(RecoveryError::Io(error)) => Err(error),
        Err(_) => Ok(None),
    }
}
