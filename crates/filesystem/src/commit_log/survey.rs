//! Looking through a whole log for what cannot be read. Nothing is changed.

use std::io;

use super::frame::Operation;
use super::frame::{ALIGNMENT, HEADER_BYTES as FRAME_HEADER_BYTES, Seed};
use super::recovery::{Proved, RecoveryError};
use super::segment::{self, HEADER_BYTES, SegmentHeader, Unreadable};
use super::segments::names;
use super::{FileLayer, Rest, Scan, Scanner};

/// The least that a frame takes that stands for what is lost.
pub(super) const LOST_MIN: u64 = (FRAME_HEADER_BYTES + 32) as u64;

/// A log as it lies there.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Its segments in order, those included that are missing.
    pub(super) parts: Vec<Part>,
    pub(super) seed: Seed,
    pub(super) store: [u8; 16],
    /// Files that pass for segments and are none of this log.
    pub(super) strangers: Vec<String>,
    pub(crate) bytes: u64,
    pub(crate) frames: u64,
    /// Where the last group is torn: an opening cuts it there.
    pub(crate) torn: Option<String>,
}

/// A segment.
#[derive(Debug)]
pub(super) struct Part {
    /// Its file in the folder of the log; none when it is missing.
    pub(super) name: Option<String>,
    /// What its header must be.
    pub(super) header: SegmentHeader,
    /// Whether the header cannot be read.
    pub(super) is_headless: bool,
    /// What cannot be read of it.
    pub(super) gaps: Vec<Gap>,
    /// Where its frames end.
    pub(super) end: u64,
    /// The last version in it.
    pub(super) version: u64,
}

/// Bytes that cannot be read where frames had been.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub(super) from: u64,
    pub(super) to: u64,
    /// The version of the last commit that may have been there.
    pub(super) version: u64,
    /// The segments up to which nothing is needed any more, where that has to be said.
    pub(super) cleaned: Option<u32>,
}

/// What a file says of itself.
struct Found {
    name: String,
    floor: u64,
    header: Option<SegmentHeader>,
}

/// Looks through the whole log of a store.
///
/// # Errors
/// `TooNew`, and what the file layer says.
pub(crate) fn survey(
    files: &dyn FileLayer,
    store: [u8; 16],
    proved: Option<Proved>,
    needs_first: bool,
) -> Result<Survey, RecoveryError> {
    let mut survey = Survey {
        parts: Vec::new(),
        seed: Seed::of(store),
        store,
        strangers: Vec::new(),
        bytes: 0,
        frames: 0,
        torn: None,
    };
    let found = find(files, store)?;
    let mut numbers = numbers(&found);
    let mut cleaned = 0;
    let count = found.len();
    for (at, file) in found.into_iter().enumerate() {
        let number = std::mem::take(&mut numbers[at]);
        let before = survey.parts.last().map(|part| part.header.segment);
        if number == 0 || before.is_some_and(|before| number <= before) {
            survey.strangers.push(file.name);
            continue;
        }
        survey.miss_between(number, file.floor);
        let part = survey.look_at(files, file, number, at + 1 == count, &mut cleaned)?;
        survey.parts.push(part);
    }
    survey.hold_against(proved);
    if needs_first {
        survey.hold_begin_against(proved.map_or(1, |proved| proved.first).max(cleaned + 1));
    }
    Ok(survey)
}

fn find(files: &dyn FileLayer, store: [u8; 16]) -> Result<Vec<Found>, RecoveryError> {
    let mut found = Vec::new();
    for (floor, name) in names(files)?.0 {
        let mut bytes = [0; HEADER_BYTES];
        let read = files.open(&format!("log/{name}"))?.read_at(&mut bytes, 0)?;
        let header = match SegmentHeader::decode(&bytes[..read]) {
            Ok(header) => Some(header).filter(|header| (header.store, header.floor) == (store, floor)),
            Err(Unreadable::Damaged) => None,
            Err(Unreadable::TooNew { found }) => return Err(RecoveryError::TooNew { found }),
        };
        found.push(Found { name, floor, header });
    }
    Ok(found)
}

/// The number of each file: its own, or what its neighbours leave for it. 0 for none.
fn numbers(found: &[Found]) -> Vec<u32> {
    let known: Vec<Option<u32>> = found.iter().map(|f| f.header.map(|h| h.segment)).collect();
    let first = known.iter().position(Option::is_some);
    let begin = first.map_or(1, |at| {
        let at_least = u32::try_from(at).unwrap_or(u32::MAX);
        known[at].unwrap_or(1).saturating_sub(at_least)
    });
    let mut next = begin;
    known
        .into_iter()
        .map(|known| {
            let number = known.unwrap_or(next);
            next = number + 1;
            number
        })
        .collect()
}

impl Survey {
    fn last(&self) -> (u32, u64) {
        let last = self.parts.last();
        last.map_or((0, 0), |part| (part.header.segment, part.version))
    }

    /// Segments between the last one and this number are missing; the next begins at this version.
    fn miss_between(&mut self, number: u32, floor: u64) {
        let (last, version) = self.last();
        if last == 0 {
            return;
        }
        for missing in last + 1..number {
            let is_last = missing + 1 == number;
            let version = version + u64::from(missing - last);
            let until = if is_last {
                floor.saturating_sub(1).max(version)
            } else {
                version
            };
            self.miss(missing, HEADER_BYTES as u64 + LOST_MIN, until, None);
        }
    }

    fn miss(&mut self, number: u32, to: u64, version: u64, cleaned: Option<u32>) {
        let (_, previous) = self.last();
        let gap = Gap {
            from: HEADER_BYTES as u64,
            to,
            version,
            cleaned,
        };
        self.parts.push(Part {
            name: None,
            header: SegmentHeader {
                segment: number,
                store: self.store,
                floor: previous + 1,
                previous,
            },
            is_headless: true,
            gaps: vec![gap],
            end: to,
            version,
        });
    }

    fn look_at(
        &mut self,
        files: &dyn FileLayer,
        found: Found,
        number: u32,
        is_last: bool,
        cleaned: &mut u32,
    ) -> Result<Part, RecoveryError> {
        let path = format!("log/{}", found.name);
        let file = files.open(&path)?;
        let previous = match (&found.header, self.parts.last_mut()) {
            // What was at the end of the segment before is not there any more.
            (Some(header), Some(before)) if before.version < header.previous => {
                before.lose_end(header.previous);
                header.previous
            }
            (Some(header), None) => header.previous,
            (_, Some(before)) => before.version,
            (None, None) => 0,
        };
        let mut part = Part {
            header: SegmentHeader {
                segment: number,
                store: self.store,
                floor: found.floor,
                previous,
            },
            is_headless: found.header.is_none_or(|header| header.previous != previous),
            name: Some(found.name),
            gaps: Vec::new(),
            end: 0,
            version: previous,
        };
        self.bytes += file.bytes()?;
        let mut scanner = Scanner::new(&*file, number, self.seed, HEADER_BYTES as u64, previous)?;
        loop {
            if let Scan::Frame(_, frame) = scanner.advance()? {
                self.frames += 1;
                for (_, operation) in frame.operations() {
                    if let Operation::Cleaned { segment } = operation {
                        *cleaned = (*cleaned).max(u32::try_from(segment).unwrap_or(0));
                    }
                }
                continue;
            }
            let at = scanner.at();
            (part.end, part.version) = (at, scanner.version());
            if is_last && scanner.rest_behind(at)? != Rest::LaterGroup {
                if scanner.find(at)?.is_some() || !is_end(&*file, at)? {
                    self.torn = Some(format!("{path} offset {at}"));
                }
                return Ok(part);
            }
            let Some(gap) = gap_behind(&mut scanner, at, part.version)? else {
                return Ok(part);
            };
            part.gaps.push(gap);
            scanner.resume(gap.to, gap.version);
        }
    }

    /// A checkpoint proves how far the log had been flushed.
    fn hold_against(&mut self, proved: Option<Proved>) {
        let Some(proved) = proved.filter(|proved| proved.version > 0) else {
            return;
        };
        let (mut last, version) = self.last();
        let to = u64::from(proved.offset);
        if last == 0 {
            // Nothing is left: it goes on where it was known to be.
            last = proved.segment - 1;
        }
        for missing in last + 1..=proved.segment {
            let is_last = missing == proved.segment;
            let version = version + u64::from(missing - last);
            let (to, version) = if is_last {
                (
                    to.max(HEADER_BYTES as u64 + LOST_MIN),
                    proved.version.max(version),
                )
            } else {
                (HEADER_BYTES as u64 + LOST_MIN, version)
            };
            self.miss(missing, to, version, None);
        }
        if let Some(part) = self.parts.last_mut()
            && part.header.segment == proved.segment
            && (part.end < to || part.version < proved.version)
        {
            part.lose_to(to.max(part.end + LOST_MIN), proved.version.max(part.version + 1));
            self.torn = None;
        }
    }

    /// A log whose first segments are missing says from now on that they are not needed.
    fn hold_begin_against(&mut self, needed: u32) {
        let Some(first) = self.parts.first().map(|part| part.header) else {
            return;
        };
        if first.segment <= needed {
            return;
        }
        let mut whole = std::mem::take(&mut self.parts);
        let version = first.previous.max(1);
        self.miss(
            first.segment - 1,
            HEADER_BYTES as u64 + LOST_MIN,
            version,
            Some(first.segment - 1),
        );
        if let Some(missing) = self.parts.first_mut() {
            missing.header.floor = version;
            // The first of all has nothing before it.
            missing.header.previous = if missing.header.segment == 1 {
                0
            } else {
                version - 1
            };
        }
        self.parts.append(&mut whole);
    }

    /// What is damaged, in words.
    pub(crate) fn damages(&self) -> Vec<(String, u64, &'static str)> {
        let strangers = self.strangers.iter();
        let mut damages: Vec<_> = strangers
            .map(|name| (format!("log/{name}"), 0, "the file is no segment of this log"))
            .collect();
        for part in &self.parts {
            damages.extend(part.damages());
        }
        damages
    }
}

impl Part {
    pub(super) fn is_damaged(&self) -> bool {
        self.is_headless || !self.gaps.is_empty()
    }

    fn damages(&self) -> Vec<(String, u64, &'static str)> {
        let Some(name) = &self.name else {
            let place = format!("log, segment {}", self.header.segment);
            return vec![(place, 0, "the segment is missing")];
        };
        let gaps = self.gaps.iter();
        let mut damages: Vec<_> = gaps
            .map(|gap| {
                let place = format!("log/{name} offset {}", gap.from);
                (
                    place,
                    gap.to - gap.from,
                    "bytes that had been acknowledged cannot be read",
                )
            })
            .collect();
        if self.is_headless {
            let place = format!("log/{name} offset 0");
            damages.insert(0, (place, HEADER_BYTES as u64, "the header cannot be read"));
        }
        damages
    }

    fn lose_end(&mut self, version: u64) {
        self.lose_to(self.end + LOST_MIN, version);
    }

    fn lose_to(&mut self, to: u64, version: u64) {
        self.gaps.push(Gap {
            from: self.end,
            to,
            version,
            cleaned: None,
        });
        (self.end, self.version) = (to, version);
    }
}

/// The bytes from a place that cannot be read to the next frame that can; none when there is none.
fn gap_behind(scanner: &mut Scanner<'_>, from: u64, version: u64) -> io::Result<Option<Gap>> {
    let mut at = from + ALIGNMENT as u64;
    while let Some((to, len)) = scanner.find(at)? {
        let next = scanner.version_at(to).unwrap_or(0);
        // What is lost had a version of its own, and at least the bytes of a frame.
        if next > version + 1 && to - from >= LOST_MIN - 16 {
            return Ok(Some(Gap {
                from,
                to,
                version: next - 1,
                cleaned: None,
            }));
        }
        at = to + len as u64;
        at = at.next_multiple_of(ALIGNMENT as u64);
    }
    Ok(None)
}

/// Whether zeros, or nothing, are where the next frame would begin.
fn is_end(file: &dyn super::LogFile, at: u64) -> io::Result<bool> {
    let mut bytes = [0; ALIGNMENT];
    file.read_at(&mut bytes, at)?;
    Ok(bytes == [0; ALIGNMENT])
}

/// The name of a segment whose header is known.
pub(super) fn name_of(header: &SegmentHeader) -> String {
    segment::name(header.floor)
}
