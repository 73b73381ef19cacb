//! Writing the last segment anew, so that what is read is what the disk has.

use super::FileLayer;
use super::frame::{ALIGNMENT, Seed};
use super::recovery::RecoveryError;
use super::segment::{HEADER_BYTES, SegmentHeader};
use super::segments::Segment;
use super::verify::{End, verify_last};

/// The name of a segment while it is written anew.
pub(super) const ANEW: &str = "log/anew.tmp";
/// Bytes copied at once.
const COPY_BYTES: usize = 1024 * 1024;

/// Writes a segment anew up to where it ends, and syncs it: the page cache may show bytes the disk lacks. The copy is
/// verified before it takes the segment's place: it was read a second time, perhaps as something else.
pub(super) fn write_anew(
    files: &dyn FileLayer,
    seed: Seed,
    segment: &Segment,
    whole: End,
) -> Result<(), RecoveryError> {
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
    let copied = verify_last(&*new, seed, segment, HEADER_BYTES as u64, false, &mut 0)?;
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
