//! A record as a file that people can read: one line, then the value's bytes. Pure functions; no input makes them
//! panic.
//!
//! `dormouse-record/1 kind=task version=1876000000000000 len=17 crc=0badcafe`

use std::fmt::Write;

use crate::{RecordKind, VALUE_MAX};

/// What the line begins with.
const MAGIC: &str = "dormouse-record/1";
/// No line is longer.
pub(super) const LINE_MAX: usize = 192;
/// No file of ours is longer.
pub(super) const FILE_MAX: usize = LINE_MAX + VALUE_MAX;
/// No version is as high, until 2248.
pub(super) const VERSION_END: u64 = 1 << 53;

/// What the first line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: RecordKind,
    pub(super) version: u64,
    pub(super) len: usize,
    pub(super) crc: u32,
    /// Where the value begins.
    pub(super) value_at: usize,
}

/// The file of a record.
pub(super) fn encode(key: &str, kind: &RecordKind, version: u64, value: &[u8]) -> (Vec<u8>, u32) {
    let crc = checksum(key, kind, version, value);
    let mut line = String::with_capacity(LINE_MAX);
    writeln!(
        line,
        "{MAGIC} kind={kind} version={version} len={} crc={crc:08x}",
        value.len()
    )
    .expect("a string takes all that is written");
    let mut bytes = line.into_bytes();
    bytes.extend_from_slice(value);
    (bytes, crc)
}

/// Reads the first line; none when it is not one of ours.
pub(super) fn line(bytes: &[u8]) -> Option<Line> {
    let end = bytes.iter().take(LINE_MAX).position(|byte| *byte == b'\n')?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut words = text.split(' ');
    (words.next()? == MAGIC).then_some(())?;
    let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
    let line = Line {
        kind: RecordKind::parse(field("kind")?)?,
        version: number(field("version")?).filter(|version| (1..VERSION_END).contains(version))?,
        len: usize::try_from(number(field("len")?)?).ok()?,
        crc: hex(field("crc")?)?,
        value_at: end + 1,
    };
    (words.next().is_none() && line.len <= VALUE_MAX).then_some(line)
}

/// Reads a whole file of a record; none when anything in it is not as it was written.
pub(super) fn decode(key: &str, bytes: &[u8]) -> Option<Line> {
    let line = line(bytes)?;
    let value = bytes.get(line.value_at..)?;
    (value.len() == line.len && checksum(key, &line.kind, line.version, value) == line.crc).then_some(line)
}

/// What an edited file can still be taken as: its kind, and where its value begins.
pub(super) fn salvage(bytes: &[u8]) -> Option<(RecordKind, usize)> {
    let end = bytes.iter().take(LINE_MAX).position(|byte| *byte == b'\n')?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let fields = text.strip_prefix(MAGIC)?;
    let kind = fields.split(' ').find_map(|word| word.strip_prefix("kind="))?;
    (bytes.len() - end - 1 <= VALUE_MAX).then_some((RecordKind::parse(kind)?, end + 1))
}

fn checksum(key: &str, kind: &RecordKind, version: u64, value: &[u8]) -> u32 {
    let mut crc = crc32c::crc32c(key.as_bytes());
    // A byte that is in no key and no kind keeps the parts apart.
    crc = crc32c::crc32c_append(crc, &[0]);
    crc = crc32c::crc32c_append(crc, kind.as_str().as_bytes());
    crc = crc32c::crc32c_append(crc, &[0]);
    crc = crc32c::crc32c_append(crc, &version.to_le_bytes());
    crc32c::crc32c_append(crc, value)
}

/// A number as we write it: digits alone, no zero before them.
pub(super) fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok())?
}

/// Eight lower-case hex digits.
pub(super) fn hex(text: &str) -> Option<u32> {
    let is_plain = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_plain.then(|| u32::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: RecordKind = RecordKind::of("note");

    /// The golden file: these bytes are format 1.
    #[test]
    fn a_record_is_one_line_and_its_value() {
        let (bytes, crc) = encode("a!b", &NOTE, 1_876_000_000_000_000, b"hello\n");
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            format!("dormouse-record/1 kind=note version=1876000000000000 len=6 crc={crc:08x}\nhello\n")
        );
        assert_eq!(crc, 0x5cca_9027);
    }

    #[test]
    fn an_edited_file_is_not_believed_and_can_be_salvaged() {
        let (bytes, _) = encode("a", &NOTE, 7, b"hello");
        let edited = String::from_utf8(bytes).unwrap().replace("hello", "hello, world");
        assert_eq!(decode("a", edited.as_bytes()), None);
        let (kind, at) = salvage(edited.as_bytes()).unwrap();
        assert_eq!((kind, &edited[at..]), (NOTE, "hello, world"));
    }

    proptest::proptest! {
        #[test]
        fn a_record_reads_back_and_no_other_key_or_byte_passes(
            version in 1..VERSION_END,
            value: Vec<u8>,
            flip: proptest::sample::Index,
        ) {
            let (bytes, crc) = encode("a!b", &NOTE, version, &value);
            let line = decode("a!b", &bytes).unwrap();
            proptest::prop_assert_eq!(&bytes[line.value_at..], &value[..]);
            proptest::prop_assert_eq!((line.kind, line.version, line.len, line.crc), (NOTE, version, value.len(), crc));
            proptest::prop_assert_eq!(decode("a!c", &bytes), None);
            let mut other = bytes.clone();
            other[flip.index(bytes.len())] ^= 1;
            proptest::prop_assert_eq!(decode("a!b", &other), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(decode("a", &bytes), None);
            proptest::prop_assert_eq!(salvage(&bytes), None);
        }
    }
}
