//! Appending groups: room is made before it is needed, then one write and one sync.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::frame::Seed;
use super::recovery::Tail;
use super::segment::{self, SegmentHeader};
use super::spare::{self, Spare, zero_fill};
use super::{FileLayer, LogFile, Reader};

/// The least that a growing segment is filled at once.
const FILL_STEP_MIN: u64 = 256 * 1024;
/// The most.
const FILL_STEP_MAX: u64 = 8 * 1024 * 1024;

/// What room is for: growth leaves the reserve to what gives space back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Puts and appends.
    Growth,
    /// Deletes and truncations.
    Reclaim,
}

/// Why there is no room. Nothing of the group was written.
#[derive(Debug)]
pub enum NoRoom {
    /// The disk is full, or only the reserve is left.
    NoSpace,
    /// The file layer failed otherwise. A new segment may have been begun: the log must not be written any more.
    Failed(io::Error),
}

impl From<io::Error> for NoRoom {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded => Self::NoSpace,
            _ => Self::Failed(error),
        }
    }
}

/// How an appender behaves.
#[derive(Debug, Clone, Copy)]
pub struct AppenderOptions {
    /// The store's id.
    pub store: [u8; 16],
    /// Bytes of a segment. One group may need a longer one.
    pub segment_bytes: u64,
    /// Bytes of the disk left to deletes and truncations.
    pub reserve_bytes: u64,
}

/// The one writer of a log.
#[derive(Debug)]
pub struct Appender {
    files: Arc<dyn FileLayer>,
    reader: Arc<Reader>,
    options: AppenderOptions,
    seed: Seed,
    current: Option<Current>,
    /// The number of the last segment; 0 before the first.
    segment: u32,
    /// The last version written.
    version: u64,
    spare: Spare,
    /// Bytes of the segments that became whole since they were last asked for.
    whole: Vec<(u32, u64)>,
}

/// The segment written to.
#[derive(Debug)]
struct Current {
    file: Arc<dyn LogFile>,
    /// The offset of the next frame.
    end: u64,
    /// Up to where zeros lie ready.
    filled: u64,
    /// Where the segment ends.
    capacity: u64,
}

impl Appender {
    /// Goes on behind what was recovered.
    ///
    /// # Errors
    /// What the file layer says.
    pub fn resume(
        files: Arc<dyn FileLayer>,
        reader: Arc<Reader>,
        options: AppenderOptions,
        tail: Option<&Tail>,
        version: u64,
    ) -> io::Result<Self> {
        let current = match tail {
            Some(tail) => Some(Current {
                file: Arc::clone(&tail.file),
                end: u64::from(tail.offset),
                filled: tail.file.bytes()?.max(u64::from(tail.offset)),
                capacity: options.segment_bytes,
            }),
            None => None,
        };
        Ok(Self {
            files,
            reader,
            options,
            seed: Seed::of(options.store),
            current,
            segment: tail.map_or(0, |tail| tail.segment),
            version,
            spare: Spare::default(),
            whole: Vec::new(),
        })
    }

    /// The seed of frames' checksums.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// The version of the last frame written, whoever wrote it. The next one may be far above it.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Changes how long the segments are that are begun from now on.
    pub fn set_segment_bytes(&mut self, bytes: u64) {
        self.options.segment_bytes = bytes;
    }

    /// The segments that became whole since the last call, with their bytes.
    pub fn take_whole(&mut self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.whole)
    }

    /// Bytes of the segment written to and of the next one, zeros ahead included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.filled) + self.spare.bytes()
    }

    /// The segment and offset of the next frame. Steady from [`make_room`](Self::make_room) to
    /// [`write`](Self::write).
    #[must_use]
    pub fn next_place(&self) -> (u32, u32) {
        match &self.current {
            Some(current) => {
                let offset = u32::try_from(current.end).expect("a segment is below 4 GiB");
                (self.segment, offset)
            }
            None => (self.segment + 1, segment::HEADER_BYTES as u32),
        }
    }

    /// Makes sure that a group of this many bytes can be written without asking the disk for space. Tells whether a
    /// new segment was begun, whose versions are from `floor` on.
    ///
    /// # Errors
    /// [`NoRoom`]; the log is as it was.
    pub fn make_room(&mut self, bytes: u64, floor: u64, purpose: Purpose) -> Result<bool, NoRoom> {
        let has_rolled = match &mut self.current {
            Some(current) if current.end + bytes <= current.capacity => false,
            // One without a frame is made longer: two segments never have one floor.
            Some(current) if current.end == segment::HEADER_BYTES as u64 => {
                current.capacity = current.end + bytes;
                false
            }
            Some(_) | None => {
                self.roll(bytes, floor, purpose)?;
                true
            }
        };
        self.fill(bytes, purpose)?;
        self.fill_ahead();
        Ok(has_rolled)
    }

    fn fill(&mut self, bytes: u64, purpose: Purpose) -> Result<(), NoRoom> {
        let Some(current) = self.current.as_ref().filter(|c| c.end + bytes > c.filled) else {
            return Ok(());
        };
        let least = current.end + bytes;
        let step = current.end.clamp(FILL_STEP_MIN, FILL_STEP_MAX);
        let target = least.max(current.filled + step).min(current.capacity.max(least));
        let target =
            current.filled + self.affordable(target - current.filled, least - current.filled, purpose)?;
        zero_fill(&*current.file, current.filled, target, &AtomicBool::new(false))?;
        current.file.sync()?;
        if let Some(current) = &mut self.current {
            current.filled = target;
        }
        Ok(())
    }

    fn check_reserve(&self, more: u64, purpose: Purpose) -> Result<(), NoRoom> {
        match purpose {
            Purpose::Growth if self.files.free_bytes()? < more + self.options.reserve_bytes => {
                Err(NoRoom::NoSpace)
            }
            Purpose::Growth | Purpose::Reclaim => Ok(()),
        }
    }

    /// How many bytes to fill: what is wanted, or the least if the rest would be of the reserve.
    fn affordable(&self, wanted: u64, least: u64, purpose: Purpose) -> Result<u64, NoRoom> {
        match self.check_reserve(wanted, Purpose::Growth) {
            Ok(()) => Ok(wanted),
            Err(NoRoom::NoSpace) => self.check_reserve(least, purpose).map(|()| least),
            Err(failed) => Err(failed),
        }
    }

    /// Fills the next segment once half of this one is used. A segment of one step has nothing to gain from it.
    fn fill_ahead(&mut self) {
        let is_half_used = self.current.as_ref().is_some_and(|c| c.end > c.capacity / 2);
        let bytes = self.options.segment_bytes;
        if is_half_used && bytes > FILL_STEP_MAX && self.check_reserve(bytes, Purpose::Growth).is_ok() {
            self.spare.begin(&self.files, bytes);
        }
    }

    fn roll(&mut self, bytes: u64, floor: u64, purpose: Purpose) -> Result<(), NoRoom> {
        let header = SegmentHeader {
            segment: self.segment + 1,
            store: self.options.store,
            floor,
            previous: self.version,
        };
        let end = segment::HEADER_BYTES as u64;
        let file = match self.spare.take() {
            Some(file) => file,
            None => {
                let least = end + bytes;
                let wanted = least.max(FILL_STEP_MIN.min(self.options.segment_bytes));
                let first = self.affordable(wanted, least, purpose)?;
                let file = self.files.create(spare::TEMPORARY)?;
                zero_fill(&*file, 0, first, &AtomicBool::new(false))?;
                file
            }
        };
        let name = format!("log/{}", segment::name(floor));
        file.write_at(&header.encode(), 0)?;
        file.sync()?;
        let filled = file.bytes()?;
        // From here on the segment may be there: another try, even for want of space, would begin a second of its
        // number. Only an opening decides.
        self.files
            .rename(spare::TEMPORARY, &name)
            .and_then(|()| self.files.sync_folder("log"))
            .map_err(NoRoom::Failed)?;
        self.reader.add(header.segment, name, Some(Arc::clone(&file)));
        if let Some(whole) = &self.current {
            self.whole.push((self.segment, whole.filled));
        }
        self.segment = header.segment;
        self.current = Some(Current {
            file,
            end,
            filled,
            capacity: self.options.segment_bytes.max(end + bytes),
        });
        Ok(())
    }

    /// Writes a group of whole, aligned frames, the last of them of this version, and syncs it.
    ///
    /// # Errors
    /// What the file layer says. Then nothing is known of the group, and the log must not be written any more.
    ///
    /// # Panics
    /// Without the room made for it.
    pub fn write(&mut self, group: &[u8], version: u64) -> io::Result<()> {
        let current = self
            .current
            .as_mut()
            .expect("room is made before a group is written");
        assert!(
            current.end + group.len() as u64 <= current.filled,
            "room is made before it is used"
        );
        current.file.write_at(group, current.end)?;
        current.file.sync()?;
        current.end += group.len() as u64;
        self.version = version;
        Ok(())
    }
}
