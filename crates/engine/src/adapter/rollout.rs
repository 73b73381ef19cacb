//! Codex's own log of a thread, where a stream was cut: its `task_complete` finishes the turn.

use std::io::{BufRead, Read};

use serde_json::Value;

/// Longest first line that is taken for a rollout's, in bytes.
pub const FIRST_LINE_MAX: u64 = 256 * 1024;
/// Largest rollout that is read, in bytes.
pub const ROLLOUT_MAX: u64 = 500_000_000;

/// What a rollout says of its last turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollout {
    /// It was completed, with these words.
    Complete(Option<String>),
    /// It was begun, and no end is there.
    Open,
    /// It is larger than [`ROLLOUT_MAX`], so it is not read.
    TooLarge,
    /// It is none of this thread's.
    NotIt,
}

/// Reads a rollout of so many bytes, which has to be that of this thread. Lines that are no JSON are passed over.
///
/// # Errors
/// The reader's.
pub fn read(thread: &str, bytes: u64, reader: impl BufRead) -> std::io::Result<Rollout> {
    if bytes > ROLLOUT_MAX {
        return Ok(Rollout::TooLarge);
    }
    // What is appended while it is read counts for nothing.
    let mut reader = reader.take(bytes);
    let mut line = Vec::new();
    (&mut reader).take(FIRST_LINE_MAX).read_until(b'\n', &mut line)?;
    if !is_of(thread, &line) {
        return Ok(Rollout::NotIt);
    }
    let mut last = Rollout::Open;
    // Ends with the file, or the bytes it had.
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(last);
        }
        follow(&line, &mut last);
    }
}

fn is_of(thread: &str, first: &[u8]) -> bool {
    let Ok(first) = serde_json::from_slice::<Value>(first) else {
        return false;
    };
    first["type"] == "session_meta"
        && [&first["payload"]["id"], &first["payload"]["session_id"]]
            .iter()
            .any(|id| **id == thread)
}

fn follow(line: &[u8], last: &mut Rollout) {
    let Ok(line) = serde_json::from_slice::<Value>(line) else {
        return;
    };
    let payload = &line["payload"];
    if line["type"] != "event_msg" {
        return;
    }
    match payload["type"].as_str() {
        Some("task_complete" | "turn_complete") => {
            *last = Rollout::Complete(payload["last_agent_message"].as_str().map(str::to_owned));
        }
        Some("task_started" | "turn_started" | "turn_aborted") => *last = Rollout::Open,
        _ => {}
    }
}
