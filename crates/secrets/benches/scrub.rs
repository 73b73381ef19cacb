//! How fast clean text passes, beside a copy of it and beside aho-corasick alone on the same values.

#[path = "../src/scrub/forms/mod.rs"]
#[allow(dead_code, reason = "the bench asks for the forms alone")]
mod forms;
#[path = "../src/log_keys.rs"]
#[allow(dead_code, reason = "the bench asks for the forms alone")]
mod log_keys;
#[path = "../src/scrub/parts.rs"]
mod parts;
#[path = "../../../tests/bench/secrets/texts.rs"]
mod texts;

use std::hint::black_box;

use aho_corasick::AhoCorasick;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dormouse_secrets::{Formats, VALUE_MIN};

use texts::{scrubber, transcript, values, with_values};

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
    let text = with_values(&clean, &values);
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
