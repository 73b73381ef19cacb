//! Every recorded and hand-written stream, and the events it is read as.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{fixtures, outcome, play_fixture};

/// WK-30: every stream is read as its golden events, and every kind of event occurs in one.
#[test]
fn every_stream_is_read_as_its_golden_events() {
    let mut kinds = BTreeSet::new();
    for name in fixtures() {
        let played = play_fixture(&name, 0);
        let mut found = String::new();
        for event in &played.events {
            let event = serde_json::to_value(event).unwrap();
            kinds.insert(event["event"].as_str().unwrap().to_owned());
            writeln!(found, "{event}").unwrap();
        }
        writeln!(found, "{}", summary(&played)).unwrap();
        check(&name, &found);
    }
    let all = [
        "bound",
        "turn_started",
        "turn_finished",
        "message",
        "thought",
        "tool_started",
        "tool_progress",
        "tool_finished",
        "file_changed",
        "plan",
        "gate_requested",
        "gate_withdrawn",
        "denied",
        "usage",
        "rate_limited",
        "retrying",
        "compaction",
        "subagent",
        "warning",
        "unknown",
        "stream_ended",
    ];
    assert_eq!(
        kinds.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        BTreeSet::from(all)
    );
}

fn summary(played: &super::Played) -> Value {
    let stream = &played.stream;
    json!({
        "outcome": outcome(played),
        "external_id": stream.external_id(),
        "used": stream.used(),
        "denials": stream.denials(),
        "unknown": stream.unknown(),
    })
}

fn check(name: &str, found: &str) {
    let root: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", "streams"]
        .iter()
        .collect();
    let path = root.join(name.replace('/', "."));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == found,
        "{name} is read otherwise; UPDATE_GOLDEN=1 writes it anew\n\n{found}"
    );
}
