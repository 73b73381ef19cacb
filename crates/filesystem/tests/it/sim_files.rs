//! A disk that loses power: live and synced bytes apart, per sector and per name.
//!
//! What a program sees is live. A sync makes the dirty sectors of a file durable, a folder sync the names in that folder.
//! At a cut each dirty sector is kept, dropped or torn, and each change of a folder that was not synced stays or not. A sync that fails makes nothing
//! durable and leaves the sectors clean: later reads show them, a later sync does not write them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use dormouse_filesystem::commit_log::{FileLayer, LogFile};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const SECTOR_BYTES: usize = 512;

/// The disk. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimFiles {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    disk: Mutex<Disk>,
    gate: Mutex<Gate>,
    moved: Condvar,
}

/// Holds syncs back, so that a test can look at what is in flight.
#[derive(Debug, Default)]
struct Gate {
    is_shut: bool,
    held: usize,
    /// How long each sync takes.
    takes: Duration,
}

#[derive(Debug, Default)]
struct Disk {
    contents: Vec<Content>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    folders: BTreeSet<String>,
    synced_folders: BTreeSet<String>,
    /// Changes of names not yet synced, oldest first.
    renames: Vec<Renamed>,
    boots: u8,
    counts: Counts,
    /// Operations left until the power fails.
    fuse: Option<u64>,
    /// Which sync of files fails, counted from now.
    failing_sync: Option<u64>,
    /// Which step finds the disk full, and after how many more of its kind.
    full_at: Option<(Step, u64)>,
    /// Whether no byte is read.
    is_deaf: bool,
    /// Whether the next sync of a file panics.
    panics: bool,
    /// Bytes that all files together may have.
    capacity: Option<usize>,
}

/// A step at which a disk may turn out to be full, behind every check for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    SyncFile,
    Rename,
    SyncFolder,
}

/// How often the disk was asked for what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) syncs: u64,
}

#[derive(Debug, Clone)]
enum Renamed {
    Made(String, usize),
    Moved(String, String, usize),
    Removed(String),
    MadeFolder(String),
    RemovedFolder(String),
}

impl Renamed {
    /// The folder whose entries it changes.
    fn folder(&self) -> &str {
        match self {
            Self::Made(name, _)
            | Self::Moved(name, ..)
            | Self::Removed(name)
            | Self::MadeFolder(name)
            | Self::RemovedFolder(name) => folder_of(name),
        }
    }
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[derive(Debug, Default, Clone)]
struct Content {
    live: Vec<u8>,
    synced: Vec<u8>,
    dirty: BTreeSet<usize>,
}

fn apply(names: &mut BTreeMap<String, usize>, folders: &mut BTreeSet<String>, change: &Renamed) {
    match change {
        Renamed::Made(name, content) => drop(names.insert(name.clone(), *content)),
        Renamed::Moved(from, to, content) => {
            // Where the file's making did not stay, its new name may.
            if names.get(from) == Some(content) {
                names.remove(from);
            }
            names.insert(to.clone(), *content);
        }
        Renamed::Removed(name) => drop(names.remove(name)),
        Renamed::MadeFolder(name) => drop(folders.insert(name.clone())),
        Renamed::RemovedFolder(name) => drop(folders.remove(name)),
    }
}

impl Content {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[offset..end].copy_from_slice(bytes);
        self.dirty
            .extend(offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
    }

    fn sync(&mut self) {
        self.synced.resize(self.live.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let range = sector * SECTOR_BYTES..((sector + 1) * SECTOR_BYTES).min(self.live.len());
            self.synced[range.clone()].copy_from_slice(&self.live[range]);
        }
    }

    /// What the power cut leaves of it.
    fn cut(&mut self, random: &mut StdRng) {
        let mut left = self.synced.clone();
        for sector in std::mem::take(&mut self.dirty) {
            let start = sector * SECTOR_BYTES;
            let end = (start + SECTOR_BYTES).min(self.live.len());
            let kept = match random.random_range(0..8_u8) {
                0..4 => end,
                4..7 => start,
                _ => random.random_range(start..=end),
            };
            if kept > start {
                left.resize(left.len().max(end), 0);
                left[start..kept].copy_from_slice(&self.live[start..kept]);
            }
        }
        self.live.clone_from(&left);
        self.synced = left;
    }
}

impl Disk {
    /// Counts an operation against the fuse.
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.fuse {
            Some(0) => Err(io::Error::other("the power is out")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Answers that the disk is full, once, if this is the step that is to find it.
    fn find_room(&mut self, step: Step) -> io::Result<()> {
        match &mut self.full_at {
            Some((at, 0)) if *at == step => {
                self.full_at = None;
                Err(io::ErrorKind::StorageFull.into())
            }
            Some((at, left)) if *at == step => {
                *left -= 1;
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn rename(&mut self, change: Renamed) {
        apply(&mut self.names, &mut self.folders, &change);
        self.renames.push(change);
    }

    /// Makes changes of names durable.
    fn keep(&mut self, changes: &[Renamed]) {
        for change in changes {
            apply(&mut self.synced_names, &mut self.synced_folders, change);
        }
    }

    /// The folder of a log is made with the store's own.
    fn has_folder(&self, folder: &str) -> bool {
        matches!(folder, "" | "log") || self.folders.contains(folder)
    }

    /// After a cut: what lies in a folder that is not there is not there either.
    fn lose_what_has_no_folder(&mut self) {
        let (mut folders, mut names) = (self.synced_folders.clone(), self.synced_names.clone());
        loop {
            let before = folders.len();
            let there = folders.clone();
            let is_there =
                |name: &str| matches!(folder_of(name), "" | "log") || there.contains(folder_of(name));
            folders.retain(|folder| is_there(folder));
            names.retain(|name, _| is_there(name));
            if folders.len() == before {
                break;
            }
        }
        self.folders.clone_from(&folders);
        self.names.clone_from(&names);
        (self.synced_folders, self.synced_names) = (folders, names);
    }

    fn used(&self) -> usize {
        self.names
            .values()
            .map(|content| self.contents[*content].live.len())
            .sum()
    }
}

impl SimFiles {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.inner.disk.lock().unwrap()
    }

    /// The power fails after this many operations more.
    pub(crate) fn light_fuse(&self, operations: u64) {
        self.disk().fuse = Some(operations);
    }

    /// Cuts the power and turns it on again: another boot, and only what was synced is sure to be there.
    pub(crate) fn cut_power(&self, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut disk = self.disk();
        let mut renames = std::mem::take(&mut disk.renames);
        let share = random.random_range(0..=8_u8);
        renames.retain(|_| random.random_range(0..8) < share);
        disk.keep(&renames);
        disk.lose_what_has_no_folder();
        for content in &mut disk.contents {
            content.cut(&mut random);
        }
        disk.fuse = None;
        disk.failing_sync = None;
        disk.full_at = None;
        disk.boots += 1;
    }

    /// Nothing fails any more that was to fail.
    pub(crate) fn rest(&self) {
        let mut disk = self.disk();
        disk.fuse = None;
        disk.failing_sync = None;
        disk.full_at = None;
    }

    /// The sync of a file after this many more fails.
    pub(crate) fn fail_sync(&self, after: u64) {
        self.disk().failing_sync = Some(after);
    }

    /// Whether reads fail.
    pub(crate) fn fail_reads(&self, fails: bool) {
        self.disk().is_deaf = fails;
    }

    /// The next sync of a file panics.
    pub(crate) fn panic_in_sync(&self) {
        self.disk().panics = true;
    }

    /// The disk is full at this step, once, after so many more of its kind.
    pub(crate) fn be_full_at(&self, step: Step, after: u64) {
        self.disk().full_at = Some((step, after));
    }

    /// All files together may have this many bytes more than now; none: no bound.
    pub(crate) fn leave_room(&self, more: Option<usize>) {
        let mut disk = self.disk();
        let used = disk.used();
        disk.capacity = more.map(|more| used + more);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.disk().counts
    }

    /// Holds back every sync of a file from now on.
    pub(crate) fn shut_gate(&self) {
        self.inner.gate.lock().unwrap().is_shut = true;
    }

    /// Lets all of them go.
    pub(crate) fn open_gate(&self) {
        self.inner.gate.lock().unwrap().is_shut = false;
        self.inner.moved.notify_all();
    }

    /// Every sync of a file takes this long from now on.
    pub(crate) fn be_slow(&self, takes: Duration) {
        self.inner.gate.lock().unwrap().takes = takes;
    }

    /// Waits until a sync is held back. Blocking.
    pub(crate) fn await_held(&self) {
        let gate = self.inner.gate.lock().unwrap();
        drop(self.inner.moved.wait_while(gate, |gate| gate.held == 0).unwrap());
    }

    fn pass_gate(&self) {
        let mut gate = self.inner.gate.lock().unwrap();
        gate.held += 1;
        self.inner.moved.notify_all();
        let mut gate = self.inner.moved.wait_while(gate, |gate| gate.is_shut).unwrap();
        gate.held -= 1;
        let takes = gate.takes;
        drop(gate);
        if !takes.is_zero() {
            std::thread::sleep(takes);
        }
    }

    /// The live bytes of every file by name.
    pub(crate) fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        let disk = self.disk();
        let live = |content: &usize| disk.contents[*content].live.clone();
        disk.names
            .iter()
            .map(|(name, content)| (name.clone(), live(content)))
            .collect()
    }

    /// Changes a file behind everyone's back, durably.
    pub(crate) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk();
        let content = disk.names[name];
        let content = &mut disk.contents[content];
        change(&mut content.live);
        content.synced = content.live.clone();
        content.dirty.clear();
    }

    /// The names of the log's segments, oldest first.
    pub(crate) fn segments(&self) -> Vec<String> {
        let disk = self.disk();
        disk.names
            .keys()
            .filter(|name| name.ends_with(".seg"))
            .cloned()
            .collect()
    }

    /// A copy of the disk that goes its own way.
    pub(crate) fn fork(&self) -> Self {
        let disk = self.disk();
        let fork = Disk {
            contents: disk.contents.clone(),
            names: disk.names.clone(),
            synced_names: disk.synced_names.clone(),
            folders: disk.folders.clone(),
            synced_folders: disk.synced_folders.clone(),
            renames: disk.renames.clone(),
            boots: disk.boots,
            ..Disk::default()
        };
        Self {
            inner: Arc::new(Inner {
                disk: Mutex::new(fork),
                ..Inner::default()
            }),
        }
    }
}

impl FileLayer for SimFiles {
    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let content = self
            .disk()
            .names
            .get(name)
            .copied()
            .ok_or(io::ErrorKind::NotFound)?;
        let files = self.clone();
        Ok(Arc::new(SimFile { files, content }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let mut disk = self.disk();
        disk.spend()?;
        if !disk.has_folder(folder_of(name)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let content = disk.contents.len();
        disk.contents.push(Content::default());
        disk.rename(Renamed::Made(name.to_owned(), content));
        let files = self.clone();
        Ok(Arc::new(SimFile { files, content }))
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let disk = self.disk();
        let below = disk
            .names
            .keys()
            .filter_map(|name| name.strip_prefix(folder)?.strip_prefix('/'));
        let below = below.chain(
            disk.folders
                .iter()
                .filter_map(|name| name.strip_prefix(folder)?.strip_prefix('/')),
        );
        let direct = below.map(|name| name.split('/').next().unwrap_or(name).to_owned());
        Ok(direct.collect::<BTreeSet<String>>().into_iter().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.spend()?;
        disk.find_room(Step::Rename)?;
        let content = *disk.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        disk.rename(Renamed::Moved(from.to_owned(), to.to_owned(), content));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.spend()?;
        if !disk.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.rename(Renamed::Removed(name.to_owned()));
        Ok(())
    }

    fn make_folder(&self, folder: &str) -> io::Result<bool> {
        let mut disk = self.disk();
        if disk.has_folder(folder) {
            return Ok(false);
        }
        disk.spend()?;
        if !disk.has_folder(folder_of(folder)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.rename(Renamed::MadeFolder(folder.to_owned()));
        Ok(true)
    }

    fn remove_folder(&self, folder: &str) -> io::Result<()> {
        let mut disk = self.disk();
        if !disk.has_folder(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let is_in_it = |name: &String| folder_of(name) == folder;
        if disk.names.keys().any(is_in_it) || disk.folders.iter().any(is_in_it) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        disk.spend()?;
        disk.rename(Renamed::RemovedFolder(folder.to_owned()));
        Ok(())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.spend()?;
        disk.find_room(Step::SyncFolder)?;
        let changes = std::mem::take(&mut disk.renames);
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| change.folder() == folder);
        disk.keep(&here);
        disk.renames = elsewhere;
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let disk = self.disk();
        Ok(disk
            .capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(disk.used()) as u64))
    }

    fn boot(&self) -> [u8; 16] {
        [self.disk().boots + 1; 16]
    }
}

#[derive(Debug)]
struct SimFile {
    files: SimFiles,
    content: usize,
}

impl LogFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.files.disk();
        disk.counts.reads += 1;
        if disk.is_deaf {
            return Err(io::Error::other("the disk does not answer"));
        }
        let live = &disk.contents[self.content].live;
        let rest = live.get(usize::try_from(offset).unwrap()..).unwrap_or(&[]);
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn read_now(&self, buffer: &mut [u8], offset: u64) -> bool {
        let read = self.read_at(buffer, offset);
        read.is_ok_and(|read| read == buffer.len())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut disk = self.files.disk();
        disk.spend()?;
        disk.counts.writes += 1;
        let offset = usize::try_from(offset).unwrap();
        let more = (offset + bytes.len()).saturating_sub(disk.contents[self.content].live.len());
        if disk
            .capacity
            .is_some_and(|capacity| disk.used() + more > capacity)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.contents[self.content].write(bytes, offset);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.files.pass_gate();
        let mut disk = self.files.disk();
        disk.spend()?;
        disk.counts.syncs += 1;
        if std::mem::take(&mut disk.panics) {
            drop(disk);
            panic!("in a sync");
        }
        disk.find_room(Step::SyncFile)?;
        match &mut disk.failing_sync {
            Some(0) => {
                disk.failing_sync = None;
                disk.contents[self.content].dirty.clear();
                return Err(io::Error::other("the disk lost a write"));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        disk.contents[self.content].sync();
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.files.disk().contents[self.content].live.len() as u64)
    }
}
