//! Reading frames back, from any thread.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

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
        }
    }

    /// Makes a segment known, by its name in the store's folder.
    pub fn add(&self, segment: u32, name: String, file: Option<Arc<dyn LogFile>>) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.insert(segment, Segment { name, file });
    }

    /// Forgets a segment that goes.
    pub fn remove(&self, segment: u32) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.remove(&segment);
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

    /// Reads a frame's bytes into a buffer; false when it is not there.
    ///
    /// # Errors
    /// What the file layer says.
    pub fn read(&self, place: Place, buffer: &mut Vec<u8>) -> io::Result<bool> {
        let Some(file) = self.file(place.segment)? else {
            return Ok(false);
        };
        if place.len as usize > FRAME_MAX {
            // No frame has such a length: nothing is allocated for it.
            return Ok(false);
        }
        buffer.resize(place.len as usize, 0);
        Ok(file.read_at(buffer, u64::from(place.offset))? == buffer.len())
    }

    /// Verifies a frame that was read.
    #[must_use]
    pub fn verify<'a>(&self, place: Place, bytes: &'a [u8]) -> Option<Frame<'a>> {
        Frame::decode(bytes, self.seed).filter(|frame| frame.header().segment == place.segment)
    }

    /// An open segment; none for one that is not known.
    ///
    /// # Errors
    /// What the file layer says.
    pub fn file(&self, segment: u32) -> io::Result<Option<Arc<dyn LogFile>>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = segments.get(&segment) else {
            return Ok(None);
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
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
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
