//! A part of a log as a file that people can read: one line, then each entry with a line of its own. Pure functions;
//! no input makes them panic.
//!
//! ```text
//! dormouse-log/1 incarnation=1876000000000000 first=1 next=3 len=70 crc=0badcafe
//! version=1876000000000000 len=5
//! hello
//! version=1876000000000001 len=5
//! world
//! ```

use super::record_file::{VERSION_END, hex, number};
use crate::LOG_ENTRY_MAX;
use crate::commit_log::frame::Ended;

const MAGIC: &str = "dormouse-log/1";
const LINE_MAX: usize = 192;
/// A part is full when its entries have so many bytes, lines included.
pub(super) const PART_BYTES: usize = 256 * 1024;
/// No file of ours is longer: the entry that fills it may be the longest, and lines are short.
pub(super) const FILE_MAX: usize = LINE_MAX + PART_BYTES + LOG_ENTRY_MAX + LINE_MAX;

/// Which log a part is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) incarnation: u64,
    /// The log it continues.
    pub(super) predecessor: Option<Ended>,
}

/// What the first line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) of: Of,
    /// The position of its first entry.
    pub(super) first: u64,
    /// The position behind its last.
    pub(super) next: u64,
    body_len: usize,
    crc: u32,
    body_at: usize,
}

/// Where an entry lies in a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) version: u64,
    pub(super) at: u32,
    pub(super) len: u32,
}

/// A part being made.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) first: u64,
    slots: Vec<Slot>,
    body: Vec<u8>,
}

impl Part {
    /// An empty one that begins at a position.
    pub(super) fn new(first: u64) -> Self {
        Self {
            first,
            slots: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The position of the next entry.
    pub(super) fn next(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// Whether the next entry begins another part.
    pub(super) fn is_full(&self) -> bool {
        self.body.len() >= PART_BYTES
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, version: u64, entry: &[u8]) {
        let line = format!("version={version} len={}\n", entry.len());
        self.body.extend_from_slice(line.as_bytes());
        let fits = "a part is far below 4 GiB";
        self.slots.push(Slot {
            version,
            at: u32::try_from(self.body.len()).expect(fits),
            len: u32::try_from(entry.len()).expect(fits),
        });
        self.body.extend_from_slice(entry);
        self.body.push(b'\n');
    }

    /// The file, and where the entries lie in it.
    pub(super) fn encode(mut self, log: &str, of: Of) -> (Vec<u8>, Vec<Slot>) {
        let (first, next) = (self.first, self.next());
        let crc = checksum(log, of, [first, next], &self.body);
        let predecessor = of.predecessor.map_or_else(String::new, |ended| {
            format!(" predecessor={}:{}", ended.incarnation, ended.next)
        });
        let line = format!(
            "{MAGIC} incarnation={}{predecessor} first={first} next={next} len={} crc={crc:08x}\n",
            of.incarnation,
            self.body.len()
        );
        let shift = u32::try_from(line.len()).expect("a line is short");
        for slot in &mut self.slots {
            slot.at += shift;
        }
        let mut bytes = line.into_bytes();
        bytes.append(&mut self.body);
        (bytes, self.slots)
    }
}

/// Reads the first line; none when it is not one of ours.
pub(super) fn line(bytes: &[u8]) -> Option<Line> {
    let mut rest = bytes;
    let mut words = take_line(&mut rest)?.split(' ').peekable();
    (words.next()? == MAGIC).then_some(())?;
    let incarnation = number(words.next()?.strip_prefix("incarnation=")?)?;
    let predecessor = match words.next_if(|word| word.starts_with("predecessor=")) {
        Some(word) => Some(ended(word)?),
        None => None,
    };
    let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
    let line = Line {
        of: Of {
            incarnation,
            predecessor,
        },
        first: number(field("first")?)?,
        next: number(field("next")?)?,
        body_len: usize::try_from(number(field("len")?)?).ok()?,
        crc: hex(field("crc")?)?,
        body_at: bytes.len() - rest.len(),
    };
    let is_possible = words.next().is_none()
        && [incarnation, line.first, line.next]
            .iter()
            .all(|n| (1..VERSION_END).contains(n))
        && line.next - line.first.min(line.next) <= FILE_MAX as u64
        && line.first <= line.next;
    is_possible.then_some(line)
}

/// Reads a whole part of this log; none when anything in it is not as it was written.
pub(super) fn decode(log: &str, bytes: &[u8]) -> Option<(Line, Vec<Slot>)> {
    let line = line(bytes)?;
    let body = bytes.get(line.body_at..)?;
    let crc = checksum(log, line.of, [line.first, line.next], body);
    (body.len() == line.body_len && crc == line.crc).then_some(())?;
    let mut rest = body;
    let mut slots = Vec::new();
    for _ in line.first..line.next {
        slots.push(take_entry(&mut rest, bytes.len())?);
    }
    rest.is_empty().then_some((line, slots))
}

/// Takes an entry from what is left of a file of this many bytes.
fn take_entry(rest: &mut &[u8], file_len: usize) -> Option<Slot> {
    let (version, len) = take_line(rest)?.strip_prefix("version=")?.split_once(" len=")?;
    let len = number(len)?;
    let slot = Slot {
        version: number(version)?,
        at: u32::try_from(file_len - rest.len()).ok()?,
        len: u32::try_from(len).ok()?,
    };
    let (_, behind) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = behind.strip_prefix(b"\n")?;
    Some(slot)
}

fn take_line<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let end = rest.iter().take(LINE_MAX).position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&rest[..end]).ok()?;
    *rest = &rest[end + 1..];
    Some(line)
}

/// `predecessor=<incarnation>:<next>`
fn ended(word: &str) -> Option<Ended> {
    let (incarnation, next) = word.strip_prefix("predecessor=")?.split_once(':')?;
    let ended = Ended {
        incarnation: number(incarnation)?,
        next: number(next)?,
    };
    let is_number = |number: u64| (1..VERSION_END).contains(&number);
    (is_number(ended.incarnation) && is_number(ended.next)).then_some(ended)
}

fn checksum(log: &str, of: Of, [first, next]: [u64; 2], body: &[u8]) -> u32 {
    let mut crc = crc32c::crc32c(log.as_bytes());
    let predecessor = of.predecessor.map(|ended| [ended.incarnation, ended.next]);
    let numbers = [of.incarnation, first, next];
    for number in numbers.into_iter().chain(predecessor.into_iter().flatten()) {
        crc = crc32c::crc32c_append(crc, &number.to_le_bytes());
    }
    crc32c::crc32c_append(crc, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> (Vec<u8>, Vec<Slot>) {
        let mut part = Part::new(4);
        part.push(1_876_000_000_000_000, b"hello");
        part.push(1_876_000_000_000_001, b"");
        part.encode("a!b", of(1_876_000_000_000_000))
    }

    fn of(incarnation: u64) -> Of {
        Of {
            incarnation,
            predecessor: None,
        }
    }

    /// Golden too: the first line of a log that continues another.
    #[test]
    fn a_part_tells_what_its_log_continues() {
        let predecessor = Some(Ended {
            incarnation: 17,
            next: 4,
        });
        let of = Of {
            predecessor,
            ..of(1_876_000_000_000_000)
        };
        let (bytes, _) = Part::new(4).encode("a!b", of);
        let golden = "dormouse-log/1 incarnation=1876000000000000 predecessor=17:4 first=4 next=4 len=0 crc=cf9a0135\n";
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), golden);
        assert_eq!(decode("a!b", &bytes).map(|(line, _)| line.of), Some(of));
    }

    /// The golden file: these bytes are format 1.
    #[test]
    fn a_part_is_a_line_and_its_entries() {
        let (bytes, _) = part();
        let golden = "dormouse-log/1 incarnation=1876000000000000 first=4 next=6 len=69 crc=fa2c8032\n\
                      version=1876000000000000 len=5\nhello\nversion=1876000000000001 len=0\n\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), golden);
    }

    #[test]
    fn a_part_reads_back_with_where_its_entries_lie() {
        let (bytes, slots) = part();
        let (line, found) = decode("a!b", &bytes).unwrap();
        assert_eq!((line.first, line.next, &found), (4, 6, &slots));
        let at = slots[0].at as usize;
        assert_eq!(&bytes[at..at + 5], b"hello");
        assert_eq!(decode("a", &bytes), None);
        let (empty, _) = Part::new(9).encode("a", of(1));
        assert_eq!(
            decode("a", &empty).map(|(line, slots)| (line.next, slots.len())),
            Some((9, 0))
        );
    }

    proptest::proptest! {
        #[test]
        fn no_other_byte_passes(flip: proptest::sample::Index) {
            let (mut bytes, _) = part();
            let at = flip.index(bytes.len());
            bytes[at] ^= 1;
            proptest::prop_assert_eq!(decode("a!b", &bytes), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(decode("a", &bytes), None);
        }
    }
}
