//! Frames: a length, a checksum, a kind and bytes. Pure functions; no input makes them panic.

use super::{FORMAT, FRAME_MAX};

/// What a file begins with; the number is the format.
const MAGIC: &str = "dormouse-export/";
/// Longest first line: a number of ten digits and a line feed.
const LINE_MAX: usize = MAGIC.len() + 11;
/// Length and checksum.
pub(super) const HEAD_BYTES: usize = 8;

/// The first line of a file.
pub(super) fn first_line() -> String {
    format!("{MAGIC}{FORMAT}\n")
}

/// What the first bytes of a file say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// A file of this format, with the bytes of its first line.
    Known(usize),
    /// Of a newer one.
    TooNew(u32),
    /// No export.
    Foreign,
    /// Not enough of them.
    Part,
}

/// Reads the first line.
pub(super) fn begin(bytes: &[u8]) -> Begin {
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC.as_bytes()[..known] {
        return Begin::Foreign;
    }
    let Some(end) = bytes.iter().take(LINE_MAX).position(|byte| *byte == b'\n') else {
        return if bytes.len() < LINE_MAX {
            Begin::Part
        } else {
            Begin::Foreign
        };
    };
    let number = bytes
        .get(MAGIC.len()..end)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    let number =
        number.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0'));
    match number.and_then(|digits| digits.parse().ok()) {
        Some(FORMAT) => Begin::Known(end + 1),
        Some(newer) => Begin::TooNew(newer),
        None => Begin::Foreign,
    }
}

/// Adds a frame; `write` adds its bytes behind the kind.
pub(super) fn encode(kind: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    out.push(kind);
    write(out);
    let len = u32::try_from(out.len() - start - HEAD_BYTES).expect("an item is shorter than a frame");
    let frame = &mut out[start..];
    frame[..4].copy_from_slice(&len.to_le_bytes());
    let crc = checksum(frame);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Of the length, and all that follows the checksum.
fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[HEAD_BYTES..])
}

/// What the bytes at a frame's place are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A frame of this kind, with its bytes from the length to its end.
    Frame { kind: u8, len: usize },
    /// Not enough of them: so many are needed.
    Part(usize),
    /// No frame.
    Bad(&'static str),
}

/// Looks at the bytes at a frame's place.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else {
        return Parsed::Part(HEAD_BYTES);
    };
    let [a, b, c, d, crc @ ..] = *head;
    let len = u32::from_le_bytes([a, b, c, d]) as usize;
    if !(1..=FRAME_MAX).contains(&len) {
        return Parsed::Bad("a frame has no possible length");
    }
    let len = HEAD_BYTES + len;
    let Some(frame) = bytes.get(..len) else {
        return Parsed::Part(len);
    };
    if checksum(frame) != u32::from_le_bytes(crc) {
        return Parsed::Bad("a checksum is wrong");
    }
    Parsed::Frame {
        kind: frame[HEAD_BYTES],
        len,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells_the_format() {
        assert_eq!(begin(first_line().as_bytes()), Begin::Known(18));
        assert_eq!(begin(b"dormouse-export/2\nmore"), Begin::TooNew(2));
        for foreign in [
            &b"dormouse-store/1\n"[..],
            b"dormouse-export/01\n",
            b"dormouse-export/\n",
            b"dormouse-export/x\n",
        ] {
            assert_eq!(begin(foreign), Begin::Foreign);
        }
        assert_eq!(begin(b"dormouse-export/111111111111"), Begin::Foreign);
        for part in [&b""[..], b"dorm", b"dormouse-export/1"] {
            assert_eq!(begin(part), Begin::Part);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_frame_reads_back_and_no_changed_byte_passes(
            kind: u8, body: Vec<u8>, flip: proptest::sample::Index, bit in 0..8_u8,
        ) {
            let mut bytes = Vec::new();
            encode(kind, &mut bytes, |out| out.extend_from_slice(&body));
            let whole = Parsed::Frame { kind, len: bytes.len() };
            proptest::prop_assert_eq!(parse(&bytes), whole);
            for cut in 0..bytes.len() {
                let needed = match parse(&bytes[..cut]) { Parsed::Part(needed) => needed, _ => 0 };
                proptest::prop_assert!(needed > cut);
            }
            let at = flip.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let is_frame = matches!(parse(&bytes), Parsed::Frame { .. });
            proptest::prop_assert!(!is_frame);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            parse(&bytes);
            begin(&bytes);
        }
    }
}
