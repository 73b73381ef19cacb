//! The segments of a log as they lie there, held against each other.

use std::io;

use super::FileLayer;
use super::recovery::RecoveryError;
use super::segment::{self, HEADER_BYTES, SegmentHeader, Unreadable};

/// A segment whose header was read.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) header: SegmentHeader,
}

impl Segment {
    pub(super) fn path(&self) -> String {
        format!("log/{}", self.name)
    }

    pub(super) fn damaged(&self, offset: u64) -> RecoveryError {
        RecoveryError::Damaged {
            place: format!("{} offset {offset}", self.path()),
        }
    }
}

/// The names of segments by their floors, oldest first.
pub(super) type Names = Vec<(u64, String)>;

/// The names of the segments; and the paths of temporary files.
pub(super) fn names(files: &dyn FileLayer) -> io::Result<(Names, Vec<String>)> {
    let names = files.names("log")?;
    let strays = names.iter().filter(|name| name.ends_with(".tmp"));
    let strays = strays.map(|name| format!("log/{name}")).collect();
    let floors = names
        .into_iter()
        .filter_map(|name| Some((segment::floor_of(&name)?, name)));
    let mut found: Names = floors.collect();
    found.sort();
    Ok((found, strays))
}

/// The segments, oldest first, with their headers held against each other; and temporary files.
pub(super) fn find(
    files: &dyn FileLayer,
    store: [u8; 16],
) -> Result<(Vec<Segment>, Vec<String>), RecoveryError> {
    let (found, strays) = names(files)?;
    let mut segments: Vec<Segment> = Vec::with_capacity(found.len());
    for (floor, name) in found {
        let header = read_header(files, &name)?;
        let segment = Segment { name, header };
        let follows = match segments.last() {
            Some(before) => before.header.segment.checked_add(1) == Some(header.segment),
            None => header.segment != 1 || header.previous == 0,
        };
        if header.floor != floor || header.store != store || !follows {
            return Err(segment.damaged(0));
        }
        segments.push(segment);
    }
    Ok((segments, strays))
}

/// The last version written before the segment in a file, as its header has it.
pub(crate) fn previous_of(files: &dyn FileLayer, path: &str) -> Result<u64, RecoveryError> {
    let name = path.strip_prefix("log/").unwrap_or(path);
    read_header(files, name).map(|header| header.previous)
}

pub(super) fn read_header(files: &dyn FileLayer, name: &str) -> Result<SegmentHeader, RecoveryError> {
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
