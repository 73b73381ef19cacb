//! Values and transcripts that are the same in each run.

use dormouse_secrets::{Redaction, Scrubber, Secret, SecretName};

/// Numbers that are the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const WORDS: [&str; 21] = [
    "the",
    "function",
    "returns",
    "error",
    "let",
    "mut",
    "config",
    "Finished",
    "test",
    "result",
    "src/main.rs",
    "compiling",
    "0.1.0",
    "assert_eq!",
    "running",
    "and",
    "of",
    "in",
    "1718",
    "https://example.org/docs",
    "ok",
];

/// Values of 8 to 64 letters and digits.
pub(crate) fn values(count: usize) -> Vec<Vec<u8>> {
    let mut numbers = Numbers(0x5EED);
    let letter = |numbers: &mut Numbers| LETTERS[(numbers.next() % 64) as usize];
    let value = |numbers: &mut Numbers| (0..8 + numbers.next() % 57).map(|_| letter(numbers)).collect();
    (0..count).map(|_| value(&mut numbers)).collect()
}

pub(crate) fn scrubber(values: &[Vec<u8>]) -> Scrubber {
    let redactions = values.iter().enumerate().map(|(index, value)| {
        let name = SecretName::parse(&format!("KEY_{index}")).expect("a name");
        Redaction::new(name, Secret::new(value.clone())).expect("a value")
    });
    Scrubber::new(redactions.collect()).expect("few values")
}

/// A transcript in JSON lines, of words that no value has.
pub(crate) fn transcript(bytes: usize) -> Vec<u8> {
    let mut numbers = Numbers(0xBEEF);
    let mut out = Vec::with_capacity(bytes + 256);
    while out.len() < bytes {
        out.extend_from_slice(
            br#"{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":""#,
        );
        for _ in 0..8 + numbers.next() % 40 {
            out.extend_from_slice(WORDS[(numbers.next() % 21) as usize].as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(b"\"}]}}\n");
    }
    out
}

/// The same with one of the values in every line.
pub(crate) fn with_values(transcript: &[u8], values: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::with_capacity(transcript.len() * 2);
    for (line, value) in transcript.split(|byte| *byte == b'\n').zip(values.iter().cycle()) {
        text.extend_from_slice(line);
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    text
}
