//! Bringing files and log together at opening: what was found, and the log replayed over it.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::index::LocalIndex;
use super::load::{Loaded, load};
use super::place;
use crate::commit_log::checkpoint::Checkpoint;
use crate::commit_log::frame::{Frame, Operation};
use crate::commit_log::segment::HEADER_BYTES;
use crate::commit_log::{Begins, FileLayer, Plan, Proved, RecoveryError, recover};
use crate::embedded::apply::{Mode, apply};
use crate::embedded::folder::Folder;
use crate::embedded::opened::{Failure, Opened};
use crate::embedded::tally::Tally;

/// Recovers the log and replays over the files what may not be behind it. Replayed twice it is the same: a record
/// older than its file changes nothing, nor does an entry at a position that a log already has.
pub(super) fn bring_together(
    folder: &Folder,
    files: &Arc<dyn FileLayer>,
) -> Result<Opened<LocalIndex>, Failure> {
    let checkpoint = Checkpoint::read(&**files)?.filter(|checkpoint| checkpoint.store == folder.store);
    let from = checkpoint.map(|checkpoint| (checkpoint.segment, checkpoint.offset));
    let recovered = recover(
        files,
        Plan {
            store: folder.store,
            from,
            proved: checkpoint.map(Proved::of),
            begins: Begins::AtReplayed,
            is_clean: checkpoint.is_some_and(|checkpoint| checkpoint.clean),
        },
    )?;
    let Loaded {
        mut index,
        version,
        mut notices,
    } = load(files).map_err(unloaded)?;
    notices.extend(recovered.notices.iter().cloned());
    let mut expected = checkpoint.map(|checkpoint| Tally {
        items: checkpoint.items,
        digest: checkpoint.digest,
    });
    let is_new = checkpoint.is_none() && recovered.tail.is_none() && version == 0;
    recovered.replay(from, |place, frame| {
        if let Some(tally) = &mut expected {
            tally.count(frame);
        }
        note_folders(frame, &mut index.unsynced);
        apply(&mut index, place, frame, Mode::Replay)
            .map(drop)
            .map_err(Failure::from)
    })?;
    let (tally, live) = Tally::of(&index)?;
    if expected.is_some_and(|expected| expected != tally) {
        notices
            .push("records or logs were added, removed or edited by hand while the store was closed".into());
    }
    let last_version = recovered
        .last_version
        .max(checkpoint.map_or(0, |checkpoint| checkpoint.version))
        .max(version);
    if let Some(begun) = begun(checkpoint, is_new, folder.store, files) {
        begun.write(&**files)?;
    }
    Ok(Opened {
        is_behind: index.has_changed(),
        recovered,
        index,
        tally,
        live,
        audit: None,
        last_version,
        notices,
    })
}

/// Notes the folders whose names may have been changed for what a frame says.
///
/// The life before may have written that behind the log, and have been killed before it synced the names: they are found
/// now, and a power cut would still take them back. So they are synced before a checkpoint counts on them.
fn note_folders(frame: &Frame<'_>, unsynced: &mut BTreeSet<String>) {
    for (_, operation) in frame.operations() {
        let path = match operation {
            Operation::Put { key, .. } | Operation::Delete { key, .. } | Operation::Moved { key, .. } => {
                place::record(key)
            }
            Operation::Append { log, .. }
            | Operation::Begin { log, .. }
            | Operation::Truncate { log, .. }
            | Operation::Head { log, .. }
            | Operation::MovedEntry { log, .. } => place::part(log, 1),
            Operation::Cleaned { .. } | Operation::Lost { .. } => continue,
        };
        let mut folder = place::parent(&path);
        // Ends with one that was noted with all above it, or with the store's own.
        while unsynced.insert(folder.to_owned()) && !folder.is_empty() {
            folder = place::parent(folder);
        }
    }
}

/// What says that the store is open: an end without a close is known by it. It says no more of what is behind the
/// log than the checkpoint before.
fn begun(
    checkpoint: Option<Checkpoint>,
    is_new: bool,
    store: [u8; 16],
    files: &Arc<dyn FileLayer>,
) -> Option<Checkpoint> {
    let first = Checkpoint {
        clean: false,
        store,
        boot: files.boot(),
        version: 0,
        segment: 1,
        offset: HEADER_BYTES as u32,
        items: 0,
        digest: 0,
        live: 0,
        first: 1,
        index: 0,
    };
    let last = checkpoint.map(|checkpoint| Checkpoint {
        clean: false,
        boot: files.boot(),
        ..checkpoint
    });
    last.or_else(|| is_new.then_some(first))
}

/// A part of a log that cannot be told from anything: its name is all that the error carries.
fn unloaded(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::InvalidData {
        Failure::Recovery(RecoveryError::Damaged {
            place: error.to_string(),
        })
    } else {
        Failure::Io(error)
    }
}
