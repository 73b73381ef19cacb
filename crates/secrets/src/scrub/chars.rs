//! Where characters begin and end in bytes that need not be UTF-8.
//!
//! A character is read by its form alone: a byte that leads and the continuation bytes it asks for.
//! Every character of valid text has that form, and nothing in here asks for more.

/// The most bytes of one character.
const CHAR_MAX: usize = 4;

/// Where the character that spans `at` begins, if its beginning is there and its end may still come.
pub(super) fn floor_unfinished(bytes: &[u8], at: usize) -> usize {
    match spanning(bytes, at) {
        Some(char) if char.is_whole_so_far => char.start,
        _ => at,
    }
}

/// The start of the whole character that spans `at`, else `at`.
pub(super) fn floor(bytes: &[u8], at: usize) -> usize {
    match spanning(bytes, at) {
        Some(char) if char.is_whole => char.start,
        _ => at,
    }
}

/// The end of the whole character that spans `at`, else `at`.
pub(super) fn ceil(bytes: &[u8], at: usize) -> usize {
    match spanning(bytes, at) {
        Some(char) if char.is_whole => char.end,
        _ => at,
    }
}

/// A character with at least one byte before a place, and asking for at least one behind it.
struct Spanning {
    start: usize,
    end: usize,
    is_whole: bool,
    is_whole_so_far: bool,
}

fn spanning(bytes: &[u8], at: usize) -> Option<Spanning> {
    let window = at.saturating_sub(CHAR_MAX - 1)..at;
    let start = window.rev().find(|index| !is_continuation(bytes[*index]))?;
    let end = start + asked_length(bytes[start]);
    if end <= at {
        return None;
    }
    let behind = &bytes[at..end.min(bytes.len())];
    let is_whole_so_far = behind.iter().all(|byte| is_continuation(*byte));
    Some(Spanning {
        start,
        end,
        is_whole: is_whole_so_far && end <= bytes.len(),
        is_whole_so_far,
    })
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

fn asked_length(lead: u8) -> usize {
    match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    }
}
