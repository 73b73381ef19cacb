//! Recovery: finding where the log ends after any end, and replaying it.

use std::io;
use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::frame::{ALIGNMENT, Frame, Seed};
use super::segment::{self, HEADER_BYTES, SegmentHeader, Unreadable};
use super::{FORMAT, FileLayer, LogFile, Place, Reader, Rest, Scan, Scanner};

/// The name of the last segment while it is written anew.
const ANEW: &str = "log/anew.tmp";
/// Bytes copied at once.
const COPY_BYTES: usize = 1024 * 1024;

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

impl Plan {
    /// Whether a log may begin with a segment. Without a checkpoint nobody knows what was removed.
    fn may_begin_with(&self, header: &SegmentHeader) -> bool {
        match (self.begins, self.from) {
            (Begins::AtFirst, _) => header.segment == 1 && header.previous == 0,
            (Begins::AtReplayed, Some((segment, _))) => header.segment <= segment,
            (Begins::AtReplayed, None) => true,
        }
    }
}

/// Which segment a log begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// The first there ever was: nothing removes a segment.
    AtFirst,
    /// Any up to the first one that is replayed: those before it were removed.
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
}

impl Proved {
    /// What a checkpoint proves.
    #[must_use]
    pub fn of(checkpoint: Checkpoint) -> Self {
        Self {
            segment: checkpoint.segment,
            offset: checkpoint.offset,
            version: checkpoint.version,
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
    /// Whether the log ends where a clean end left it.
    pub is_clean: bool,
    /// What an operator should know, a sentence each.
    pub notices: Vec<String>,
    segments: Vec<Segment>,
    seed: Seed,
}

#[derive(Debug)]
struct Segment {
    name: String,
    header: SegmentHeader,
}

impl Segment {
    fn path(&self) -> String {
        format!("log/{}", self.name)
    }

    fn damaged(&self, offset: u64) -> RecoveryError {
        RecoveryError::Damaged {
            place: format!("{} offset {offset}", self.path()),
        }
    }
}

/// Verifies what will be replayed and the last segment, cuts a torn tail, and makes the last segment whole on disk.
///
/// # Errors
/// [`RecoveryError`]; nothing was changed.
pub fn recover(files: &Arc<dyn FileLayer>, plan: Plan) -> Result<Recovered, RecoveryError> {
    let seed = Seed::of(plan.store);
    let (segments, strays) = find(&**files, plan)?;
    let mut plan = plan;
    let mut end = verify(&**files, seed, &segments, plan)?;
    if plan.is_clean && !ends_at(plan.from, &segments, end) {
        // Something was written behind the clean end: it is not one.
        plan.is_clean = false;
        end = verify(&**files, seed, &segments, plan)?;
    }
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

/// A log that ends before what had been flushed lost acknowledged bytes: that is no torn tail.
fn check_proved(proved: Proved, segments: &[Segment], end: Option<End>) -> Result<(), RecoveryError> {
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
fn ends_at(place: Option<(u32, u32)>, segments: &[Segment], end: Option<End>) -> bool {
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

/// The segments, oldest first, with their headers held against each other; and temporary files.
fn find(files: &dyn FileLayer, plan: Plan) -> Result<(Vec<Segment>, Vec<String>), RecoveryError> {
    let names = files.names("log")?;
    let strays = names
        .iter()
        .filter(|n| n.ends_with(".tmp"))
        .map(|n| format!("log/{n}"));
    let mut found: Vec<(u64, &String)> = names
        .iter()
        .filter_map(|name| segment::floor_of(name).map(|floor| (floor, name)))
        .collect();
    found.sort();
    let mut segments: Vec<Segment> = Vec::with_capacity(found.len());
    for (floor, name) in found {
        let header = read_header(files, name)?;
        let segment = Segment {
            name: name.clone(),
            header,
        };
        let follows = match segments.last() {
            Some(before) => before.header.segment + 1 == header.segment,
            None => plan.may_begin_with(&header),
        };
        if header.floor != floor || header.store != plan.store || !follows {
            return Err(segment.damaged(0));
        }
        segments.push(segment);
    }
    Ok((segments, strays.collect()))
}

fn read_header(files: &dyn FileLayer, name: &str) -> Result<SegmentHeader, RecoveryError> {
    let path = format!("log/{name}");
    let mut bytes = [0; HEADER_BYTES];
    let read = files.open(&path)?.read_at(&mut bytes, 0)?;
    SegmentHeader::decode(&bytes[..read]).map_err(|unreadable| match unreadable {
        Unreadable::Damaged => RecoveryError::Damaged {
            place: format!("{path} offset 0"),
        },
        Unreadable::TooNew { found } => RecoveryError::TooNew { found },
    })
}

/// Where the log ends.
#[derive(Debug, Clone, Copy)]
struct End {
    offset: u64,
    version: u64,
    is_torn: bool,
    is_clean: bool,
}

/// Reads what will be replayed, and the last segment from its begin unless the end was clean.
fn verify(
    files: &dyn FileLayer,
    seed: Seed,
    segments: &[Segment],
    plan: Plan,
) -> Result<Option<End>, RecoveryError> {
    let Some((last, whole)) = segments.split_last() else {
        return Ok(None);
    };
    let is_replayed = |s: &&Segment| plan.from.is_none_or(|(number, _)| s.header.segment >= number);
    for (at, segment) in whole.iter().enumerate().filter(|(_, s)| is_replayed(s)) {
        let next = &segments[at + 1].header;
        verify_whole(files, seed, segment, next.previous)?;
    }
    let start = plan
        .from
        .filter(|(number, _)| plan.is_clean && *number == last.header.segment)
        .map_or(HEADER_BYTES as u64, |(_, offset)| u64::from(offset));
    let file = files.open(&last.path())?;
    verify_last(&*file, seed, last, start, plan.is_clean).map(Some)
}

/// A segment that another follows: all its groups had been flushed.
fn verify_whole(
    files: &dyn FileLayer,
    seed: Seed,
    segment: &Segment,
    last_version: u64,
) -> Result<(), RecoveryError> {
    let file = files.open(&segment.path())?;
    let mut scanner = scanner(&*file, seed, segment, HEADER_BYTES as u64)?;
    while let Scan::Frame(..) = scanner.advance()? {}
    if scanner.version() == last_version {
        Ok(())
    } else {
        Err(segment.damaged(scanner.at()))
    }
}

fn verify_last(
    file: &dyn LogFile,
    seed: Seed,
    segment: &Segment,
    start: u64,
    is_clean: bool,
) -> Result<End, RecoveryError> {
    let mut scanner = scanner(file, seed, segment, start)?;
    let is_bad = loop {
        match scanner.advance()? {
            Scan::Frame(..) => {}
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

fn scanner<'a>(file: &'a dyn LogFile, seed: Seed, segment: &Segment, at: u64) -> io::Result<Scanner<'a>> {
    let header = &segment.header;
    Scanner::new(file, header.segment, seed, at, header.previous)
}

/// Writes a segment anew up to where it ends, and syncs it: the page cache may show bytes the disk lacks. The copy is
/// verified before it takes the segment's place: it was read a second time, perhaps as something else.
fn write_anew(files: &dyn FileLayer, seed: Seed, segment: &Segment, whole: End) -> Result<(), RecoveryError> {
    let end = whole.offset;
    let old = files.open(&segment.path())?;
    let new = files.create(ANEW)?;
    let mut piece = vec![0; COPY_BYTES];
    let mut at = 0;
    while at < end {
        let len = usize::try_from(end - at).map_or(COPY_BYTES, |left| left.min(COPY_BYTES));
        let read = old.read_at(&mut piece[..len], at)?;
        if read == 0 {
            // The file ends within the last frame's padding.
            let padding = usize::try_from(end - at).unwrap_or(ALIGNMENT).min(ALIGNMENT);
            new.write_at(&[0; ALIGNMENT][..padding], at)?;
            break;
        }
        new.write_at(&piece[..read], at)?;
        at += read as u64;
    }
    new.sync()?;
    let copied = verify_last(&*new, seed, segment, HEADER_BYTES as u64, false)?;
    let mut header = [0; HEADER_BYTES];
    let read = new.read_at(&mut header, 0)?;
    let has_header = SegmentHeader::decode(&header[..read]) == Ok(segment.header);
    if !has_header || (copied.offset, copied.version) != (end, whole.version) {
        return Err(segment.damaged(copied.offset));
    }
    files.rename(ANEW, &segment.path())?;
    files.sync_folder("log")?;
    Ok(())
}

impl Recovered {
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
