//! Recovery: finding where the log ends after any end, and replaying it.

use std::io;
use std::sync::Arc;

use super::anew::write_anew;
use super::checkpoint::Checkpoint;
use super::frame::{Frame, Seed};
use super::segment::HEADER_BYTES;
use super::segments::{Segment, find};
use super::verify::{Verified, check_begin, check_proved, ends_at, scanner, verify};
use super::{FORMAT, FileLayer, LogFile, Place, Reader, Scan};

/// How a log is recovered.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The store's id.
    pub store: [u8; 16],
    /// The segment and offset of the first frame that is replayed; none for all of the log.
    pub from: Option<(u32, u32)>,
    /// What is known to have been flushed; none where nothing is.
    pub proved: Option<Proved>,
    /// Which segment the log begins with.
    pub begins: Begins,
    /// Whether the store was closed: then the log ends where it says, and nothing is written anew.
    pub is_clean: bool,
}

/// Which segment a log begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// The first there ever was, or one up to the first that is needed: of those before it a checkpoint says that they
    /// are not, or the log itself ([`Operation::Cleaned`](super::frame::Operation::Cleaned)).
    AtNeeded,
    /// Any up to the first one that is replayed: what lay in those before it lies elsewhere.
    AtReplayed,
}

/// How far a log is known to have been flushed: a checkpoint says so, which is written only behind that flush, in this
/// boot or any before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proved {
    /// The segment in which the next frame went.
    pub segment: u32,
    /// The offset of that frame.
    pub offset: u32,
    /// The last version before it.
    pub version: u64,
    /// The first segment that is needed.
    pub first: u32,
}

impl Proved {
    /// What a checkpoint proves.
    #[must_use]
    pub fn of(checkpoint: Checkpoint) -> Self {
        Self {
            segment: checkpoint.segment,
            offset: checkpoint.offset,
            version: checkpoint.version,
            first: checkpoint.first,
        }
    }
}

/// Why a log was not recovered. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Bytes that had been acknowledged are wrong.
    #[error("the log is damaged at {place}")]
    Damaged {
        /// The segment's file and the offset in it.
        place: String,
    },
    /// A newer build wrote it.
    #[error("the log has format {found}, this build knows up to {FORMAT}")]
    TooNew {
        /// The format found.
        found: u32,
    },
    /// The file layer failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The last segment, and where the next frame goes.
#[derive(Debug)]
pub struct Tail {
    /// Its number.
    pub segment: u32,
    /// The offset of the next frame.
    pub offset: u32,
    /// Its file.
    pub file: Arc<dyn LogFile>,
}

/// A log that was recovered.
#[derive(Debug)]
pub struct Recovered {
    /// For reading its frames.
    pub reader: Arc<Reader>,
    /// The last segment; none of a log without any.
    pub tail: Option<Tail>,
    /// The version of the last frame that was read; of a clean end, at least that of the segment before.
    pub last_version: u64,
    /// The highest version known: of a frame, or below a segment's floor.
    pub highest: u64,
    /// The first segment that is needed: those before it may go.
    pub needed: u32,
    /// Whether the log ends where a clean end left it.
    pub is_clean: bool,
    /// What an operator should know, a sentence each.
    pub notices: Vec<String>,
    segments: Vec<Segment>,
    seed: Seed,
}

/// Verifies what will be replayed and the last segment, cuts a torn tail, and makes the last segment whole on disk.
///
/// # Errors
/// [`RecoveryError`]; nothing was changed.
pub fn recover(files: &Arc<dyn FileLayer>, plan: Plan) -> Result<Recovered, RecoveryError> {
    let seed = Seed::of(plan.store);
    let (segments, strays) = find(&**files, plan.store)?;
    let mut plan = plan;
    let mut verified = verify(&**files, seed, &segments, plan)?;
    if plan.is_clean && !ends_at(plan.from, &segments, verified.end) {
        // Something was written behind the clean end: it is not one.
        plan.is_clean = false;
        verified = verify(&**files, seed, &segments, plan)?;
    }
    let Verified { end, .. } = verified;
    let needed = check_begin(plan, &segments, verified)?;
    if let Some(proved) = plan.proved {
        check_proved(proved, &segments, end)?;
    }
    for stray in strays {
        files.remove(&stray)?;
    }
    let reader = Arc::new(Reader::new(Arc::clone(files), seed));
    let mut recovered = Recovered {
        reader,
        tail: None,
        last_version: 0,
        highest: 0,
        needed,
        is_clean: plan.is_clean,
        notices: Vec::new(),
        segments,
        seed,
    };
    if let (Some(end), Some(last)) = (end, recovered.segments.last()) {
        recovered.last_version = end.version;
        recovered.highest = end.version.max(last.header.floor.saturating_sub(1));
        if !plan.is_clean {
            write_anew(&**files, seed, last, end)?;
        }
        if end.is_torn {
            recovered.notices.push(format!(
                "the last group of {} was torn at offset {} and is cut; nobody had been told of it",
                last.path(),
                end.offset
            ));
        }
        recovered.tail = Some(Tail {
            segment: last.header.segment,
            offset: u32::try_from(end.offset).expect("a segment is below 4 GiB"),
            file: files.open(&last.path())?,
        });
    }
    for segment in &recovered.segments {
        recovered.reader.add(segment.header.segment, segment.path(), None);
    }
    Ok(recovered)
}

impl Recovered {
    /// Whether the log has all that was ever written to the store: nothing of it was removed.
    #[must_use]
    pub fn is_from_the_first(&self) -> bool {
        self.segments
            .first()
            .is_none_or(|first| first.header.segment == 1)
    }

    /// Shows every frame from a segment and offset on (none: from the first), oldest first.
    ///
    /// # Errors
    /// Of the file layer or the visitor; `Damaged` for a segment that was not part of the plan.
    pub fn replay<E: From<RecoveryError>>(
        &self,
        from: Option<(u32, u32)>,
        mut visit: impl FnMut(Place, &Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (first, offset) = from.unwrap_or((0, 0));
        for segment in self.segments.iter().filter(|s| s.header.segment >= first) {
            let begin = HEADER_BYTES as u64;
            let start = if segment.header.segment == first {
                u64::from(offset)
            } else {
                begin
            };
            self.replay_segment(segment, start.max(begin), &mut visit)?;
        }
        Ok(())
    }

    fn replay_segment<E: From<RecoveryError>>(
        &self,
        segment: &Segment,
        start: u64,
        visit: &mut impl FnMut(Place, &Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let known = self
            .reader
            .file(segment.header.segment)
            .map_err(RecoveryError::from)?;
        let Some(file) = known else {
            return Ok(());
        };
        let mut scanner = scanner(&*file, self.seed, segment, start).map_err(RecoveryError::from)?;
        loop {
            match scanner.advance().map_err(RecoveryError::from)? {
                Scan::Frame(place, frame) => visit(place, &frame)?,
                Scan::End => return Ok(()),
                Scan::Bad => return Err(segment.damaged(scanner.at()).into()),
            }
        }
    }
}
