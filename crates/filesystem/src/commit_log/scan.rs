//! Walking the frames of a segment.

use std::io;

use super::LogFile;
use super::frame::{ALIGNMENT, Frame, HEADER_BYTES, Header, Seed, aligned, claimed_header, claimed_len};

/// Bytes read ahead of what is asked for, unless told otherwise.
const WINDOW_BYTES: u64 = 1024 * 1024;

/// Where a frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The segment's number.
    pub segment: u32,
    /// Its offset in the segment.
    pub offset: u32,
    /// Its length without padding.
    pub len: u32,
}

/// What lies at a frame's place.
#[derive(Debug)]
pub enum Scan<'a> {
    /// A frame that verifies.
    Frame(Place, Frame<'a>),
    /// Zeros, or the end of the file.
    End,
    /// Neither.
    Bad,
}

/// What lies behind the place where the frames of a segment end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// No frame.
    Nothing,
    /// Frames of the group that was being written there: it is torn, and nobody was told of it.
    SameGroup,
    /// A frame of a group that began behind it: what was there had been acknowledged, and is damaged.
    LaterGroup,
}

/// Walks a segment from one frame to the next.
#[derive(Debug)]
pub struct Scanner<'a> {
    file: &'a dyn LogFile,
    segment: u32,
    seed: Seed,
    end: u64,
    at: u64,
    version: u64,
    window: Vec<u8>,
    window_at: u64,
    ahead: u64,
}

impl<'a> Scanner<'a> {
    /// Begins at an offset, behind a version: every frame must be newer than the one before.
    ///
    /// # Errors
    /// What the file layer says.
    pub fn new(file: &'a dyn LogFile, segment: u32, seed: Seed, at: u64, version: u64) -> io::Result<Self> {
        Ok(Self {
            file,
            segment,
            seed,
            end: file.bytes()?,
            at,
            version,
            window: Vec::new(),
            window_at: 0,
            ahead: WINDOW_BYTES,
        })
    }

    /// How much is read at once.
    pub fn read_ahead(&mut self, bytes: u64) {
        self.ahead = bytes;
    }

    /// The offset of the next frame: after `End` or `Bad`, where the frames end.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The version of the last frame seen.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The next frame. After `End` or `Bad` it stays where it is.
    ///
    /// # Errors
    /// What the file layer says.
    pub fn advance(&mut self) -> io::Result<Scan<'_>> {
        let at = self.at;
        let Some(len) = self.len_at(at)? else {
            return Ok(Scan::Bad);
        };
        if len == 0 {
            return Ok(Scan::End);
        }
        let place = Place {
            segment: self.segment,
            offset: u32::try_from(at).expect("a segment is below 4 GiB"),
            len: u32::try_from(len).expect("a frame is at most FRAME_MAX"),
        };
        self.load(at, len)?;
        let Some(frame) = self
            .frame_at(at, len)
            .filter(|frame| frame.header().version > self.version)
        else {
            return Ok(Scan::Bad);
        };
        // The borrow of the window must outlive the change of `self`, so the frame is decoded before and given after.
        let version = frame.header().version;
        self.at = at + aligned(len) as u64;
        self.version = version;
        Ok(match self.frame_at(at, len) {
            Some(frame) => Scan::Frame(place, frame),
            None => Scan::Bad,
        })
    }

    /// What lies behind the place where the frames end.
    ///
    /// # Errors
    /// What the file layer says.
    pub fn rest_behind(&mut self, end: u64) -> io::Result<Rest> {
        let mut rest = Rest::Nothing;
        let mut from = end + ALIGNMENT as u64;
        while let Some((at, len)) = self.find(from)? {
            match self.frame_at(at, len) {
                Some(frame) if group_offset(&frame.header()) > end => return Ok(Rest::LaterGroup),
                Some(_) | None => rest = Rest::SameGroup,
            }
            from = at + aligned(len) as u64;
        }
        Ok(rest)
    }

    /// The next frame that verifies, at or behind an offset: its offset and length.
    ///
    /// # Errors
    /// What the file layer says.
    pub fn find(&mut self, from: u64) -> io::Result<Option<(u64, usize)>> {
        let mut at = from;
        while at + HEADER_BYTES as u64 <= self.end {
            if let Some(len) = self.len_at(at)?.filter(|len| *len > 0)
                && self.claims_place(at)
            {
                self.load(at, len)?;
                if self.frame_at(at, len).is_some() {
                    return Ok(Some((at, len)));
                }
            }
            at += ALIGNMENT as u64;
        }
        Ok(None)
    }

    /// Goes on at another offset, behind another version.
    pub fn resume(&mut self, at: u64, version: u64) {
        self.at = at;
        self.version = version;
    }

    /// The version of the frame at an offset that [`find`](Self::find) gave.
    #[must_use]
    pub fn version_at(&self, at: u64) -> Option<u64> {
        self.bytes(at, HEADER_BYTES)
            .and_then(claimed_header)
            .map(|header| header.version)
    }

    /// The length claimed at an offset: 0 at the end, none when it can be no frame.
    fn len_at(&mut self, at: u64) -> io::Result<Option<usize>> {
        if at + HEADER_BYTES as u64 > self.end {
            return Ok(Some(0));
        }
        self.load(at, HEADER_BYTES)?;
        let claimed = self.bytes(at, HEADER_BYTES).and_then(claimed_len);
        Ok(claimed.filter(|len| at + *len as u64 <= self.end))
    }

    /// Whether what is loaded there says that it is a frame of this place. Cheap: nothing is summed.
    fn claims_place(&self, at: u64) -> bool {
        let header = self.bytes(at, HEADER_BYTES).and_then(claimed_header);
        header.is_some_and(|header| self.is_of_place(&header, at))
    }

    fn is_of_place(&self, header: &Header, at: u64) -> bool {
        header.segment == self.segment
            && header.group >> 32 == u64::from(self.segment)
            && group_offset(header) <= at
    }

    fn frame_at(&self, at: u64, len: usize) -> Option<Frame<'_>> {
        if !self.claims_place(at) {
            return None;
        }
        let frame = Frame::decode(self.bytes(at, len)?, self.seed)?;
        frame.is_whole().then_some(frame)
    }

    fn bytes(&self, at: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(at.checked_sub(self.window_at)?).ok()?;
        self.window.get(start..start.checked_add(len)?)
    }

    /// Makes the window hold these bytes, as far as the file has them.
    fn load(&mut self, at: u64, len: usize) -> io::Result<()> {
        if self.bytes(at, len).is_some() {
            return Ok(());
        }
        let wanted = (len as u64).max(self.ahead).min(self.end - at);
        let wanted = usize::try_from(wanted).expect("a window fits into memory");
        self.window.clear();
        self.window.resize(wanted, 0);
        self.window_at = at;
        let read = self.file.read_at(&mut self.window, at)?;
        self.window.truncate(read);
        Ok(())
    }
}

fn group_offset(header: &Header) -> u64 {
    header.group & u64::from(u32::MAX)
}
