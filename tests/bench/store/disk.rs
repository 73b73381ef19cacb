//! Two disks: the machine's own, and the same with a flush that takes 2 ms.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_filesystem::commit_log::{FileLayer, LogFile, StdFiles};
use tokio::time::Instant;

/// How long a flush of the simulated disk takes, the real one within it.
pub(crate) const FLUSH: Duration = Duration::from_millis(2);

/// Which disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// As it is.
    Own,
    /// A flush takes [`FLUSH`].
    Slow,
}

impl Disk {
    /// Does something that flushes once, and returns no sooner than such a flush would.
    ///
    /// What else it does costs nothing on the slow disk as long as it fits beside the flush: for peers whose files
    /// cannot be replaced this is the friendliest model of that disk.
    pub(crate) fn flushing<T>(self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        match self {
            Self::Own => {}
            Self::Slow => std::thread::sleep(FLUSH.saturating_sub(start.elapsed())),
        }
        done
    }
}

/// The files of a folder on the slow disk: every sync, of a file or of a folder's names, takes [`FLUSH`].
#[derive(Debug)]
pub(crate) struct SlowFiles(StdFiles);

#[derive(Debug)]
struct SlowFile(Arc<dyn LogFile>);

impl SlowFiles {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(StdFiles::new(folder).expect("the folder was made"))
    }
}

impl FileLayer for SlowFiles {
    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(SlowFile(self.0.open(name)?)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(SlowFile(self.0.create(name)?)))
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        self.0.names(folder)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn make_folder(&self, folder: &str) -> io::Result<bool> {
        self.0.make_folder(folder)
    }

    fn remove_folder(&self, folder: &str) -> io::Result<()> {
        self.0.remove_folder(folder)
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        Disk::Slow.flushing(|| self.0.sync_folder(folder))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.0.free_bytes()
    }

    fn boot(&self) -> [u8; 16] {
        self.0.boot()
    }
}

impl LogFile for SlowFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn read_now(&self, buffer: &mut [u8], offset: u64) -> bool {
        self.0.read_now(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Disk::Slow.flushing(|| self.0.sync())
    }

    fn bytes(&self) -> io::Result<u64> {
        self.0.bytes()
    }
}
