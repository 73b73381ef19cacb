//! The physical limit of group commit: `n` records of 300 bytes in one write, and `fdatasync`, in a loop.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

/// The size of a record in every figure.
pub(crate) const RECORD_BYTES: usize = 300;

/// A file that was written before, as a log that fills its segments ahead has it: no flush pays for metadata.
#[derive(Debug)]
pub(crate) struct Disk {
    file: File,
}

const FILE_BYTES: u64 = 64 * 1024 * 1024;

impl Disk {
    pub(crate) fn prepare(folder: &Path) -> io::Result<Self> {
        let file = File::create(folder.join("physical"))?;
        let zeros = vec![0; 1024 * 1024];
        for at in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
        Ok(Self { file })
    }

    /// Records a second that `n` at a time reach the disk with, and how long each flush took.
    pub(crate) fn measure(&self, n: usize, time: Duration) -> io::Result<Limit> {
        let records = vec![0x5a; n * RECORD_BYTES];
        let length = records.len() as u64;
        let start = Instant::now();
        let mut flushes = Vec::new();
        let mut at = 0;
        while start.elapsed() < time {
            let before = Instant::now();
            self.file.write_all_at(&records, at)?;
            self.file.sync_data()?;
            flushes.push(before.elapsed());
            at = if at + 2 * length > FILE_BYTES {
                0
            } else {
                at + length
            };
        }
        let rate = (flushes.len() * n) as f64 / start.elapsed().as_secs_f64();
        flushes.sort();
        Ok(Limit {
            rate,
            flush: flushes[flushes.len() / 2],
        })
    }
}

/// What the disk can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Records a second.
    pub(crate) rate: f64,
    /// The median of one write and flush.
    pub(crate) flush: Duration,
}
