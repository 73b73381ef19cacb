//! Reading frames back, from any thread.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard};

use super::frame::{FRAME_MAX, Frame, Seed};
use super::{FileLayer, LogFile, Place};

/// Most segments kept open for reading; beyond it the oldest is closed and opened again at need.
const OPEN_MAX: usize = 128;

/// The log's segments, for reading.
#[derive(Debug)]
pub struct Reader {
    files: Arc<dyn FileLayer>,
    seed: Seed,
    segments: RwLock<BTreeMap<u32, Segment>>,
    retired: Mutex<Retired>,
}

/// Segments that went, kept open for those who began to read before.
#[derive(Debug, Default)]
struct Retired {
    /// Held by who reads now.
    readers: Pin,
    /// Oldest first; each with what those hold who may still read it.
    segments: VecDeque<(u32, Arc<dyn LogFile>, Pin)>,
}

/// Keeps what is read from going while it is read: whoever looks for places in an index takes one first.
#[derive(Debug, Clone, Default)]
pub struct Pin(Arc<()>);

impl Pin {
    fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Retired {
    /// Lets go what nobody reads any more, to be dropped where nothing is locked: the last close of a removed file frees
    /// its bytes on the disk. Who began earlier may read all that went later.
    #[must_use]
    fn release(&mut self) -> Vec<Arc<dyn LogFile>> {
        let is_read = |(_, _, pin): &(u32, Arc<dyn LogFile>, Pin)| !pin.is_last();
        let count = self.segments.iter().position(is_read);
        let gone = self.segments.drain(..count.unwrap_or(self.segments.len()));
        gone.map(|(_, file, _)| file).collect()
    }
}

#[derive(Debug)]
struct Segment {
    name: String,
    file: Option<Arc<dyn LogFile>>,
}

impl Reader {
    /// A reader of no segments yet.
    #[must_use]
    pub fn new(files: Arc<dyn FileLayer>, seed: Seed) -> Self {
        Self {
            files,
            seed,
            segments: RwLock::default(),
            retired: Mutex::default(),
        }
    }

    /// Makes a segment known, by its name in the store's folder.
    pub fn add(&self, segment: u32, name: String, file: Option<Arc<dyn LogFile>>) {
        self.segments_mut().insert(segment, Segment { name, file });
    }

    /// Forgets a segment that goes. Those who read now still may read it.
    ///
    /// # Errors
    /// What the file layer says; it is not forgotten then.
    pub fn remove(&self, segment: u32) -> io::Result<()> {
        let file = self.file(segment)?;
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        self.segments_mut().remove(&segment);
        let readers = std::mem::take(&mut retired.readers);
        if let Some(file) = file {
            retired.segments.push_back((segment, file, readers));
        }
        let gone = retired.release();
        drop(retired);
        drop(gone);
        Ok(())
    }

    /// Begins to read: what is there now can be read until the pin is dropped.
    #[must_use]
    pub fn pin(&self) -> Pin {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let (pin, gone) = (retired.readers.clone(), retired.release());
        drop(retired);
        drop(gone);
        pin
    }

    /// As [`pin`](Self::pin), if that takes no waiting, neither for a lock nor for a disk.
    #[must_use]
    pub fn pin_now(&self) -> Option<Pin> {
        self.retired
            .try_lock()
            .ok()
            .map(|retired| retired.readers.clone())
    }

    fn retired(&self, segment: u32) -> Option<Arc<dyn LogFile>> {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let found = retired.segments.iter().find(|(number, ..)| *number == segment);
        found.map(|(_, file, _)| Arc::clone(file))
    }

    fn segments_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<u32, Segment>> {
        self.segments.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The numbers and names of the segments known, oldest first.
    #[must_use]
    pub fn names(&self) -> Vec<(u32, String)> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments
            .iter()
            .map(|(number, s)| (*number, s.name.clone()))
            .collect()
    }

    /// The seed of frames' checksums.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Reads a frame's bytes into a buffer, and what lies behind it up to so many; false when it is not there.
    ///
    /// # Errors
    /// What the file layer says.
    pub fn read(&self, place: Place, bytes: usize, buffer: &mut Vec<u8>) -> io::Result<bool> {
        let len = place.len as usize;
        if len > FRAME_MAX {
            // No frame has such a length: nothing is allocated for it.
            return Ok(false);
        }
        let Some(file) = self.file(place.segment)? else {
            return Ok(false);
        };
        buffer.resize(bytes.max(len), 0);
        let read = file.read_at(buffer, u64::from(place.offset))?;
        buffer.truncate(read);
        Ok(read >= len)
    }

    /// Reads a frame's bytes, if that takes no waiting, neither for a lock nor for a disk; none also when it is not there.
    #[must_use]
    pub fn read_now(&self, place: Place) -> Option<Vec<u8>> {
        let segments = self.segments.try_read().ok()?;
        let file = Arc::clone(segments.get(&place.segment)?.file.as_ref()?);
        drop(segments);
        let mut bytes = vec![0; place.len as usize];
        file.read_now(&mut bytes, u64::from(place.offset))
            .then_some(bytes)
    }

    /// Verifies a frame that was read.
    #[must_use]
    pub fn verify<'a>(&self, place: Place, bytes: &'a [u8]) -> Option<Frame<'a>> {
        Frame::decode(bytes, self.seed).filter(|frame| frame.header().segment == place.segment)
    }

    /// An open segment; none for one that is not known, and was not when those began who read now.
    ///
    /// # Errors
    /// What the file layer says.
    pub fn file(&self, segment: u32) -> io::Result<Option<Arc<dyn LogFile>>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = segments.get(&segment) else {
            drop(segments);
            return Ok(self.retired(segment));
        };
        if let Some(file) = &known.file {
            return Ok(Some(Arc::clone(file)));
        }
        let file = self.files.open(&known.name)?;
        drop(segments);
        self.keep(segment, &file);
        Ok(Some(file))
    }

    fn keep(&self, segment: u32, file: &Arc<dyn LogFile>) {
        let mut segments = self.segments_mut();
        if segments.values().filter(|s| s.file.is_some()).count() >= OPEN_MAX
            && let Some(oldest) = segments.values_mut().find(|s| s.file.is_some())
        {
            oldest.file = None;
        }
        if let Some(known) = segments.get_mut(&segment) {
            known.file = Some(Arc::clone(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{OnceLock, Weak};

    use super::*;
    use crate::commit_log::StdFiles;

    const HERE: Place = Place {
        segment: 1,
        offset: 0,
        len: 4,
    };

    /// A file in memory, and whether its reader was locked when it was closed.
    #[derive(Debug, Default)]
    struct Memory {
        reader: OnceLock<Weak<Reader>>,
        was_locked: Arc<AtomicBool>,
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            if let Some(reader) = self.reader.get().and_then(Weak::upgrade) {
                self.was_locked
                    .store(reader.pin_now().is_none(), Ordering::Relaxed);
            }
        }
    }

    impl LogFile for Memory {
        fn read_at(&self, buffer: &mut [u8], _: u64) -> io::Result<usize> {
            buffer.fill(b'x');
            Ok(buffer.len())
        }

        fn read_now(&self, buffer: &mut [u8], _: u64) -> bool {
            buffer.fill(b'x');
            true
        }

        fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        fn bytes(&self) -> io::Result<u64> {
            Ok(0)
        }
    }

    /// A reader of one segment.
    struct Held {
        reader: Arc<Reader>,
        file: Weak<Memory>,
        was_locked: Arc<AtomicBool>,
    }

    fn held() -> Held {
        let folder = tempfile::tempdir().unwrap();
        let files = StdFiles::new(folder.path()).unwrap();
        let reader = Arc::new(Reader::new(Arc::new(files), Seed::of([7; 16])));
        let file = Arc::new(Memory::default());
        file.reader.set(Arc::downgrade(&reader)).unwrap();
        let held = Held {
            reader,
            file: Arc::downgrade(&file),
            was_locked: Arc::clone(&file.was_locked),
        };
        held.reader.add(1, "log/1.seg".to_owned(), Some(file));
        held
    }

    #[test]
    fn what_is_read_at_once_waits_for_no_lock() {
        let Held { reader, .. } = held();
        assert_eq!(reader.read_now(HERE).as_deref(), Some(b"xxxx".as_slice()));
        let retired = reader.retired.lock().unwrap();
        assert!(reader.pin_now().is_none());
        drop(retired);
        assert!(reader.pin_now().is_some());
        let segments = reader.segments_mut();
        assert_eq!(reader.read_now(HERE), None);
        drop(segments);
    }

    #[test]
    fn a_segment_that_went_is_closed_by_who_may_wait_and_with_nothing_locked() {
        let Held {
            reader,
            file,
            was_locked,
        } = held();
        let pin = reader.pin();
        reader.remove(1).unwrap();
        drop(pin);
        assert!(reader.pin_now().is_some());
        assert!(file.upgrade().is_some(), "not by who reads at once");
        drop(reader.pin());
        assert!(file.upgrade().is_none());
        assert!(!was_locked.load(Ordering::Relaxed));
    }
}
