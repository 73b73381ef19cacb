//! How fast the streams of providers are read.

use std::hint::black_box;

use dormouse_engine::adapter::{Options, Provider, Stream};
use dormouse_tests::measure::{Figure, Samples, Target};
use tokio::time::Instant;

use crate::Context;
use crate::bed::now;

/// How often each stream is read in a round.
const TIMES: usize = 20_000;

const STREAMS: [(&str, Provider, &str); 4] = [
    (
        "claude",
        Provider::Claude,
        include_str!("../../../crates/engine/tests/fixtures/streams/own/claude_success.jsonl"),
    ),
    (
        "codex",
        Provider::Codex,
        include_str!("../../../crates/engine/tests/fixtures/streams/codex-0.169.0/shell.jsonl"),
    ),
    (
        "gemini",
        Provider::Gemini,
        include_str!("../../../crates/engine/tests/fixtures/streams/gemini-0.61.0/shell.stream.jsonl"),
    ),
    (
        "opencode",
        Provider::Opencode,
        include_str!("../../../crates/engine/tests/fixtures/streams/opencode-1.18.33/shell.jsonl"),
    ),
];

pub(crate) fn run(context: &Context) -> Vec<Figure> {
    let times = context.count(TIMES).max(100);
    let mut samples = Samples::default();
    for _ in 0..context.rounds {
        for (name, provider, text) in STREAMS {
            let lines: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
            let bytes = lines.iter().map(|line| line.len()).sum::<usize>() * times;
            let rate = |seconds: f64| bytes as f64 / 1e6 / seconds;
            samples.push(name, rate(read(provider, &lines, times)));
            samples.push(format!("{name} json"), rate(parsed(&lines, times)));
        }
    }
    let figure = |(name, ..): &(&str, Provider, &str)| Figure {
        name: format!("{name}, lines to events"),
        value: samples.of(name),
        unit: "MB/s",
        against: Some((
            "serde_json to Value".to_owned(),
            samples.of(&format!("{name} json")),
        )),
        target: Target::AtLeast(0.5),
    };
    STREAMS.iter().map(figure).collect()
}

fn read(provider: Provider, lines: &[&[u8]], times: usize) -> f64 {
    let (began, at) = (Instant::now(), now());
    for _ in 0..times {
        let mut stream = Stream::new(provider, Options::default());
        for line in lines {
            black_box(stream.line(at, line));
        }
        black_box(stream.end(Some(0)));
    }
    began.elapsed().as_secs_f64()
}

fn parsed(lines: &[&[u8]], times: usize) -> f64 {
    let began = Instant::now();
    for _ in 0..times {
        for line in lines {
            let value: Result<serde_json::Value, _> = serde_json::from_slice(line);
            let _ = black_box(value);
        }
    }
    began.elapsed().as_secs_f64()
}
