//! What is said to a worker while it works.

use dormouse_engine::command::{Stdin, WrapUp};
use dormouse_engine::outcome::BlockReason;
use dormouse_engine::run::SendError;

use super::streams::Programs;
use super::*;

/// Keeps each line that it is told in `said`, and waits in its first turn until `go` is there.
const HEAR: &str = r#"
    hear() { IFS= read -r line || { echo end >>said; exit 0; }; printf '%s\n' "$line" >>said; }
    turn() { n=$((n+1)); if [ $n = 1 ]; then while [ ! -e go ]; do sleep 0.02; done; fi; }
    n=0
"#;
const CODEX: &str = r#"
    hear; echo '{"id":0,"result":{}}'; hear; hear
    echo '{"id":1,"result":{"thread":{"id":"t1"}}}'
    while :; do
        hear; echo '{"method":"turn/started","params":{"turn":{"id":"u"}}}'; turn
        echo '{"method":"item/completed","params":{"item":{"type":"agentMessage","id":"m","text":"answer '$n'"}}}'
        echo '{"method":"turn/completed","params":{"turn":{"id":"u","status":"completed"}}}'
    done
"#;
const ACP: &str = r#"
    hear; echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":1}}'
    hear; echo '{"jsonrpc":"2.0","id":1,"result":{"sessionId":"s1"}}'
    while :; do
        hear; turn
        echo '{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s1","update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"answer '$n'"}}}}'
        echo '{"jsonrpc":"2.0","id":'$((n+1))',"result":{"stopReason":"end_turn"}}'
    done
"#;
const CLAUDE: &str = r#"
    while :; do
        hear; echo '{"type":"system","subtype":"init","session_id":"s","model":"m"}'; turn
        echo '{"type":"result","subtype":"success","is_error":false,"result":"answer '$n'","stop_reason":"end_turn","session_id":"s","total_cost_usd":0}'
    done
"#;

/// Who is told something, and where a line of it has the words.
const SPOKEN_TO: [(&str, &[&str], &str, &str); 3] = [
    ("codex", &["codex", "app-server"], CODEX, "/params/input/0/text"),
    ("sheep-acp", &["sheep-acp"], ACP, "/params/prompt/0/text"),
    ("claude", &["claude", "-p"], CLAUDE, "/message/content/0/text"),
];

fn streamed(argv: &[&str]) -> CommandSpec {
    CommandSpec {
        stdin: Stdin::Stream,
        grace_ms: Some(500),
        ..CommandSpec::new(argv.iter().map(|word| (*word).to_owned()).collect())
    }
}

fn workspace(bed: &Bed) -> std::path::PathBuf {
    bed.folder().join("workspaces/default/alice")
}

/// The lines that the worker was told.
fn told(bed: &Bed) -> Vec<String> {
    let text = std::fs::read_to_string(workspace(bed).join("said")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The words of those, at this place of each that is JSON.
fn words(bed: &Bed, at: &str) -> Vec<String> {
    let of = |line: String| {
        let line: serde_json::Value = serde_json::from_str(&line).ok()?;
        line.pointer(at)?.as_str().map(str::to_owned)
    };
    told(bed).into_iter().filter_map(of).collect()
}

impl House {
    /// Begins the work on a task with these words.
    async fn begin_saying(&self, command: CommandSpec, words: &str) -> RunId {
        let task = NewTask {
            command: Some(command),
            body: words.to_owned(),
            ..NewTask::new(alice(), "a task")
        };
        let task = self.tenant.tasks.create(&operator(), task).await.unwrap();
        let started = self.supervisor.start(&self.tenant, &operator(), task.id).await;
        started.unwrap()
    }

    async fn send(&self, run: RunId, text: &str) -> Result<(), SendError> {
        self.supervisor.send(&self.tenant, run, text).await
    }
}

/// WK-14
#[tokio::test]
async fn who_takes_no_words_says_so_and_a_full_queue_and_an_ended_run_too_and_else_they_come_in_order() {
    // Kinds without.
    for (program, argv, kind) in [
        ("codex", &["codex", "exec", "x"][..], "codex"),
        ("gemini", &["gemini", "-p", "x"], "gemini"),
        ("opencode", &["opencode", "run", "x"], "opencode"),
        ("claude", &["claude", "-p", "x"], "claude"),
        ("sh", &["sh", "-c", "echo up; sleep 60"], "exec"),
    ] {
        let programs = Programs::with(program, "echo up; exec sleep 60");
        let bed = bed();
        let house = programs.first(&bed, bed.open_with_alice().await);
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let run = house.begin(CommandSpec::new(argv)).await;
        house.printed(run, "up").await;
        let refused = house.send(run, "more").await;
        let is_its = matches!(refused, Err(SendError::Unsupported { kind: found, .. }) if found == kind);
        assert!(is_its, "{kind}: {refused:?}");
        house.supervisor.kill(run);
        house.ended(run).await;
    }
    for (program, argv, script, at) in SPOKEN_TO {
        let programs = Programs::with(program, &format!("{HEAR}{script}"));
        let bed = bed();
        let house = programs.first(&bed, bed.open_with_alice().await);
        let run = house.begin_saying(streamed(argv), "the first").await;
        until("it is in its turn", async || words(&bed, at) == ["the first"]).await;
        for number in 1..=16 {
            house.send(run, &format!("text {number}")).await.unwrap();
        }
        let other = house.engine.tenant(&"other".parse().unwrap()).await.unwrap();
        let foreign = house.supervisor.send(&other, run, "a word").await;
        let is_hidden = matches!(foreign, Err(SendError::Command(CommandError::NotFound { .. })));
        assert!(is_hidden, "another tenant has no such run: {foreign:?}");
        let full = house.send(run, "one more").await;
        assert!(
            matches!(full, Err(SendError::QueueFull { max: 16 })),
            "{program}: {full:?}"
        );
        std::fs::write(workspace(&bed).join("go"), "").unwrap();
        let row = house.ended(run).await;
        let Outcome::Success { text: Some(text) } = outcome(&row) else {
            panic!("{program}: {row:?}")
        };
        assert_eq!(text.as_str(), "answer 17", "{program}");
        let expected: Vec<String> = std::iter::once("the first".to_owned())
            .chain((1..=16).map(|number| format!("text {number}")))
            .collect();
        assert_eq!(words(&bed, at), expected, "{program}");
        let Err(SendError::Ended { outcome: how }) = house.send(run, "too late").await else {
            panic!("{program}: it has ended")
        };
        assert_eq!(*how, outcome(&row), "{program}");
    }
}

#[tokio::test]
async fn a_script_whose_input_is_a_stream_reads_a_line_a_text_until_it_leaves() {
    let bed = bed();
    let house = bed.open_with_alice().await;
    let script = "echo up; while IFS= read -r line; do echo \"heard $line\"; [ \"$line\" = leave ] && exit 0; done; exit 3";
    let run = house.begin_saying(streamed(&["sh", "-c", script]), "begin").await;
    house.printed(run, "heard begin").await;
    for text in ["one", "two", "leave"] {
        house.send(run, text).await.unwrap();
    }
    let row = house.ended(run).await;
    assert!(matches!(outcome(&row), Outcome::Success { .. }), "{row:?}");
    let text = house.transcript(run).await;
    assert_eq!(text, "up\nheard begin\nheard one\nheard two\nheard leave\n");
    // One that reads nothing: what waits has its bound.
    let run = house
        .begin_saying(streamed(&["sh", "-c", "echo up; sleep 60"]), "")
        .await;
    house.printed(run, "up").await;
    let long = "x".repeat(100_000);
    let mut accepted = 0;
    let refused = loop {
        match house.send(run, &long).await {
            Ok(()) => accepted += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, SendError::QueueFull { max: 16 }), "{refused:?}");
    // One is being written, or is about to be.
    assert!((16..=17).contains(&accepted), "{accepted} are accepted");
    house.supervisor.kill(run);
    house.ended(run).await;
}

#[tokio::test]
async fn a_stream_that_is_cut_in_a_further_turn_is_cut_though_a_turn_was_done_before() {
    for (program, argv, script, at) in SPOKEN_TO {
        // It leaves when it is told more.
        let script = script.replace("turn\n", "turn; [ $n = 1 ] || exit 0\n");
        let programs = Programs::with(program, &format!("{HEAR}{script}"));
        let bed = bed();
        let house = programs.first(&bed, bed.open_with_alice().await);
        let run = house.begin_saying(streamed(argv), "the first").await;
        until("it is in its turn", async || words(&bed, at).len() == 1).await;
        house.send(run, "more").await.unwrap();
        std::fs::write(workspace(&bed).join("go"), "").unwrap();
        let row = house.ended(run).await;
        let Outcome::Failed { reason, .. } = outcome(&row) else {
            panic!("{program}: {row:?}")
        };
        assert_eq!(reason, FailReason::StreamEnded, "{program}: {row:?}");
    }
}

/// WK-25, with `a_block_decides_whatever_else_the_worker_says`, which is about segments, and
/// `no_text_of_a_report_has_a_value`.
#[tokio::test]
async fn a_block_in_a_further_turn_decides_though_it_is_answered_all_the_same() {
    let block =
        r#"{"block":{"reason":"login_wall","url":"https://me:word@a.example/x","detail":"second turn"}}"#;
    let call = r#"{"type":"assistant","message":{"id":"a","role":"assistant","content":[{"type":"tool_use","id":"c","name":"Fetch","input":{}}]},"session_id":"s"}"#;
    let result = r#"{"type":"user","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"a page"}]},"session_id":"s"}"#;
    // Stopped when its call has ended; and one that makes none answers first.
    for met in [
        format!("echo '{block}' >&3; sleep 0.3; echo '{call}'; echo '{result}'"),
        format!("echo '{block}' >&3"),
    ] {
        let script = CLAUDE.replace("turn\n", &format!("turn; [ $n = 1 ] || {{ {met}; }}\n"));
        let programs = Programs::with("claude", &format!("{HEAR}{script}"));
        let bed = bed();
        let house = programs.first(&bed, bed.open_with_alice().await);
        let run = house.begin_saying(streamed(&["claude", "-p"]), "the first").await;
        until("it is in its turn", async || told(&bed).len() == 1).await;
        house.send(run, "more").await.unwrap();
        std::fs::write(workspace(&bed).join("go"), "").unwrap();
        let row = house.ended(run).await;
        let Outcome::Blocked { reason, evidence } = outcome(&row) else {
            panic!("{row:?}")
        };
        assert_eq!(reason, BlockReason::LoginWall);
        let evidence = evidence.unwrap();
        assert_eq!(evidence.url.unwrap().as_str(), "https://a.example/x");
        assert_eq!(evidence.detail.unwrap().as_str(), "second turn");
        assert!(matches!(house.task_state(&row).await, TaskState::Failed { .. }));
        let failed = house
            .event_types()
            .await
            .into_iter()
            .filter(|kind| kind == "task.failed");
        assert_eq!(failed.count(), 1);
    }
}

#[tokio::test]
async fn before_its_time_is_over_a_worker_is_told_to_come_to_an_end() {
    let bed = bed();
    let house = bed.open_with_alice().await;
    let script = "echo up; IFS= read -r first; IFS= read -r line; echo \"told $line\"";
    let command = CommandSpec {
        wall_clock_ms: Some(61_000),
        wrap_up: Some(WrapUp {
            text: "come to an end".to_owned(),
            before_ms: 60_000,
        }),
        ..streamed(&["sh", "-c", script])
    };
    let run = house.begin(command.clone()).await;
    let row = house.ended(run).await;
    assert!(matches!(outcome(&row), Outcome::Success { .. }), "{row:?}");
    assert_eq!(house.transcript(run).await, "up\ntold come to an end\n");
    assert!(facts(&row).clock_ms >= 1_000, "not before: {row:?}");
    // Who takes no words is refused before anything runs; and so is what is never said.
    let null = CommandSpec {
        stdin: Stdin::Null,
        ..command.clone()
    };
    let late = CommandSpec {
        wall_clock_ms: Some(60_000),
        ..command
    };
    let codex = streamed(&["codex", "exec", "x"]);
    for (refused, says) in [
        (null, "exec takes no further words"),
        (late, "wrap_up.before_ms"),
        (codex, "codex takes no further words"),
    ] {
        let error = refused.validate().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
