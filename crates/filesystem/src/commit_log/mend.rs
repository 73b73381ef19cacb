//! Repairing a log: bytes that cannot be read are moved aside, and frames that say so take their place.
//!
//! Every frame that can be read stays where it is, at its offset.

use std::io;

use super::anew::ANEW;
use super::frame::{FRAME_MAX, HEADER_BYTES as FRAME_HEADER_BYTES, Header, Operation, encode};
use super::survey::{Gap, Part, Survey, name_of};
use super::{FileLayer, LogFile};

/// What bytes moved aside are called, behind the segment's name.
const KEPT: &str = "kept";
/// Bytes copied at once.
const COPY_BYTES: usize = 1024 * 1024;
/// What an operation takes that stands for what is lost.
const LOST_BYTES: usize = 16;

/// Repairs what a survey found. Returns the files that have the bytes as they were.
///
/// Killed in between, another repair finds what is left to do.
///
/// # Errors
/// What the file layer says.
pub(crate) fn mend(files: &dyn FileLayer, survey: &Survey) -> io::Result<Vec<String>> {
    let mut kept = Vec::new();
    for stranger in &survey.strangers {
        let aside = free_name(files, stranger)?;
        files.rename(&format!("log/{stranger}"), &aside)?;
        files.sync_folder("log")?;
        kept.push(aside);
    }
    for part in survey.parts.iter().filter(|part| part.is_damaged()) {
        let old = match &part.name {
            Some(name) => {
                kept.push(keep(files, name)?);
                Some(files.open(&format!("log/{name}"))?)
            }
            None => None,
        };
        let new = files.create(ANEW)?;
        write(&*new, old.as_deref(), part, survey)?;
        new.sync()?;
        files.rename(ANEW, &format!("log/{}", name_of(&part.header)))?;
        files.sync_folder("log")?;
    }
    Ok(kept)
}

/// Copies a segment aside, as it is.
fn keep(files: &dyn FileLayer, name: &str) -> io::Result<String> {
    let aside = free_name(files, name)?;
    let old = files.open(&format!("log/{name}"))?;
    let new = files.create(ANEW)?;
    copy(&*new, &*old, 0, old.bytes()?)?;
    new.sync()?;
    files.rename(ANEW, &aside)?;
    files.sync_folder("log")?;
    Ok(aside)
}

fn free_name(files: &dyn FileLayer, name: &str) -> io::Result<String> {
    let taken = files.names("log")?;
    let mut numbers = 1_u32..;
    let name = numbers
        .find_map(|n| Some(format!("{name}.{n}.{KEPT}")).filter(|name| !taken.contains(name)))
        .ok_or(io::ErrorKind::AlreadyExists)?;
    Ok(format!("log/{name}"))
}

fn write(new: &dyn LogFile, old: Option<&dyn LogFile>, part: &Part, survey: &Survey) -> io::Result<()> {
    new.write_at(&part.header.encode(), 0)?;
    let mut at = part.header.encode().len() as u64;
    for gap in &part.gaps {
        if let Some(old) = old {
            copy(new, old, at, gap.from)?;
        }
        new.write_at(&lost(gap, part, survey), gap.from)?;
        at = gap.to;
    }
    match old {
        Some(old) => copy(new, old, at, part.end.max(at)),
        None => Ok(()),
    }
}

fn copy(new: &dyn LogFile, old: &dyn LogFile, from: u64, to: u64) -> io::Result<()> {
    let mut piece = vec![0; COPY_BYTES];
    let mut at = from;
    while at < to {
        let len = usize::try_from(to - at).map_or(COPY_BYTES, |left| left.min(COPY_BYTES));
        let read = old.read_at(&mut piece[..len], at)?;
        if read == 0 {
            break;
        }
        new.write_at(&piece[..read], at)?;
        at += read as u64;
    }
    Ok(())
}

/// Frames that fill a gap exactly, each a group of its own, with versions that rise to the gap's.
fn lost(gap: &Gap, part: &Part, survey: &Survey) -> Vec<u8> {
    let mut left = usize::try_from(gap.to - gap.from).expect("a segment is below 4 GiB");
    let frames = left.div_ceil(FRAME_MAX);
    let count = frames as u64;
    // As long as one another, so that none is longer than a frame may be and what is left is enough for one.
    let each = left.div_ceil(frames.max(1)).next_multiple_of(8);
    let mut bytes = Vec::with_capacity(left);
    for nth in (0..count).rev() {
        let offset = gap.from + bytes.len() as u64;
        let len = if nth == 0 { left } else { each };
        let cleaned = gap
            .cleaned
            .filter(|_| nth == 0)
            .map(|segment| Operation::Cleaned {
                segment: u64::from(segment),
            });
        let more = if cleaned.is_some() { LOST_BYTES } else { 0 };
        let lost = Operation::Lost {
            bytes: len - FRAME_HEADER_BYTES - LOST_BYTES - more,
        };
        let header = Header {
            version: gap.version - nth,
            group: u64::from(part.header.segment) << 32 | offset,
            segment: part.header.segment,
        };
        encode(
            header,
            survey.seed,
            std::iter::once(lost).chain(cleaned),
            &mut bytes,
        );
        left -= len;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::frame::{ALIGNMENT, Frame, Seed, aligned, claimed_len};
    use super::super::segment::SegmentHeader;
    use super::*;

    const STORE: [u8; 16] = [7; 16];
    const FROM: u64 = 4096;
    const VERSION: u64 = 1000;

    /// What takes the place of a gap of so many bytes.
    fn filling_of(bytes: usize, cleaned: Option<u32>) -> Vec<u8> {
        let gap = Gap {
            from: FROM,
            to: FROM + bytes as u64,
            version: VERSION,
            cleaned,
        };
        let part = Part {
            name: None,
            header: SegmentHeader {
                segment: 3,
                store: STORE,
                floor: 1,
                previous: 0,
            },
            is_headless: false,
            gaps: vec![gap],
            end: gap.to,
            version: gap.version,
        };
        let survey = Survey {
            parts: Vec::new(),
            seed: Seed::of(STORE),
            store: STORE,
            strangers: Vec::new(),
            bytes: 0,
            frames: 0,
            torn: None,
        };
        lost(&gap, &part, &survey)
    }

    /// Frames that can be read, each of a group of its own, as long together as the gap, up to its version.
    fn is_filled(bytes: usize, cleaned: Option<u32>) {
        let filling = filling_of(bytes, cleaned);
        assert_eq!(filling.len(), bytes);
        let (mut at, mut versions, mut found) = (0, Vec::new(), None);
        while at < bytes {
            let len = claimed_len(&filling[at..]).filter(|len| *len > 0);
            let len = len.unwrap_or_else(|| panic!("no frame at {at} of {bytes}"));
            let frame = Frame::decode(&filling[at..at + len], Seed::of(STORE));
            let frame = frame.unwrap_or_else(|| panic!("a frame that is none at {at} of {bytes}"));
            assert!(frame.is_whole(), "at {at} of {bytes}");
            assert_eq!(frame.header().group, 3 << 32 | (FROM + at as u64));
            versions.push(frame.header().version);
            for (_, operation) in frame.operations() {
                match operation {
                    Operation::Lost { .. } => {}
                    Operation::Cleaned { segment } => found = Some(segment),
                    other => panic!("{other:?}"),
                }
            }
            at += aligned(len);
        }
        let first = VERSION + 1 - versions.len() as u64;
        assert!(versions.iter().copied().eq(first..=VERSION), "{versions:?}");
        assert_eq!(found, cleaned.map(u64::from));
    }

    #[test]
    fn a_gap_about_as_long_as_any_number_of_frames_is_filled_with_frames_that_can_be_read() {
        for frames in 1..3 {
            for less in [0, 8, 48, 56, 64, 4088, 4096, 8192] {
                is_filled(frames * FRAME_MAX - less, None);
            }
            for more in [8, 48, 64] {
                is_filled(frames * FRAME_MAX + more, Some(2));
            }
        }
    }

    #[test]
    fn the_shortest_gaps_are_filled() {
        for bytes in (48..512).step_by(ALIGNMENT) {
            is_filled(bytes, None);
            is_filled(bytes + LOST_BYTES, Some(2));
        }
    }
}
