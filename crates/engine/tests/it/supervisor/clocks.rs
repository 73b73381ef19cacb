//! Clocks that run out over real processes: what was there is kept, and nothing lives on.

use dormouse_engine::wake::Wake;
use dormouse_filesystem::Records;

use super::streams::{Programs, facts_of};
use super::*;

/// What an end may take beyond clock and grace.
const END_MAX: SignedDuration = SignedDuration::from_secs(5);

/// WK-15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_ran_out_ends_the_tree_in_time_and_keeps_what_there_was() {
    const WALL_MS: u64 = 2_000;
    const GRACE_MS: u64 = 500;
    let mark = format!("34{}.5", std::process::id());
    let shell = include_str!("../../fixtures/streams/opencode-1.18.33/shell.jsonl");
    // All but its last step: it goes on working.
    let steps = shell.lines().take_while(|line| !line.contains("\"stop\""));
    let stream = steps.collect::<Vec<_>>().join("\n");
    let script = format!(
        "trap '' TERM; cat <<'END'\n{stream}\nEND\nsetsid sleep {mark} & sleep {mark} & while :; do sleep {mark}; done"
    );
    let programs = Programs::with("opencode", &script);
    let bed = bed();
    let house = programs.first(&bed, bed.open_with_alice().await);
    let command = CommandSpec {
        wall_clock_ms: WALL_MS,
        grace_ms: GRACE_MS,
        ..CommandSpec::new(["opencode", "run", "list"].map(str::to_owned).to_vec())
    };
    let row = house.run(command).await;
    assert!(
        matches!(
            outcome(&row),
            Outcome::Timeout {
                clock: ClockKind::Wall,
                limit_ms: WALL_MS
            }
        ),
        "{row:?}"
    );
    assert!(!is_running(&mark), "something of it lives");
    let took = row.outcome.as_ref().unwrap().ended_at.duration_since(row.run.started_at);
    let most = SignedDuration::from_millis((WALL_MS + GRACE_MS) as i64) + END_MAX;
    assert!(took <= most, "{took}");
    let facts = facts_of(&row);
    assert!(facts.segments_completed > 0, "{facts:?}");
    let heard = facts.stream.unwrap();
    assert!(heard.used.input + heard.used.output > 0, "{heard:?}");
    let transcript = house.transcript(row.run.id).await;
    assert_eq!(transcript.trim_end(), stream);
    // Not requeued: it is over, and nobody is to look at its agent again.
    assert!(matches!(house.task_state(&row).await, TaskState::Failed { .. }));
    let wake = Records::<Wake>::new(house.tenant.space());
    let wake = wake.get(&alice()).await.unwrap();
    assert!(wake.is_none_or(|wake| wake.rings == 1), "only its making rang");
    assert!(heard.text.is_some(), "its last words are kept: {heard:?}");
}
