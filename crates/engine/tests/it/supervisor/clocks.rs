//! Clocks that run out over real processes: what was there is kept, and nothing lives on.

use dormouse_engine::command::Timer;
use dormouse_engine::wake::Wake;
use dormouse_filesystem::Records;

use super::streams::Programs;
use super::*;

/// What an end may take beyond clock and grace.
const END_MAX: SignedDuration = SignedDuration::from_secs(5);

/// WK-15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_ran_out_ends_the_tree_in_time_and_keeps_what_there_was() {
    const WALL_MS: u64 = 5_000;
    const GRACE_MS: u64 = 500;
    let mark = unique_sleep();
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
        wall_clock_ms: Some(WALL_MS),
        grace_ms: Some(GRACE_MS),
        ..CommandSpec::new(["opencode", "run", "list"].map(str::to_owned).to_vec())
    };
    let row = house.run(command).await;
    assert_eq!(outcome(&row), wall_timeout(WALL_MS));
    assert!(!is_running(&mark), "something of it lives");
    let took = row
        .outcome
        .as_ref()
        .unwrap()
        .ended_at
        .duration_since(row.run.started_at);
    let most = SignedDuration::from_millis((WALL_MS + GRACE_MS) as i64) + END_MAX;
    assert!(took <= most, "{took}");
    let facts = facts(&row);
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

/// Whether the session of a run was told this.
async fn was_told(house: &House, kind: &str) -> bool {
    house.event_types().await.iter().any(|told| told == kind)
}

/// Clocks of a worker that says nothing.
fn silent(command: CommandSpec) -> CommandSpec {
    CommandSpec {
        idle_timeout_ms: Some(Timer::After(4_000)),
        stall_after_ms: Some(Timer::After(2_000)),
        ..command
    }
}

/// WK-19
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_with_work_is_none_and_keep_alives_or_a_wedged_call_are_silence() {
    let idle = Outcome::Timeout {
        clock: ClockKind::Idle,
        limit_ms: 4_000,
    };
    // As much of a core as there is, and not a word.
    let bed_of_work = bed();
    let house = bed_of_work.open_with_alice().await;
    let works = "end=$(($(date +%s) + 7)); while [ $(date +%s) -lt $end ]; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; done";
    let row = house.run(silent(sh(works))).await;
    assert!(matches!(outcome(&row), Outcome::Success { .. }), "{row:?}");
    assert!(!was_told(&house, "session.stalled").await);

    // A call that was begun, and then nothing; with and without word that it takes long.
    let stream = include_str!("../../fixtures/streams/own/claude_success.jsonl");
    let begun: Vec<&str> = stream
        .lines()
        .take_while(|line| !line.contains("tool_progress"))
        .collect();
    let notice = stream
        .lines()
        .find(|line| line.contains("tool_progress"))
        .unwrap();
    let begun = begun.join("\n");
    let keeps_on =
        format!("while :; do echo '{notice}'; echo '{{\"type\":\"keep_alive\"}}'; sleep 0.7; done");
    for rest in [keeps_on.as_str(), "sleep 60"] {
        let script = format!("cat <<'END'\n{begun}\nEND\n{rest}");
        let programs = Programs::with("claude", &script);
        let bed = bed();
        let house = programs.first(&bed, bed.open_with_alice().await);
        let command = CommandSpec {
            grace_ms: Some(500),
            ..CommandSpec::new(["claude", "-p", "count"].map(str::to_owned).to_vec())
        };
        let row = house.run(silent(command)).await;
        assert_eq!(outcome(&row), idle, "{rest}");
        assert!(was_told(&house, "session.stalled").await, "{rest}");
    }

    // Silence that ends: the session hears that it goes on.
    let house = bed().open_with_alice().await;
    let run = house
        .begin(silent(sh("echo up; sleep 3; echo again; sleep 60")))
        .await;
    house.printed(run, "again").await;
    let session = house.tenant.runs.get(run).await.unwrap().run.session.unwrap();
    // What a session does within a turn is saved once in a second.
    until("it is told as stalled", async || {
        was_told(&house, "session.stalled").await
    })
    .await;
    // It is told behind what is printed.
    until("it goes on", async || {
        let row = house.tenant.sessions.require(session).await.unwrap();
        !row.state.stalled
    })
    .await;
    house.supervisor.kill_all();
    house.supervisor.wait(run).await;
}

/// An idle clock that is off stays off when its command is read again.
#[test]
fn an_idle_clock_that_is_off_is_off_when_it_is_read_again() {
    let off = CommandSpec {
        idle_timeout_ms: Some(Timer::Off),
        stall_after_ms: Some(Timer::Off),
        ..sh("true")
    };
    let kept = serde_json::to_string(&off).unwrap();
    assert_eq!(serde_json::from_str::<CommandSpec>(&kept).unwrap(), off);
}
