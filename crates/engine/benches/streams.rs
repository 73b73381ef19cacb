//! Streams of providers read as events, beside `serde_json` on the same lines.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dormouse_engine::adapter::{Options, Provider, Stream};
use jiff::Timestamp;
use serde_json::Value;

/// Streams of each kind, repeated to this many lines.
const LINES: usize = 10_000;

fn lines(name: &str) -> Vec<String> {
    let root: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "streams", name]
        .iter()
        .collect();
    let text = std::fs::read_to_string(root).expect("the fixture is there");
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).expect("fixtures are JSON");
        value.get("msg").map_or_else(|| line.to_owned(), Value::to_string)
    };
    text.lines().map(line).cycle().take(LINES).collect()
}

fn streams(criterion: &mut Criterion) {
    for (provider, name) in [
        (Provider::Claude, "own/claude_success.jsonl"),
        (Provider::Codex, "codex-0.169.0/shell.jsonl"),
        (Provider::CodexAppServer, "codex-0.169.0/appserver_accept.jsonl"),
        (Provider::Gemini, "gemini-0.61.0/shell.stream.jsonl"),
        (Provider::Opencode, "opencode-1.18.33/shell.jsonl"),
        (Provider::Acp, "gemini-0.61.0/acp_allow.jsonl"),
    ] {
        let lines = lines(name);
        let bytes: usize = lines.iter().map(String::len).sum();
        let mut group = criterion.benchmark_group(format!("streams/{}", provider.word()));
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function("adapter", |bencher| {
            bencher.iter(|| {
                let mut stream = Stream::new(provider, Options::default());
                for line in &lines {
                    black_box(stream.line(Timestamp::UNIX_EPOCH, line.as_bytes()));
                }
            });
        });
        group.bench_function("serde_json", |bencher| {
            bencher.iter(|| {
                for line in &lines {
                    black_box(serde_json::from_str::<Value>(line).expect("fixtures are JSON"));
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, streams);
criterion_main!(benches);
