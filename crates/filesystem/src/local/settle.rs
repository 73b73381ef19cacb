//! Writing behind the commit log: records and parts of logs as files, then segments go.
//!
//! A file is made under a temporary name, synced, renamed, and its folder synced; so it is whole or the one before.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::beside::Round;
use super::index::{LocalIndex, Seat};
use super::{place, record_file, settle_log};
use crate::commit_log::{FileLayer, LogFile};
use crate::embedded::fetch::{Fetch, LogFetch, Unfetched};
use crate::embedded::index::{Index, IndexError, Settled, Spotted};
use crate::embedded::shared::Shared;
use crate::embedded::spot::Spot;
use crate::{Key, ReadError};

/// Most records written between two groups of commits, and the time after which no other is begun: what a commit
/// may have to wait for it.
const STEP_RECORDS: usize = 32;
const STEP_TIME: Duration = Duration::from_millis(10);

/// One step of writing behind the log. A round is what has changed when it begins.
pub(super) fn settle(shared: &Shared<LocalIndex>) -> io::Result<Settled> {
    let mut round = shared.beside.round();
    if !round.is_begun {
        change(shared, |index| {
            (round.records, round.logs) = index.take_changed();
            round.unsynced.append(&mut index.unsynced);
        })?;
        round.is_begun = true;
    }
    match step(shared, &mut round) {
        Ok(()) if round.is_done() => {
            round.is_begun = false;
            Ok(Settled::All)
        }
        Ok(()) => Ok(Settled::Part),
        Err(error) => {
            round.is_begun = false;
            let left = (
                std::mem::take(&mut round.records),
                std::mem::take(&mut round.logs),
            );
            change(shared, |index| index.put_back(left.0, left.1))?;
            Err(error)
        }
    }
}

fn step(shared: &Shared<LocalIndex>, round: &mut Round) -> io::Result<()> {
    if !round.records.is_empty() {
        return step_records(shared, round);
    }
    if let Some(log) = round.logs.last().cloned() {
        settle_log::write(shared, &log, round)?;
        round.logs.pop();
        return Ok(());
    }
    // Those are left whose sync failed before, and those of a life before this one.
    let Some(folder) = round.unsynced.last().cloned() else {
        return Ok(());
    };
    sync_folder(&*shared.files, round, &folder)
}

/// Makes the names in a folder durable. One that is gone has none; that it is gone is its parent's to keep.
pub(super) fn sync_folder(files: &dyn FileLayer, round: &mut Round, folder: &str) -> io::Result<()> {
    let is_gone = |kind| matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    match files.sync_folder(folder) {
        Err(error) if !is_gone(error.kind()) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    round.unsynced.remove(folder);
    Ok(())
}

/// A record's file that is made and not yet in its place.
#[derive(Debug)]
struct Made {
    key: String,
    seat: Seat,
    temporary: String,
}

fn step_records(shared: &Shared<LocalIndex>, round: &mut Round) -> io::Result<()> {
    let begin = Instant::now();
    let from = round.records.len().saturating_sub(STEP_RECORDS);
    let mut at = round.records.len();
    let (mut made, mut gone) = (Vec::new(), Vec::new());
    while at > from && begin.elapsed() < STEP_TIME {
        at -= 1;
        let key = round.records[at].clone();
        match read_index(shared, |index| index.record(&key))? {
            Some(Seat::Log(spot)) => made.push(make(shared, round, key, &spot)?),
            Some(Seat::File { .. } | Seat::Part { .. } | Seat::Damaged) => {}
            None => gone.push(key),
        }
    }
    let mut folders = BTreeSet::new();
    // The ones removed, from records that may be long gone again.
    gone.retain(|key| is_there(shared, key));
    for key in made.iter().map(|made| &made.key).chain(&gone) {
        folders.insert(place::parent(&place::record(key)).to_owned());
    }
    round.unsynced.extend(folders.iter().cloned());
    for made in &made {
        keep_aside(shared, &made.key, made.seat.version())?;
    }
    for key in &gone {
        keep_aside(shared, key, 0)?;
    }
    put_in_place(shared, made, &gone)?;
    for folder in &folders {
        sync_folder(&*shared.files, round, folder)?;
    }
    for key in &gone {
        remove_empty(shared, round, place::parent(&place::record(key)), place::RECORDS)?;
    }
    round.records.truncate(at);
    Ok(())
}

fn make(shared: &Shared<LocalIndex>, round: &mut Round, key: String, spot: &Spot) -> io::Result<Made> {
    let name = Key::from_stored(&key).map_err(io::Error::other)?;
    let entry = LogFetch::of(&shared.reader)
        .entry(&name, spot)
        .map_err(unfetched)?;
    let (bytes, crc) = record_file::encode(&key, &entry.kind, spot.version, &entry.value);
    let temporary = place::record_temporary(&key, spot.version);
    write_file(shared, round, &temporary, &bytes)?;
    let seat = Seat::File {
        version: spot.version,
        weight: spot.weight,
        crc,
    };
    Ok(Made { key, seat, temporary })
}

/// What was made takes its place, what is no more goes. No reader sees a part of it.
fn put_in_place(shared: &Shared<LocalIndex>, made: Vec<Made>, gone: &[String]) -> io::Result<()> {
    let _changing = shared.beside.change_files();
    for made in &made {
        shared.files.rename(&made.temporary, &place::record(&made.key))?;
    }
    for key in gone {
        match shared.files.remove(&place::record(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    change(shared, |index| {
        for Made { key, seat, .. } in made {
            index.accepted.remove(&key);
            index.records.insert(key, seat);
        }
        for key in gone {
            index.accepted.remove(key);
        }
    })
}

/// Moves a record's file aside if it cannot be read: its bytes are never overwritten.
///
/// The commit that replaces it was judged against the file as it was, so this is one edited since then.
fn keep_aside(shared: &Shared<LocalIndex>, key: &str, version: u64) -> io::Result<()> {
    let path = place::record(key);
    let Some(bytes) = read_file(&*shared.files, &path, record_file::FILE_MAX)? else {
        return Ok(());
    };
    let is_accepted = read_index(shared, |index| Ok(index.is_accepted(key, Some(&bytes))))?;
    if is_accepted || record_file::decode(key, &bytes).is_some() {
        return Ok(());
    }
    let kept = place::record_kept(key, version.max(1));
    shared.files.rename(&path, &kept)?;
    shared.notice(format!(
        "{path} was edited while its record was replaced: the edited bytes are kept as {kept}"
    ));
    Ok(())
}

fn is_there(shared: &Shared<LocalIndex>, key: &str) -> bool {
    shared.files.open(&place::record(key)).is_ok()
}

/// Makes a file under a name of its own, synced, with the folders it needs.
pub(super) fn write_file(
    shared: &Shared<LocalIndex>,
    round: &mut Round,
    path: &str,
    bytes: &[u8],
) -> io::Result<()> {
    make_folders(&*shared.files, round, place::parent(path))?;
    let file = match shared.files.create(path) {
        // Somebody removed a folder known to be there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            round.folders.clear();
            make_folders(&*shared.files, round, place::parent(path))?;
            shared.files.create(path)?
        }
        made => made?,
    };
    file.write_at(bytes, 0)?;
    file.sync()
}

fn make_folders(files: &dyn FileLayer, round: &mut Round, folder: &str) -> io::Result<()> {
    if folder.is_empty() || round.folders.contains(folder) {
        return Ok(());
    }
    let parent = place::parent(folder);
    make_folders(files, round, parent)?;
    if files.make_folder(folder)? {
        round.unsynced.insert(parent.to_owned());
        sync_folder(files, round, parent)?;
    }
    round.folders.insert(folder.to_owned());
    Ok(())
}

/// Removes folders in which nothing is left, up to the one that always stays.
fn remove_empty(shared: &Shared<LocalIndex>, round: &mut Round, folder: &str, top: &str) -> io::Result<()> {
    let mut folder = folder;
    while folder != top && shared.files.remove_folder(folder).is_ok() {
        round.folders.remove(folder);
        folder = place::parent(folder);
        round.unsynced.insert(folder.to_owned());
        sync_folder(&*shared.files, round, folder)?;
    }
    Ok(())
}

/// All bytes of a file; none when it is missing or longer than any of ours.
pub(super) fn read_file(files: &dyn FileLayer, path: &str, max: usize) -> io::Result<Option<Vec<u8>>> {
    let file: Arc<dyn LogFile> = match files.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = usize::try_from(file.bytes()?).unwrap_or(usize::MAX);
    if len > max {
        // Longer than what can be ours: bytes, but none that verify.
        return Ok(Some(Vec::new()));
    }
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

pub(super) fn unfetched(why: Unfetched) -> io::Error {
    match why {
        Unfetched::Corrupt => {
            io::Error::other("the commit log is damaged where it is not yet written behind")
        }
        Unfetched::Io(error) => error,
    }
}

pub(super) fn read_index<T>(
    shared: &Shared<LocalIndex>,
    read: impl FnOnce(&LocalIndex) -> Result<T, IndexError>,
) -> io::Result<T> {
    shared
        .with_index(read)
        .map_err(|error: ReadError| io::Error::other(error))
}

pub(super) fn change(shared: &Shared<LocalIndex>, change: impl FnOnce(&mut LocalIndex)) -> io::Result<()> {
    let changed = shared.change_index(|index| {
        change(index);
        Ok(())
    });
    changed.map_err(io::Error::other)
}
