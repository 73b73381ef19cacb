//! How fast texts pass the scrubber, beside a copy of them and beside `aho-corasick` alone on the same forms.

use std::collections::BTreeMap;
use std::hint::black_box;

use aho_corasick::AhoCorasick;
use dormouse_secrets::{Formats, Scrubber};
use dormouse_tests::measure::{Figure, Samples, Series, Target};
use tokio::time::Instant;

use crate::{Context, forms, texts};

/// Large enough to leave the processor's caches.
const TEXT_BYTES: usize = 32 << 20;

/// How many values a run has.
const COUNTS: [usize; 6] = [1, 8, 32, 100, 128, 1_000];

pub(crate) fn run(context: &Context) -> Vec<Figure> {
    let mut samples = Samples::default();
    let clean = texts::transcript(context.count(TEXT_BYTES));
    let full = texts::with_values(&clean, &texts::values(32));
    let sets: Vec<(usize, Scrubber, AhoCorasick)> = COUNTS.iter().map(|count| set(*count)).collect();
    let strict = texts::scrubber(&texts::values(32)).with_formats(Formats::Strict);
    for _ in 0..context.rounds {
        samples.push("copy", rate(&clean, |text| text.to_vec()));
        for (count, scrubber, alone) in &sets {
            samples.push(
                format!("scrub {count}"),
                rate(&clean, |text| scrubber.bytes(text)),
            );
            let alone = rate(&clean, |text| alone.find_iter(text).count());
            samples.push(format!("alone {count}"), alone);
        }
        samples.push("strict", rate(&clean, |text| strict.bytes(text)));
        let of_32 = &sets[2].1;
        samples.push("full", rate(&full, |text| of_32.bytes(text)));
        samples.push("made", made());
    }
    let mut figures = clean_figures(&samples);
    figures.extend([
        figure(
            "32 values and the detector, strict",
            &samples,
            "strict",
            "a copy",
            "copy",
            Target::AtLeast(0.15),
        ),
        figure(
            "32 values, one in every line",
            &samples,
            "full",
            "the clean text",
            "scrub 32",
            Target::AtLeast(0.2),
        ),
        against_number("scrubber for 32 values", samples.of("made"), "ms", 5.0),
        held_back(&sets[2].1, &clean),
    ]);
    figures
}

fn set(count: usize) -> (usize, Scrubber, AhoCorasick) {
    let values = texts::values(count);
    let forms = values.iter().flat_map(|value| forms::of(value).into_keys());
    let alone = AhoCorasick::new(forms).expect("an automaton");
    (count, texts::scrubber(&values), alone)
}

/// Against a copy for 32 values; against the plain automaton as the page says for 8 and 128, and as the plan does for
/// 1, 100 and 1,000.
fn clean_figures(samples: &Samples) -> Vec<Figure> {
    let least: BTreeMap<usize, f64> = [(1, 0.6), (8, 0.8), (100, 0.6), (128, 5.0), (1_000, 0.6)].into();
    COUNTS
        .iter()
        .flat_map(|count| {
            let name = format!("clean text, {count} values");
            let scrub = format!("scrub {count}");
            let copy = if *count == 32 {
                Target::AtLeast(0.25)
            } else {
                Target::None
            };
            let alone = least
                .get(count)
                .map_or(Target::None, |least| Target::AtLeast(*least));
            [
                figure(&name, samples, &scrub, "a copy", "copy", copy),
                figure(
                    &name,
                    samples,
                    &scrub,
                    "aho-corasick, same forms",
                    &format!("alone {count}"),
                    alone,
                ),
            ]
        })
        .collect()
}

fn figure(name: &str, samples: &Samples, value: &str, title: &str, against: &str, target: Target) -> Figure {
    Figure {
        name: name.to_owned(),
        value: samples.of(value),
        unit: "MiB/s",
        against: Some((title.to_owned(), samples.of(against))),
        target,
    }
}

/// Held against a number of the page.
pub(crate) fn against_number(name: &str, value: Series, unit: &'static str, most: f64) -> Figure {
    let mut number = Series::default();
    for _ in 0..value.len() {
        number.push(most);
    }
    Figure {
        name: name.to_owned(),
        value,
        unit,
        against: Some((format!("{most} {unit}"), number)),
        target: Target::AtMost(1.0),
    }
}

/// MiB a second.
fn rate<T>(text: &[u8], work: impl Fn(&[u8]) -> T) -> f64 {
    let start = Instant::now();
    let result = black_box(work(black_box(text)));
    let took = start.elapsed().as_secs_f64();
    drop(result);
    text.len() as f64 / f64::from(1 << 20) / took
}

/// The milliseconds in which a scrubber for 32 values is made.
fn made() -> f64 {
    let values = texts::values(32);
    let start = Instant::now();
    black_box(texts::scrubber(&values));
    start.elapsed().as_secs_f64() * 1e3
}

/// What is held back after each line of a stream, at the 99th of a hundred lines.
fn held_back(scrubber: &Scrubber, text: &[u8]) -> Figure {
    let mut stream = scrubber.stream();
    let mut held: Vec<usize> = text
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            drop(black_box(stream.push(line)));
            stream.held_len()
        })
        .collect();
    held.sort_unstable();
    let mut series = Series::default();
    series.push(held[held.len() * 99 / 100] as f64);
    against_number("held back after each line, p99", series, "bytes", 3.0)
}
