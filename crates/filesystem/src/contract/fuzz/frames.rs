//! Frames of the log: what is believed is whole, and is what it was made from.

use super::Input;
use crate::commit_log::frame::{Ended, Frame, HEADER_BYTES, Header, Operation, Seed, encode};

pub(super) const STORE: [u8; 16] = [7; 16];

/// A frame of any bytes: as they are, with a length and a checksum that are right, or made from any operations.
///
/// # Panics
/// When it is taken for what it is not.
pub fn frames(bytes: &[u8]) {
    let input = Input::new(bytes);
    match input.byte() % 3 {
        0 => judge(input.rest()),
        1 => judge(&sealed(input.rest())),
        _ => made(&input),
    }
}

/// The same bytes with the length and the checksum that the format asks for.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = bytes.to_vec();
    if frame.len() < HEADER_BYTES {
        return frame;
    }
    let len = u32::try_from(frame.len()).expect("an input is short");
    frame[0..4].copy_from_slice(&len.to_le_bytes());
    let crc = crc32c::crc32c(&STORE);
    let crc = crc32c::crc32c_append(crc, &frame[0..4]);
    let crc = crc32c::crc32c_append(crc, &frame[8..]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    frame
}

fn judge(bytes: &[u8]) {
    let Some(frame) = Frame::decode(bytes, Seed::of(STORE)) else {
        return;
    };
    for at in 0..bytes.len() {
        let _ = frame.operation(at);
    }
    let operations: Vec<(usize, Operation<'_>)> = frame.operations().collect();
    for (at, operation) in &operations {
        assert_eq!(frame.operation(*at).as_ref(), Some(operation));
        assert!(at + operation.encoded_len() <= bytes.len());
    }
    if frame.is_whole() {
        let again = encoded(frame.header(), operations.iter().map(|(_, operation)| *operation));
        reads_as(&again, frame.header(), &operations);
    }
}

fn encoded<'a>(header: Header, operations: impl Iterator<Item = Operation<'a>>) -> Vec<u8> {
    let mut out = Vec::new();
    let len = encode(header, Seed::of(STORE), operations, &mut out);
    out.truncate(len);
    out
}

fn reads_as(bytes: &[u8], header: Header, operations: &[(usize, Operation<'_>)]) {
    let frame = Frame::decode(bytes, Seed::of(STORE)).expect("what was written is read");
    assert!(frame.is_whole());
    assert_eq!(frame.header(), header);
    assert!(
        frame
            .operations()
            .map(|(_, read)| read)
            .eq(operations.iter().map(|(_, wrote)| *wrote))
    );
}

/// Whatever is written reads back, and with any bit changed does not.
fn made(input: &Input<'_>) {
    let header = header(input);
    let flip = input.number();
    let mut operations = Vec::new();
    while !input.is_at_end() && operations.len() < 64 {
        operations.push((0, operation(input)));
    }
    let mut bytes = encoded(header, operations.iter().map(|(_, operation)| *operation));
    reads_as(&bytes, header, &operations);
    let bits = bytes.len() as u64 * 8;
    let bit = usize::try_from(flip % bits).expect("an input is short");
    bytes[bit / 8] ^= 1 << (bit % 8);
    assert!(Frame::decode(&bytes, Seed::of(STORE)).is_none(), "bit {bit}");
    let other = Seed::of([8; 16]);
    bytes[bit / 8] ^= 1 << (bit % 8);
    assert!(Frame::decode(&bytes, other).is_none(), "of another store");
}

pub(super) fn header(input: &Input<'_>) -> Header {
    Header {
        version: input.number(),
        group: input.number(),
        segment: u32::try_from(input.number() & u64::from(u32::MAX)).expect("it is masked"),
    }
}

pub(super) fn operation<'a>(input: &Input<'a>) -> Operation<'a> {
    let text = |input: &Input<'a>| std::str::from_utf8(input.some()).unwrap_or("a");
    match input.byte() % 9 {
        0 => Operation::Put {
            key: text(input),
            was: input.number(),
            kind: text(input),
            value: input.some(),
        },
        1 => Operation::Delete {
            key: text(input),
            was: input.number(),
        },
        2 => Operation::Append {
            log: text(input),
            position: input.number(),
            entry: input.some(),
        },
        3 => Operation::Truncate {
            log: text(input),
            first: input.number(),
            before: input.number(),
            bytes: input.number(),
        },
        4 => Operation::Moved {
            key: text(input),
            version: input.number(),
            kind: text(input),
            value: input.some(),
        },
        5 => Operation::MovedEntry {
            log: text(input),
            position: input.number(),
            version: input.number(),
            entry: input.some(),
        },
        6 => Operation::Head {
            log: text(input),
            incarnation: input.number(),
            first: input.number(),
            next: input.number(),
            bytes: input.number(),
            predecessor: ended(input),
        },
        7 => Operation::Begin {
            log: text(input),
            first: input.number(),
            predecessor: ended(input),
        },
        _ => Operation::Cleaned {
            segment: input.number(),
        },
    }
}

/// No log has the incarnation 0.
fn ended(input: &Input<'_>) -> Option<Ended> {
    let (incarnation, next) = (input.number(), input.number());
    (incarnation > 0).then_some(Ended { incarnation, next })
}
