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
