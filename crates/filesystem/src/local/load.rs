//! Making the index from the files at opening. Temporary files of the life before go; nothing else is changed.

use std::io;
use std::sync::Arc;

use super::index::{LocalIndex, LogState, PartState, Seat};
use super::part_file;
use super::place::{self, Named};
use super::record_file::{self, LINE_MAX};
use super::settle::read_file;
use super::settle_log::seat;
use crate::commit_log::FileLayer;
use crate::embedded::spot::Head;

/// What was found.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) index: LocalIndex,
    /// The highest version in any file.
    pub(super) version: u64,
    /// What an operator should know, a sentence each.
    pub(super) notices: Vec<String>,
}

/// Reads the first line of every record and every part of every log.
pub(super) fn load(files: &Arc<dyn FileLayer>) -> io::Result<Loaded> {
    let mut loaded = Loaded {
        index: LocalIndex::new(Arc::clone(files)),
        version: 0,
        notices: Vec::new(),
    };
    for folder in [place::RECORDS, place::LOGS] {
        if files.make_folder(folder)? {
            files.sync_folder("")?;
        }
    }
    loaded.records(place::RECORDS, "")?;
    loaded.logs(place::LOGS, "")?;
    Ok(loaded)
}

impl Loaded {
    fn files(&self) -> Arc<dyn FileLayer> {
        Arc::clone(&self.index.files)
    }

    /// It ends: a key has 16 segments at most.
    fn records(&mut self, folder: &str, above: &str) -> io::Result<()> {
        for name in names(&*self.files(), folder)? {
            let path = format!("{folder}/{name}");
            match place::record_named(&name) {
                Named::Item(segment) => {
                    if let Some(key) = place::below(above, segment) {
                        self.record(&path, key)?;
                    }
                }
                Named::Temporary => self.files().remove(&path)?,
                Named::Other => {
                    if let Some(above) = place::below(above, &name) {
                        self.records(&path, &above)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, path: &str, key: String) -> io::Result<()> {
        let mut line = [0; LINE_MAX];
        let file = self.files().open(path)?;
        let read = file.read_at(&mut line, 0)?;
        let seat = match record_file::line(&line[..read]) {
            Some(line) => {
                self.version = self.version.max(line.version);
                Seat::File {
                    version: line.version,
                    weight: u32::try_from(line.len + line.kind.as_str().len()).unwrap_or(u32::MAX),
                    crc: line.crc,
                }
            }
            None => {
                self.notices
                    .push(format!("{path} cannot be read: repair takes it as a new version"));
                Seat::Damaged
            }
        };
        self.index.records.insert(key, seat);
        Ok(())
    }

    fn logs(&mut self, folder: &str, above: &str) -> io::Result<()> {
        for name in names(&*self.files(), folder)? {
            let path = format!("{folder}/{name}");
            match place::log_named(&name) {
                Named::Item(segment) => {
                    if let Some(log) = place::below(above, segment) {
                        self.log(&path, log)?;
                    }
                }
                Named::Temporary => self.files().remove(&path)?,
                Named::Other => {
                    if let Some(above) = place::below(above, &name) {
                        self.logs(&path, &above)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn log(&mut self, folder: &str, log: String) -> io::Result<()> {
        let mut firsts = Vec::new();
        for name in names(&*self.files(), folder)? {
            match place::first_of(&name) {
                Some(first) => firsts.push(first),
                None if place::is_temporary(&name) => self.files().remove(&format!("{folder}/{name}"))?,
                None => {}
            }
        }
        firsts.sort_unstable();
        let mut state = LogState::default();
        for first in firsts {
            self.part(&log, first, &mut state)?;
        }
        if let Some(head) = &mut state.head {
            head.bytes = state.entries.values().map(weight).sum();
        }
        // A folder without a part is of a log whose first part was never put in place.
        if state.head.is_some() {
            self.index.logs.insert(log, state);
        }
        Ok(())
    }

    /// Parts come by their first position; where two overlap the later one was made from the one before.
    fn part(&mut self, log: &str, first: u64, state: &mut LogState) -> io::Result<()> {
        let path = place::part(log, first);
        let bytes = read_file(&*self.files(), &path, part_file::FILE_MAX)?.unwrap_or_default();
        let whole = part_file::decode(log, &bytes).filter(|(line, _)| line.first == first);
        let Some(line) = part_file::line(&bytes).filter(|line| line.first == first) else {
            // Where it ends is not known, so nothing can follow it.
            return Err(io::Error::new(io::ErrorKind::InvalidData, path));
        };
        let (slots, is_damaged) = match whole {
            Some((_, slots)) => (slots, false),
            None => {
                self.notices.push(format!(
                    "{path} cannot be read: its bytes are kept, its entries are corrupt"
                ));
                (Vec::new(), true)
            }
        };
        let head = state.head.get_or_insert(Head {
            incarnation: line.of.incarnation,
            predecessor: line.of.predecessor,
            first,
            next: first,
            bytes: 0,
            version: 0,
        });
        // Between parts nothing is ever missing, unless somebody removed one.
        let gap = head.next..first;
        head.next = head.next.max(line.next);
        for position in gap {
            state.put(position, Seat::Damaged);
        }
        for position in first..line.next {
            let slot = usize::try_from(position - first)
                .ok()
                .and_then(|at| slots.get(at));
            self.version = self.version.max(slot.map_or(0, |slot| slot.version));
            state.put(position, slot.map_or(Seat::Damaged, |slot| seat(first, *slot)));
        }
        let part = PartState {
            next: line.next,
            bytes: bytes.len() as u64,
            is_damaged,
        };
        state.parts.insert(first, part);
        Ok(())
    }
}

fn weight(seat: &Seat) -> u64 {
    use crate::embedded::index::Spotted;
    seat.weight() as u64
}

/// The names in a folder. A file that people put there has none.
fn names(files: &dyn FileLayer, folder: &str) -> io::Result<Vec<String>> {
    match files.names(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(Vec::new()),
        names => names,
    }
}
