//! Segments that go, once a checkpoint says that they are not needed.

use std::io;
use std::sync::atomic::Ordering;

use super::index::Index;
use super::shared::Shared;
use crate::commit_log::checkpoint::Checkpoint;

/// Removes the segments that are needed neither for what is live nor for a replay, oldest first: what is left is never
/// with a gap. While somebody exports, what was replaced stays; a later checkpoint lets it go.
pub(crate) fn remove_segments<I: Index>(shared: &Shared<I>, checkpoint: &Checkpoint) -> io::Result<()> {
    if shared.exports.load(Ordering::Acquire) > 0 {
        return Ok(());
    }
    let needed = checkpoint.first.min(checkpoint.segment);
    let mut names = shared.reader.names();
    // The last one tells the high-water mark.
    names.pop();
    for (segment, name) in names.into_iter().filter(|(segment, _)| *segment < needed) {
        let changing = I::change_files(&shared.beside);
        shared.reader.remove(segment)?;
        shared.files.remove(&name)?;
        drop(changing);
        shared.files.sync_folder("log")?;
    }
    Ok(())
}
