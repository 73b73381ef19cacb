//! One piece of output, and its form in a log entry.

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;

/// Where a worker wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Channel {
    const fn code(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Stdout),
            2 => Some(Self::Stderr),
            _ => None,
        }
    }

    /// The channel's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One piece of output. Its bytes came through the scrubber; it may end anywhere, inside a character too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Bytes printed before it, on both channels together.
    pub offset: u64,
    /// When it was read, to the millisecond.
    pub at: Timestamp,
    /// Where it was written.
    pub channel: Channel,
    /// What was written.
    pub bytes: Bytes,
}

/// `channel u8 · at i64 milliseconds · offset u64 · length u32`, little endian, then the bytes.
pub(super) const HEADER: usize = 1 + 8 + 8 + 4;
/// Pieces are joined into frames of at most this many bytes.
const JOINED_MAX: usize = 4 * 1024;

impl Frame {
    /// The offset behind its last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Bytes of its form in a chunk.
    pub(super) fn encoded_len(&self) -> usize {
        HEADER + self.bytes.len()
    }

    /// Whether another goes on where it ends, on the same channel at the same time, and both make a short frame.
    pub(super) fn joins(&self, next: &Self) -> bool {
        let goes_on = self.channel == next.channel && self.at == next.at && self.end() == next.offset;
        goes_on && self.bytes.len() + next.bytes.len() <= JOINED_MAX
    }

    /// Lengthens it by the one that goes on where it ends.
    pub(super) fn join(&mut self, next: &Self) {
        let mut joined = BytesMut::with_capacity(self.bytes.len() + next.bytes.len());
        joined.extend_from_slice(&self.bytes);
        joined.extend_from_slice(&next.bytes);
        self.bytes = joined.freeze();
    }

    pub(super) fn encode(&self, chunk: &mut Vec<u8>) {
        chunk.push(self.channel.code());
        chunk.extend_from_slice(&self.at.as_millisecond().to_le_bytes());
        chunk.extend_from_slice(&self.offset.to_le_bytes());
        let length = u32::try_from(self.bytes.len()).expect("a frame is at most a chunk");
        chunk.extend_from_slice(&length.to_le_bytes());
        chunk.extend_from_slice(&self.bytes);
    }

    /// What is left of it from an offset on; none when it lies wholly before.
    pub(super) fn rest_from(&self, offset: u64) -> Option<Self> {
        if self.end() <= offset {
            return None;
        }
        let skip = usize::try_from(offset.saturating_sub(self.offset)).expect("shorter than the frame");
        Some(Self {
            offset: self.offset + skip as u64,
            bytes: self.bytes.slice(skip..),
            ..self.clone()
        })
    }
}

/// Reads the frames of a chunk; none when the bytes are not such a chunk.
pub(super) fn decode(chunk: &Bytes) -> Option<Vec<Frame>> {
    let (mut frames, mut at) = (Vec::new(), 0);
    while at < chunk.len() {
        let header = chunk.get(at..at + HEADER)?;
        let number =
            |from: usize| u64::from_le_bytes(header[from..from + 8].try_into().expect("eight bytes"));
        let length = u32::from_le_bytes(header[17..21].try_into().expect("four bytes")) as usize;
        let end = at.checked_add(HEADER)?.checked_add(length)?;
        if end > chunk.len() {
            return None;
        }
        frames.push(Frame {
            channel: Channel::from_code(header[0])?,
            at: Timestamp::from_millisecond(number(1).cast_signed()).ok()?,
            offset: number(9),
            bytes: chunk.slice(at + HEADER..end),
        });
        at = end;
    }
    Some(frames)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(offset: u64, bytes: &'static [u8]) -> Frame {
        let at = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        Frame {
            offset,
            at,
            channel: Channel::Stderr,
            bytes: Bytes::from_static(bytes),
        }
    }

    #[test]
    fn a_chunk_reads_back_as_its_frames() {
        let frames = [frame(0, b"one\n"), frame(4, b""), frame(4, b"\xff\x00two")];
        let mut chunk = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut chunk));
        assert_eq!(decode(&chunk.into()), Some(frames.to_vec()));
    }

    #[test]
    fn the_form_of_a_frame_stays_what_is_stored() {
        let mut chunk = Vec::new();
        frame(258, b"hi").encode(&mut chunk);
        let expected = [
            2, // stderr
            0x7b, 0x68, 0xe5, 0xcf, 0x8b, 0x01, 0, 0, // 1_700_000_000_123 ms
            2, 1, 0, 0, 0, 0, 0, 0, // offset 258
            2, 0, 0, 0, // two bytes
            b'h', b'i',
        ];
        assert_eq!(chunk, expected);
    }

    #[test]
    fn the_rest_of_a_frame_begins_at_the_offset_asked() {
        let whole = frame(10, b"abcdef");
        assert_eq!(whole.rest_from(0), Some(whole.clone()));
        assert_eq!(
            whole.rest_from(13).map(|f| (f.offset, f.bytes)),
            Some((13, Bytes::from_static(b"def")))
        );
        assert_eq!(whole.rest_from(16), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes.into());
        }
    }
}
