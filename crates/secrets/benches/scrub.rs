//! How fast clean text passes, beside a copy of it and beside aho-corasick alone on the same values.

#[path = "../src/scrub/forms/mod.rs"]
#[allow(dead_code, reason = "the bench asks for the forms alone")]
mod forms;
#[path = "../src/log_keys.rs"]
#[allow(dead_code, reason = "the bench asks for the forms alone")]
mod log_keys;
#[path = "../src/scrub/parts.rs"]
mod parts;

use std::hint::black_box;

use aho_corasick::AhoCorasick;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dormouse_secrets::{Formats, Redaction, Scrubber, Secret, SecretName, VALUE_MIN};

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

/// Values of 8 to 64 letters and digits.
fn values(count: usize) -> Vec<Vec<u8>> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut numbers = Numbers(0x5EED);
    let letter = |numbers: &mut Numbers| alphabet[(numbers.next() % 64) as usize];
    let value = |numbers: &mut Numbers| (0..8 + numbers.next() % 57).map(|_| letter(numbers)).collect();
    (0..count).map(|_| value(&mut numbers)).collect()
}

fn scrubber(values: &[Vec<u8>]) -> Scrubber {
    let redactions = values.iter().enumerate().map(|(index, value)| {
        let name = SecretName::parse(&format!("KEY_{index}")).expect("a name");
        Redaction::new(name, Secret::new(value.clone())).expect("a value")
    });
    Scrubber::new(redactions.collect()).expect("few values")
}

/// A transcript in JSON lines, of words that no value has.
fn transcript(bytes: usize) -> Vec<u8> {
    let words = [
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
    let mut numbers = Numbers(0xBEEF);
    let mut out = Vec::with_capacity(bytes + 256);
    while out.len() < bytes {
        out.extend_from_slice(
            br#"{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":""#,
        );
        for _ in 0..8 + numbers.next() % 40 {
            out.extend_from_slice(words[(numbers.next() % 21) as usize].as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(b"\"}]}}\n");
    }
    out
}

fn clean_text(criterion: &mut Criterion) {
    let text = transcript(8 << 20);
    let mut group = criterion.benchmark_group("clean");
    group
        .throughput(Throughput::Bytes(text.len() as u64))
        .sample_size(10);
    group.bench_function("memcpy", |bencher| bencher.iter(|| black_box(&text).clone()));
    for count in [1, 8, 32, 100, 128, 1_000] {
        let values = values(count);
        let scrubber = scrubber(&values);
        group.bench_with_input(BenchmarkId::new("scrub", count), &text, |bencher, text| {
            bencher.iter(|| scrubber.bytes(black_box(text)));
        });
        let alone = AhoCorasick::new(values.iter().flat_map(|value| forms::of(value).into_keys()))
            .expect("an automaton");
        group.bench_with_input(BenchmarkId::new("aho-corasick", count), &text, |bencher, text| {
            bencher.iter(|| alone.find_iter(black_box(text)).count());
        });
        let raw = AhoCorasick::new(&values).expect("an automaton");
        group.bench_with_input(
            BenchmarkId::new("aho-corasick, raw values", count),
            &text,
            |bencher, text| {
                bencher.iter(|| raw.find_iter(black_box(text)).count());
            },
        );
    }
    let strict = scrubber(&values(32)).with_formats(Formats::Strict);
    group.bench_function("scrub and detect, 32", |bencher| {
        bencher.iter(|| strict.bytes(black_box(&text)));
    });
    group.finish();
}

fn a_value_in_every_line(criterion: &mut Criterion) {
    let values = values(32);
    let scrubber = scrubber(&values);
    let clean = transcript(4 << 20);
    let mut text = Vec::new();
    for (line, value) in clean.split(|byte| *byte == b'\n').zip(values.iter().cycle()) {
        text.extend_from_slice(line);
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    let mut group = criterion.benchmark_group("a value in every line");
    group
        .throughput(Throughput::Bytes(text.len() as u64))
        .sample_size(10);
    group.bench_function("scrub", |bencher| {
        bencher.iter(|| scrubber.bytes(black_box(&text)));
    });
    group.finish();
}

fn construction(criterion: &mut Criterion) {
    let values = values(32);
    criterion.bench_function("construction, 32", |bencher| {
        bencher.iter(|| scrubber(black_box(&values)));
    });
}

criterion_group!(benches, clean_text, a_value_in_every_line, construction);
criterion_main!(benches);
