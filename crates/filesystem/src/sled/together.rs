//! Bringing log and index together at opening: by replay from the checkpoint, or by building the index anew.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::index::Index;
use super::sum;
use crate::commit_log::checkpoint::Checkpoint;
use crate::commit_log::frame::Operation;
use crate::commit_log::segment::HEADER_BYTES;
use crate::commit_log::{Begins, FileLayer, Plan, Proved, Recovered, is_same_boot, recover};
use crate::embedded::apply::{Mode, apply};
use crate::embedded::audit::{Audit, Counted};
use crate::embedded::folder::Folder;
use crate::embedded::index::{Index as _, IndexError, Spotted, Walk};
use crate::embedded::opened::{Failure, Opened};
use crate::embedded::tally::Tally;

/// The name of the index's folder.
const INDEX: &str = "index";

/// Most items that are compared before an opening ends, whatever the end before: a tenth of a second. More are compared
/// behind it.
const COMPARED_AT_ONCE_MAX: u64 = 50_000;

/// What bringing together works on.
struct Together<'a> {
    files: &'a Arc<dyn FileLayer>,
    store: [u8; 16],
    index: PathBuf,
    cache_bytes: u64,
    /// What the last checkpoint proves of the log, whether or not the index can be trusted.
    proved: Option<Proved>,
}

/// Recovers the log, and makes the index equal to it.
pub(super) fn bring_together(
    folder: &Folder,
    files: &Arc<dyn FileLayer>,
    cache_bytes: u64,
) -> Result<Opened<Index>, Failure> {
    let checkpoint = Checkpoint::read(&**files)?.filter(|checkpoint| checkpoint.store == folder.store);
    let together = Together {
        files,
        store: folder.store,
        index: folder.path().join(INDEX),
        cache_bytes,
        proved: checkpoint.map(Proved::of),
    };
    // After a restart of the machine without a clean end nobody knows what of the tree reached the disk.
    let trusted = checkpoint.filter(|c| c.clean || is_same_boot(c.boot, files.boot()));
    let mut opened = match trusted {
        Some(checkpoint) => together.keep_or_rebuild(checkpoint)?,
        None => together.rebuild(Vec::new())?,
    };
    if !opened.recovered.is_clean {
        opened.index.sync()?;
    }
    together.begin(&opened)?;
    Ok(opened)
}

impl Together<'_> {
    fn keep_or_rebuild(&self, checkpoint: Checkpoint) -> Result<Opened<Index>, Failure> {
        let recovered = recover(
            self.files,
            Plan {
                store: self.store,
                from: Some((checkpoint.segment, checkpoint.offset)),
                proved: self.proved,
                begins: Begins::AtNeeded,
                is_clean: checkpoint.clean,
            },
        )?;
        let notices = recovered.notices.clone();
        match self.keep(checkpoint, recovered) {
            Ok(Some(opened)) => Ok(opened),
            Ok(None) | Err(Failure::Index(_)) => self.rebuild(notices),
            Err(failure) => Err(failure),
        }
    }

    /// The index that is there, replayed, if it can be believed; none when it cannot.
    fn keep(&self, checkpoint: Checkpoint, recovered: Recovered) -> Result<Option<Opened<Index>>, Failure> {
        let is_as_left = recovered.is_clean
            && checkpoint.index != 0
            && sum::of(&self.index).is_ok_and(|sum| sum == checkpoint.index);
        let mut index = Index::open(&self.index, self.store, self.cache_bytes)?;
        let last_version = recovered.last_version.max(checkpoint.version);
        // Behind its checkpoint it was rolled back, ahead of the log it knows what never was.
        if !(checkpoint.version..=last_version).contains(&index.version()?) {
            return Ok(None);
        }
        let mut counted = Counted {
            tally: Tally {
                items: checkpoint.items,
                digest: checkpoint.digest,
            },
            live: i64::try_from(checkpoint.live).unwrap_or(0),
        };
        if !recovered.is_clean {
            let from = (checkpoint.segment, checkpoint.offset);
            replay(&recovered, from, &mut index, &mut counted)?;
        }
        // After a clean end without a sum, a comparison had not come to its end; after one with another, somebody
        // changed the files: they are believed only as a whole.
        let was_changed = recovered.is_clean && checkpoint.index != 0 && !is_as_left;
        let is_small = counted.tally.items <= COMPARED_AT_ONCE_MAX;
        let is_proved = is_as_left || was_changed || is_small;
        if is_proved && !is_as_left {
            let (found, live) = Tally::of(&index)?;
            if found != counted.tally || !knows_bytes(&index)? {
                return Ok(None);
            }
            counted.live = live;
        }
        Ok(Some(Opened {
            notices: recovered.notices.clone(),
            recovered,
            index,
            tally: counted.tally,
            live: counted.live,
            audit: (!is_proved).then(Audit::new),
            last_version,
            is_behind: false,
        }))
    }

    /// Removes the index and builds it from the whole log, all of which is verified before anything is removed.
    fn rebuild(&self, mut notices: Vec<String>) -> Result<Opened<Index>, Failure> {
        let recovered = recover(
            self.files,
            Plan {
                store: self.store,
                from: None,
                proved: self.proved,
                begins: Begins::AtNeeded,
                is_clean: false,
            },
        )?;
        notices.extend(recovered.notices.iter().cloned());
        // Killed in between, the half-built tree must not pass for a whole one.
        Checkpoint::distrust(&**self.files)?;
        Index::remove(&self.index)?;
        let mut index = Index::open(&self.index, self.store, self.cache_bytes)?;
        let counted = build(&recovered, &mut index)?;
        if recovered.tail.is_some() {
            notices.push("the index was rebuilt from the whole log".to_owned());
        }
        Ok(Opened {
            last_version: recovered.last_version,
            recovered,
            index,
            tally: counted.tally,
            live: counted.live,
            audit: None,
            is_behind: false,
            notices,
        })
    }

    /// Says that the store is open: an end without a close is known by it.
    fn begin(&self, opened: &Opened<Index>) -> io::Result<()> {
        let tail = opened.recovered.tail.as_ref();
        let (segment, offset) = tail.map_or((1, HEADER_BYTES as u32), |t| (t.segment, t.offset));
        let checkpoint = Checkpoint {
            clean: false,
            store: self.store,
            boot: self.files.boot(),
            version: opened.last_version,
            segment,
            offset,
            items: opened.tally.items,
            digest: opened.tally.digest,
            live: u64::try_from(opened.live).unwrap_or(0),
            first: opened.recovered.needed,
            index: 0,
        };
        checkpoint.write(&**self.files)
    }
}

/// Whether each log's head knows the bytes of its entries: one that was forgotten for an older one, and then replayed
/// over, ends where it must and has counted less. No digest tells it.
fn knows_bytes(index: &Index) -> Result<bool, IndexError> {
    let mut bytes: HashMap<String, u64> = HashMap::new();
    index.walk_heads(Walk::ALL, |log, head| {
        bytes.insert(log.to_owned(), head.bytes);
        true
    })?;
    let mut has_all = true;
    index.walk_all_entries(None, |log, _, spot| {
        let left = bytes.get_mut(log).and_then(|left| {
            *left = left.checked_sub(spot.weight() as u64)?;
            Some(())
        });
        has_all &= left.is_some();
        has_all
    })?;
    Ok(has_all && bytes.values().all(|left| *left == 0))
}

/// Applies what the log has from a place on, and counts it.
fn replay(
    recovered: &Recovered,
    from: (u32, u32),
    index: &mut Index,
    counted: &mut Counted,
) -> Result<(), Failure> {
    index.begin(recovered.last_version.max(index.version()?))?;
    recovered.replay(Some(from), |place, frame| {
        counted.tally.count(frame);
        counted.live += apply(index, place, frame, Mode::Replay)?;
        Ok::<(), Failure>(())
    })
}

/// Applies all of the log to an index that has nothing: what comes later holds.
fn build(recovered: &Recovered, index: &mut Index) -> Result<Counted, Failure> {
    index.begin(recovered.last_version)?;
    let (mut tally, mut live) = (Tally::default(), 0);
    let mut is_whole = recovered.is_from_the_first();
    recovered.replay(None, |place, frame| {
        is_whole &= !frame
            .operations()
            .any(|(_, o)| matches!(o, Operation::Lost { .. }));
        tally.count(frame);
        live += apply(index, place, frame, Mode::Live)?;
        Ok::<(), Failure>(())
    })?;
    if !is_whole {
        // What was replaced is not all there to be counted off.
        (tally, live) = Tally::of(index)?;
    }
    Ok(Counted { tally, live })
}
