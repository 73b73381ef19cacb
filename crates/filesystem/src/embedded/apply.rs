//! Applying a frame to the index: the same for a commit just flushed and for one replayed at opening.

use super::index::{Index, IndexError, Spotted};
use super::spot::{Head, Spot};
use crate::commit_log::Place;
use crate::commit_log::frame::{Frame, Operation};

/// Whether a frame may have been applied before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It was judged against this index, which does not have it.
    Live,
    /// The index may have it, or even what came after it: older never replaces newer.
    Replay,
}

/// Applies all of a frame. In replay it may be applied any number of times.
pub(crate) fn apply<I: Index>(
    index: &mut I,
    place: Place,
    frame: &Frame<'_>,
    mode: Mode,
) -> Result<(), IndexError> {
    let version = frame.header().version;
    let mut heads = Heads {
        version,
        changed: Vec::new(),
    };
    for (at, operation) in frame.operations() {
        let spot = |weight: usize| Spot {
            place,
            at: u32::try_from(at).expect("a frame is at most FRAME_MAX"),
            weight: u32::try_from(weight).expect("an item is smaller than its frame"),
            version,
        };
        match operation {
            Operation::Put { key, kind, value, .. } => {
                if is_newer(index, key, version, mode)? {
                    index.put_record(key, &spot(kind.len() + value.len()))?;
                }
            }
            Operation::Delete { key, .. } => {
                if is_newer(index, key, version, mode)? {
                    index.remove_record(key)?;
                }
            }
            Operation::Append { log, position, entry } => {
                // A head that is further already has it, whatever version it was found with.
                if let Some(head) = heads.of(index, log)?.filter(|head| head.next <= position) {
                    head.next = position + 1;
                    head.bytes += entry.len() as u64;
                    index.put_entry(log, position, &spot(entry.len()))?;
                }
            }
            Operation::Truncate {
                log, before, bytes, ..
            } => {
                if let Some(head) = heads.of(index, log)?.filter(|head| head.first < before) {
                    let first = std::mem::replace(&mut head.first, before);
                    head.bytes = head.bytes.saturating_sub(bytes);
                    for position in first..before {
                        index.remove_entry(log, position)?;
                    }
                }
            }
        }
    }
    heads.write(index)
}

fn is_newer<I: Index>(index: &I, key: &str, version: u64, mode: Mode) -> Result<bool, IndexError> {
    Ok(match mode {
        Mode::Live => true,
        Mode::Replay => index.record(key)?.is_none_or(|found| found.version() < version),
    })
}

/// The heads a frame changes. They are written last: a head that has the frame's version says that all is there.
struct Heads<'a> {
    version: u64,
    changed: Vec<(&'a str, Option<Head>)>,
}

impl<'a> Heads<'a> {
    /// The head to change; none when the index has this frame already.
    fn of<I: Index>(&mut self, index: &I, log: &'a str) -> Result<Option<&mut Head>, IndexError> {
        let at = match self.changed.iter().position(|(known, _)| *known == log) {
            Some(at) => at,
            None => {
                let found = index.head(log)?.unwrap_or(Head::begun(self.version));
                let has_it = found.version >= self.version;
                self.changed.push((log, (!has_it).then_some(found)));
                self.changed.len() - 1
            }
        };
        Ok(self.changed[at].1.as_mut())
    }

    fn write<I: Index>(self, index: &mut I) -> Result<(), IndexError> {
        for (log, head) in self.changed {
            if let Some(head) = head {
                let version = self.version;
                index.put_head(log, &Head { version, ..head })?;
            }
        }
        Ok(())
    }
}
