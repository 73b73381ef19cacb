//! Adapters: recorded and hand-written streams, read as events.

mod cases;
mod cuts;
mod golden;
mod strange;

use std::path::{Path, PathBuf};

use dormouse_engine::adapter::{Options, Provider, Seen, Stream, What, finish};
use dormouse_engine::outcome::Outcome;
use dormouse_engine::worker::classify::{Codes, End, Observed, classify};
use dormouse_secrets::Scrubber;
use jiff::Timestamp;
use serde_json::Value;

/// When all streams are read.
fn now() -> Timestamp {
    "2026-11-20T17:20:00Z".parse().unwrap()
}

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "streams"]
        .iter()
        .collect()
}

/// The fixtures, by their names below the folder; the rollout is no stream.
fn fixtures() -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap().map(Result::unwrap) {
        if !entry.path().is_dir() {
            continue;
        }
        for file in std::fs::read_dir(entry.path()).unwrap().map(Result::unwrap) {
            let (of, file) = (entry.file_name(), file.file_name());
            names.push(format!("{}/{}", of.to_str().unwrap(), file.to_str().unwrap()));
        }
    }
    names.retain(|name| !name.contains("rollout"));
    names.sort();
    assert!(names.len() >= 20, "the fixtures are there: {names:?}");
    names
}

fn provider(name: &str) -> Provider {
    let (of, file) = name.split_once('/').unwrap();
    match (of, file) {
        (_, file) if file.starts_with("acp_") => Provider::Acp,
        (_, file) if file.starts_with("appserver_") => Provider::CodexAppServer,
        ("own", file) if file.starts_with("claude_") => Provider::Claude,
        (of, file) if of.starts_with("codex") || file.starts_with("codex_") => Provider::Codex,
        (of, file) if of.starts_with("gemini") || file.starts_with("gemini_") => Provider::Gemini,
        (of, file) if of.starts_with("opencode") || file.starts_with("opencode_") => Provider::Opencode,
        _ => panic!("whose is {name}?"),
    }
}

/// What the adapter reads of a fixture: of a dialogue, the other side.
fn lines(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder().join(Path::new(name))).unwrap();
    text.lines()
        .filter_map(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            match value.get("dir").and_then(Value::as_str) {
                None => Some(line.to_owned()),
                Some(dir) => (!dir.starts_with("client")).then(|| value["msg"].to_string()),
            }
        })
        .collect()
}

/// A stream that was read, and its events.
struct Played {
    stream: Stream,
    events: Vec<Seen>,
}

fn play(provider: Provider, lines: &[String], code: Option<i32>) -> Played {
    let mut stream = Stream::new(provider, Options::default());
    let mut events = Vec::new();
    for line in lines {
        events.extend(stream.line(now(), line.as_bytes()));
    }
    events.extend(stream.end(code));
    Played { stream, events }
}

fn play_fixture(name: &str, code: i32) -> Played {
    play(provider(name), &lines(name), Some(code))
}

fn whats(events: &[Seen]) -> Vec<&What> {
    events.iter().map(|seen| &seen.what).collect()
}

/// The outcome of what was read, as the supervisor decides it.
fn outcome(played: &Played) -> Outcome {
    let scrubber = Scrubber::empty();
    let end = match played.stream.last() {
        Some(last) => End::Finished(finish(last, &scrubber)),
        None => End::StreamEnded,
    };
    let observed = Observed {
        block: None,
        stop: None,
        end,
        text: played.stream.text().map(|text| scrubber.scrub(text)),
        codes: Codes::default(),
    };
    classify(&observed, &scrubber).outcome
}
