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
    filling: Option<Filling>,
    stop: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Filling {
    files: Arc<dyn FileLayer>,
    bytes: u64,
    thread: JoinHandle<io::Result<Arc<dyn LogFile>>>,
}

impl Spare {
    /// Begins to fill one, unless one is being filled.
    pub(super) fn begin(&mut self, files: &Arc<dyn FileLayer>, bytes: u64) {
        if self.filling.is_some() {
            return;
        }
        let (filled, stop) = (Arc::clone(files), Arc::clone(&self.stop));
        let thread = std::thread::Builder::new()
            .name("dormouse-spare".to_owned())
            .spawn(move || {
                let file = fill(&*filled, bytes, &stop);
                if file.is_err() {
                    // Half a segment is in the way of those who need its room.
                    drop(filled.remove(TEMPORARY));
                }
                file
            });
        // Without a thread the segment is filled when it is begun: slower, not wrong.
        self.filling = thread.ok().map(|thread| Filling {
            files: Arc::clone(files),
            bytes,
            thread,
        });
    }

    /// Bytes that it takes, or will.
    pub(super) fn bytes(&self) -> u64 {
        self.filling.as_ref().map_or(0, |filling| filling.bytes)
    }

    /// The filled file, waiting for it if need be; none when there is none, or it could not be filled.
    pub(super) fn take(&mut self) -> Option<Arc<dyn LogFile>> {
        self.filling.take()?.thread.join().ok()?.ok()
    }
}

fn fill(files: &dyn FileLayer, bytes: u64, stop: &AtomicBool) -> io::Result<Arc<dyn LogFile>> {
    let file = files.create(TEMPORARY)?;
    zero_fill(&*file, 0, bytes, stop)?;
    file.sync()?;
    Ok(file)
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Filling { files, thread, .. }) = self.filling.take()
            && matches!(thread.join(), Ok(Ok(_)))
        {
            drop(files.remove(TEMPORARY));
        }
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
