//! The physical limit of group commit: `n` records of 300 bytes in one write, and `fdatasync`, in a loop.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::disk::Disk;
use crate::load::Load;

/// The size of a record in every figure.
pub(crate) const RECORD_BYTES: usize = 300;

/// Flushes of one record a second, into a file of this folder.
pub(crate) fn flushes(folder: &Path) -> f64 {
    const TIME: Duration = Duration::from_millis(500);
    let measured = Physical::prepare(folder, Disk::Own).and_then(|mut disk| disk.measure(1, TIME));
    measured.expect("the disk can be written").rate()
}

/// A file that was written before, as a log that fills its segments ahead has it: no flush pays for metadata.
#[derive(Debug)]
pub(crate) struct Physical {
    file: File,
    disk: Disk,
    /// Where the next write goes.
    at: u64,
}

const FILE_BYTES: u64 = 64 * 1024 * 1024;

impl Physical {
    pub(crate) fn prepare(folder: &Path, disk: Disk) -> io::Result<Self> {
        let file = File::create(folder.join("physical"))?;
        let zeros = vec![0; 1024 * 1024];
        for at in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
        Ok(Self { file, disk, at: 0 })
    }

    /// Flushes of `n` records each, one after the other.
    pub(crate) fn measure(&mut self, n: usize, time: Duration) -> io::Result<Load> {
        let records = vec![0x5a; n * RECORD_BYTES];
        let length = records.len() as u64;
        let start = Instant::now();
        let mut taken = Vec::new();
        while start.elapsed() < time {
            let before = Instant::now();
            self.file.write_all_at(&records, self.at)?;
            self.disk.flushing(|| self.file.sync_data())?;
            taken.push(before.elapsed());
            self.at = if self.at + 2 * length > FILE_BYTES {
                0
            } else {
                self.at + length
            };
        }
        Ok(Load {
            taken,
            time: start.elapsed(),
        })
    }
}
