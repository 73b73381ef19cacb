//! The next segment, filled with zeros ahead of need on a thread of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::{FileLayer, LogFile};

/// The name of a segment being made.
pub(super) const TEMPORARY: &str = "log/next.tmp";
/// Bytes of zeros written at once.
const PIECE_BYTES: usize = 256 * 1024;

/// A segment being filled, if any.
#[derive(Debug, Default)]
pub(super) struct Spare {
    filling: Option<JoinHandle<io::Result<Arc<dyn LogFile>>>>,
    stop: Arc<AtomicBool>,
}

impl Spare {
    /// Begins to fill one, unless one is being filled.
    pub(super) fn begin(&mut self, files: &Arc<dyn FileLayer>, bytes: u64) {
        if self.filling.is_some() {
            return;
        }
        let (files, stop) = (Arc::clone(files), Arc::clone(&self.stop));
        let filling = std::thread::Builder::new()
            .name("dormouse-spare".to_owned())
            .spawn(move || {
                let file = files.create(TEMPORARY)?;
                zero_fill(&*file, 0, bytes, &stop)?;
                file.sync()?;
                Ok(file)
            });
        // Without a thread the segment is filled when it is begun: slower, not wrong.
        self.filling = filling.ok();
    }

    /// The filled file, waiting for it if need be; none when there is none, or it could not be filled.
    pub(super) fn take(&mut self) -> Option<Arc<dyn LogFile>> {
        self.filling.take()?.join().ok()?.ok()
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.take());
    }
}

/// Writes zeros from one offset to another, in pieces.
pub(super) fn zero_fill(file: &dyn LogFile, from: u64, to: u64, stop: &AtomicBool) -> io::Result<()> {
    let zeros = vec![0; PIECE_BYTES];
    let mut at = from;
    while at < to {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let piece = usize::try_from(to - at).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        file.write_at(&zeros[..piece], at)?;
        at += piece as u64;
    }
    Ok(())
}
