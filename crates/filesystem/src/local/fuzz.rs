//! The files that people can read, made of any bytes.

use super::part_file::{self, Of};
use super::record_file;
use crate::commit_log::frame::Ended;
use crate::contract::fuzz::Input;
use crate::{LOG_ENTRY_MAX, RecordKind};

const KIND: RecordKind = RecordKind::of("note");
const ENTRIES_MAX: usize = 64;

/// The file of a record: of any bytes, or of a record with some byte changed.
///
/// # Panics
/// When it is taken for what it is not.
pub fn record_files(bytes: &[u8]) {
    let input = Input::new(bytes);
    if input.byte().is_multiple_of(2) {
        record_of(input.rest());
        return;
    }
    let version = 1 + input.number() % (record_file::VERSION_END - 1);
    let (at, other) = (input.number(), input.byte());
    let value = input.rest();
    let (mut bytes, crc) = record_file::encode("a!b", &KIND, version, value);
    let line = record_file::decode("a!b", &bytes).expect("what was written is read");
    assert_eq!(
        (line.kind, line.version, line.len, line.crc),
        (KIND, version, value.len(), crc)
    );
    assert_eq!(&bytes[line.value_at..], value);
    assert_eq!(record_file::decode("a!c", &bytes), None, "of another key");
    if change(&mut bytes, at, other) {
        assert_eq!(record_file::decode("a!b", &bytes), None, "changed");
    }
    record_of(&bytes);
}

fn record_of(bytes: &[u8]) {
    if let Some(line) = record_file::decode("a!b", bytes) {
        let (again, crc) = record_file::encode("a!b", &line.kind, line.version, &bytes[line.value_at..]);
        assert_eq!(
            (again.as_slice(), crc),
            (bytes, line.crc),
            "a record has one file"
        );
    }
    if let Some((_, value_at)) = record_file::salvage(bytes) {
        assert!(value_at <= bytes.len());
    }
}

/// A part of a log: of any bytes, or of entries with some byte changed.
///
/// # Panics
/// When it is taken for what it is not.
pub fn log_parts(bytes: &[u8]) {
    let input = Input::new(bytes);
    if input.byte().is_multiple_of(2) {
        part_of(input.rest());
        return;
    }
    let number = || 1 + input.number() % (1 << 40);
    let first = number();
    let of = Of {
        incarnation: number(),
        predecessor: (input.byte() % 2 == 1).then(|| Ended {
            incarnation: number(),
            next: number(),
        }),
    };
    let (at, other) = (input.number(), input.byte());
    let mut part = part_file::Part::new(first);
    let mut entries = Vec::new();
    while !input.is_at_end() && entries.len() < ENTRIES_MAX {
        let version = input.number();
        let entry = input.some();
        part.push(version, entry);
        entries.push((version, entry));
    }
    let (mut bytes, slots) = part.encode("a!b", of);
    let (line, found) = part_file::decode("a!b", &bytes).expect("what was written is read");
    assert_eq!((line.of, line.first, &found), (of, first, &slots));
    let read: Vec<(u64, &[u8])> = found
        .iter()
        .map(|slot| (slot.version, entry(&bytes, slot)))
        .collect();
    assert_eq!(read, entries);
    assert_eq!(part_file::decode("a!c", &bytes), None, "of another log");
    if change(&mut bytes, at, other) {
        assert_eq!(part_file::decode("a!b", &bytes), None, "changed");
    }
    part_of(&bytes);
}

fn part_of(bytes: &[u8]) {
    if let Some((line, slots)) = part_file::decode("a!b", bytes) {
        assert_eq!(line.next - line.first, slots.len() as u64);
        assert!(slots.iter().all(|slot| entry(bytes, slot).len() <= LOG_ENTRY_MAX));
    }
}

fn entry<'a>(bytes: &'a [u8], slot: &part_file::Slot) -> &'a [u8] {
    &bytes[slot.at as usize..(slot.at + slot.len) as usize]
}

/// Whether a byte is another now.
fn change(bytes: &mut [u8], at: u64, other: u8) -> bool {
    let at = usize::try_from(at % bytes.len() as u64).expect("a file is short");
    bytes[at] ^= other;
    other != 0
}
