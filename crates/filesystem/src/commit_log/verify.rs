//! Verifying the frames of a log: that all that had been flushed is there, and where it ends.

use std::io;

use super::frame::{Frame, Operation, Seed};
use super::recovery::{Begins, Plan, Proved, RecoveryError};
use super::segment::HEADER_BYTES;
use super::segments::Segment;
use super::{FileLayer, LogFile, Rest, Scan, Scanner};

/// Where the log ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) offset: u64,
    pub(super) version: u64,
    pub(super) is_torn: bool,
    pub(super) is_clean: bool,
}

/// What verifying a log told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verified {
    /// Where it ends; none of a log without a segment.
    pub(super) end: Option<End>,
    /// The last segment of which it says that it is not needed, as far as it was read; 0 for none.
    cleaned: u32,
}

/// Reads what will be replayed, and the last segment from its begin unless the end was clean.
pub(super) fn verify(
    files: &dyn FileLayer,
    seed: Seed,
    segments: &[Segment],
    plan: Plan,
) -> Result<Verified, RecoveryError> {
    let mut cleaned = 0;
    let Some((last, whole)) = segments.split_last() else {
        return Ok(Verified { end: None, cleaned });
    };
    let is_replayed = |s: &&Segment| plan.from.is_none_or(|(number, _)| s.header.segment >= number);
    for (at, segment) in whole.iter().enumerate().filter(|(_, s)| is_replayed(s)) {
        let next = &segments[at + 1].header;
        verify_whole(files, seed, segment, next.previous, &mut cleaned)?;
    }
    let start = plan
        .from
        .filter(|(number, _)| plan.is_clean && *number == last.header.segment)
        .map_or(HEADER_BYTES as u64, |(_, offset)| u64::from(offset));
    let file = files.open(&last.path())?;
    let end = verify_last(&*file, seed, last, start, plan.is_clean, &mut cleaned)?;
    Ok(Verified {
        end: Some(end),
        cleaned,
    })
}

/// The last segment of which a frame says that it is not needed.
fn note_cleaned(frame: &Frame<'_>, cleaned: &mut u32) {
    for (_, operation) in frame.operations() {
        if let Operation::Cleaned { segment } = operation {
            *cleaned = (*cleaned).max(u32::try_from(segment).unwrap_or(0));
        }
    }
}

/// Refuses a log whose first segments are missing and needed; tells the first that is needed.
pub(super) fn check_begin(
    plan: Plan,
    segments: &[Segment],
    verified: Verified,
) -> Result<u32, RecoveryError> {
    let proved = plan.proved.map_or(1, |proved| proved.first);
    let needed = proved.max(verified.cleaned.saturating_add(1));
    let may_begin = match (plan.begins, plan.from) {
        (Begins::AtNeeded, _) => needed,
        (Begins::AtReplayed, Some((segment, _))) => segment,
        (Begins::AtReplayed, None) => u32::MAX,
    };
    match segments.first() {
        Some(first) if first.header.segment > may_begin => Err(RecoveryError::Damaged {
            place: format!("log, where segment {} is missing", first.header.segment - 1),
        }),
        Some(_) | None => Ok(needed),
    }
}

/// A segment that another follows: all its groups had been flushed.
fn verify_whole(
    files: &dyn FileLayer,
    seed: Seed,
    segment: &Segment,
    last_version: u64,
    cleaned: &mut u32,
) -> Result<(), RecoveryError> {
    let file = files.open(&segment.path())?;
    let mut scanner = scanner(&*file, seed, segment, HEADER_BYTES as u64)?;
    while let Scan::Frame(_, frame) = scanner.advance()? {
        note_cleaned(&frame, cleaned);
    }
    if scanner.version() == last_version {
        Ok(())
    } else {
        Err(segment.damaged(scanner.at()))
    }
}

pub(super) fn verify_last(
    file: &dyn LogFile,
    seed: Seed,
    segment: &Segment,
    start: u64,
    is_clean: bool,
    cleaned: &mut u32,
) -> Result<End, RecoveryError> {
    let mut scanner = scanner(file, seed, segment, start)?;
    let is_bad = loop {
        match scanner.advance()? {
            Scan::Frame(_, frame) => note_cleaned(&frame, cleaned),
            Scan::End => break false,
            Scan::Bad => break true,
        }
    };
    let (offset, version) = (scanner.at(), scanner.version());
    let rest = if is_clean {
        Rest::Nothing
    } else {
        scanner.rest_behind(offset)?
    };
    match rest {
        Rest::LaterGroup => Err(segment.damaged(offset)),
        Rest::SameGroup | Rest::Nothing => Ok(End {
            offset,
            version,
            is_torn: is_bad || rest == Rest::SameGroup,
            is_clean,
        }),
    }
}

pub(super) fn scanner<'a>(
    file: &'a dyn LogFile,
    seed: Seed,
    segment: &Segment,
    at: u64,
) -> io::Result<Scanner<'a>> {
    let header = &segment.header;
    Scanner::new(file, header.segment, seed, at, header.previous)
}

/// A log that ends before what had been flushed lost acknowledged bytes: that is no torn tail.
pub(super) fn check_proved(
    proved: Proved,
    segments: &[Segment],
    end: Option<End>,
) -> Result<(), RecoveryError> {
    let Some((end, last)) = end.zip(segments.last()) else {
        // A store without a commit has no segment yet; every other had one.
        let is_unused = proved.segment == 1 && proved.offset as usize == HEADER_BYTES;
        return if is_unused {
            Ok(())
        } else {
            Err(RecoveryError::Damaged {
                place: format!("log, where segment {} is missing", proved.segment),
            })
        };
    };
    let reached = (last.header.segment, end.offset);
    let falls_short = reached < (proved.segment, u64::from(proved.offset));
    // A clean end is not read up to: its place is what proves it.
    if falls_short || (!end.is_clean && end.version < proved.version) {
        return Err(last.damaged(end.offset));
    }
    Ok(())
}

/// Whether the log ends where a clean end said it does.
pub(super) fn ends_at(place: Option<(u32, u32)>, segments: &[Segment], end: Option<End>) -> bool {
    let found = end
        .zip(segments.last())
        .map(|(end, last)| (last.header.segment, end.offset));
    match (place, found) {
        (Some((segment, offset)), Some(found)) => found == (segment, u64::from(offset)),
        // A store closed before its first commit has no segment yet.
        (Some((segment, _)), None) => segment == 1,
        (None, _) => false,
    }
}
