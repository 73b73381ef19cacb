//! Workers of known providers: a program of their name prints a stream, and the run is what that stream says.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::home::{Home, Ran};
use crate::process::{unique_sleep, with_argument};

/// A home whose `PATH` begins with a folder that has this script under this name.
fn home_with(program: &str, script: &str) -> (Home, tempfile::TempDir) {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let file = folder.path().join(program);
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    (Home::new().with("PATH", path), folder)
}

/// A fixture, as a script prints it.
fn printing(name: &str) -> String {
    let path: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "..",
        "crates/engine/tests/fixtures/streams",
        name,
    ]
    .iter()
    .collect();
    let text = std::fs::read_to_string(path).unwrap();
    format!("cat <<'END'\n{}\nEND", text.trim_end())
}

fn run(home: &Home, command: &[&str]) -> Ran {
    home.dormouse(["run", "--agent", "alice", "--"].iter().chain(command))
}

fn only_run(home: &Home) -> Value {
    let id = home.items("runs list")[0]["id"].as_str().unwrap().to_owned();
    home.json(&format!("runs show {id}"))
}

#[test]
fn the_run_of_a_known_program_is_what_its_stream_says() {
    let script = format!("echo \"$@\" >arguments; {}", printing("own/claude_success.jsonl"));
    let (home, _programs) = home_with("claude", &script);
    home.type_line("agent add alice").exits(0);
    home.type_line("budget set alice --usd 1.00 --period day")
        .exits(0);
    run(&home, &["claude", "-p", "count the lines"]).exits(0);
    let run = only_run(&home);
    assert_eq!(
        run["outcome"],
        json!({"kind": "success", "text": "There are 12 lines."}),
        "{run:#}"
    );
    let stream = &run["facts"]["stream"];
    assert_eq!(stream["provider"], "claude", "{run:#}");
    assert_eq!(stream["session"], "5e5510a1-0000-4000-8000-000000000001");
    assert_eq!(stream["used"]["usd_micros"], 12_500);
    assert_eq!(stream["used"]["output"], 127);
    assert_eq!(run["facts"]["segments_completed"], 1);
    // What its form of output, its trust and its session need was added, in front of what was given.
    let arguments = std::fs::read_to_string(home.workspace("alice").join("arguments")).unwrap();
    let id = run["id"].as_str().unwrap().trim_start_matches("run_").to_owned();
    let uuid = format!(
        "{}-{}-{}-{}-{}",
        &id[..8],
        &id[8..12],
        &id[12..16],
        &id[16..20],
        &id[20..]
    );
    assert_eq!(
        arguments.trim(),
        format!(
            "--output-format stream-json --verbose --setting-sources user --strict-mcp-config --session-id {uuid} -p count the lines"
        )
    );
    // What it used is spent.
    let budget = home.json("budget show alice");
    assert_eq!(budget["used"]["usd_micros"], 12_500, "{budget:#}");
    // Its session went with it: a command without stream moves it less.
    let moved = |run: &Value| {
        let id = run["session"].as_str().unwrap();
        home.json(&format!("session show {id}"))["sequence"]
            .as_u64()
            .unwrap()
    };
    let plain = home
        .dormouse(["run", "--agent", "alice", "-o", "json", "--", "true"])
        .json();
    assert!(moved(&run) > moved(&plain) + 2, "{run:#} {plain:#}");
}

#[test]
fn what_a_stream_says_counts_before_the_exit_code() {
    for (program, arguments, fixture, code, expected) in [
        (
            "claude",
            &["-p", "x"][..],
            "own/claude_is_error.jsonl",
            1,
            json!({"kind": "failed", "reason": "auth", "permanent": true}),
        ),
        (
            "claude",
            &["-p", "x"],
            "own/claude_max_turns.jsonl",
            1,
            json!({"kind": "partial", "cause": "max_turns"}),
        ),
        (
            "claude",
            &["-p", "x"],
            "own/claude_success.jsonl",
            3,
            json!({"kind": "success"}),
        ),
        (
            "codex",
            &["exec", "x"],
            "codex-0.169.0/fail500.jsonl",
            1,
            json!({"kind": "failed", "reason": "overloaded", "permanent": false}),
        ),
        (
            "codex",
            &["exec", "x"],
            "codex-0.169.0/sleep_TERM.jsonl",
            0,
            json!({"kind": "failed", "reason": "stream_ended", "permanent": false}),
        ),
        (
            "gemini",
            &["-p", "x"],
            "gemini-0.61.0/shell.stream.jsonl",
            0,
            json!({"kind": "success"}),
        ),
        (
            "opencode",
            &["run", "x"],
            "own/opencode_rejected.jsonl",
            0,
            json!({"kind": "failed", "reason": "permission_denied", "permanent": true}),
        ),
        // Another form of output was asked for: it is a command like any other.
        (
            "claude",
            &["-p", "x", "--output-format", "text"],
            "own/claude_is_error.jsonl",
            0,
            json!({"kind": "success"}),
        ),
    ] {
        let (home, _programs) = home_with(program, &format!("{}\nexit {code}", printing(fixture)));
        let command: Vec<_> = std::iter::once(program)
            .chain(arguments.iter().copied())
            .collect();
        let ran = run(&home, &command);
        let run = only_run(&home);
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(
                run["outcome"][field], *value,
                "{program} {fixture} {code}: {run:#}\n{ran:?}"
            );
        }
        let shown = home.json(&format!("session show {}", run["session"].as_str().unwrap()));
        if run["outcome"]["reason"] == "auth" {
            assert_eq!(shown["last_error"]["reason"], "auth", "{shown:#}");
        }
        let is_mismatch = run["facts"]["stream"]["exit_mismatch"].as_bool().unwrap_or(false);
        assert_eq!(
            is_mismatch,
            code != 0 && run["outcome"]["kind"] != "failed",
            "{run:#}"
        );
    }
}

#[test]
fn a_program_that_is_not_there_is_said_with_what_to_do() {
    let home = Home::new().with("PATH", "/usr/bin:/bin");
    for (command, hint) in [
        (
            &["claude", "-p", "x"][..],
            "npm install -g @anthropic-ai/claude-code",
        ),
        (&["codex", "exec", "x"], "npm install -g @openai/codex"),
        (&["gemini", "-p", "x"], "npm install -g @google/gemini-cli"),
        (&["opencode", "run", "x"], "npm install -g opencode-ai"),
    ] {
        let ran = run(&home, command);
        ran.exits(1);
        let of = |label: &str| {
            let line = ran.stderr.lines().find(|line| line.starts_with(label));
            line.unwrap_or_else(|| panic!("no {label}: {ran:?}")).to_owned()
        };
        assert!(
            of("error: ").ends_with("was not found on the worker's PATH (/usr/bin, /bin)"),
            "{ran:?}"
        );
        assert!(of("hint: ").contains(hint), "{ran:?}");
    }
}

/// A fake codex whose stream is cut after its thread, with a rollout of these lines and bytes.
fn cut_codex(rollout: &str, more: &str) -> Value {
    let script = format!(
        "d=$HOME/.codex/sessions/2026/11/20; mkdir -p $d; f=$d/rollout-2026-11-20T17-20-20-t1.jsonl; cat >$f <<'END'\n{rollout}\nEND\n{more}\n\
         echo '{{\"type\":\"thread.started\",\"thread_id\":\"t1\"}}'; echo '{{\"type\":\"turn.started\"}}'; exit 1"
    );
    let (home, _programs) = home_with("codex", &script);
    run(&home, &["codex", "exec", "x"]);
    only_run(&home)
}

/// WK-38: a stream that was cut is done where the provider's log says so; a log that is too large is said, and is none.
#[test]
fn a_cut_codex_stream_is_done_by_its_rollout() {
    let meta = r#"{"type":"session_meta","payload":{"id":"t1"}}"#;
    let complete = format!(
        "{meta}\n{}\n{}",
        r#"{"type":"event_msg","payload":{"type":"task_started"}}"#,
        r#"{"type":"event_msg","payload":{"type":"task_complete","last_agent_message":"all is done"}}"#
    );
    let run = cut_codex(&complete, "");
    assert_eq!(
        run["outcome"],
        json!({"kind": "success", "text": "all is done"}),
        "{run:#}"
    );
    let run = cut_codex(meta, "");
    assert_eq!(run["outcome"]["reason"], "stream_ended", "{run:#}");
    // No byte of it is on the disk.
    let run = cut_codex(&complete, "truncate -s 501M $f");
    assert_eq!(run["outcome"]["reason"], "stream_ended", "{run:#}");
    let warnings = run["facts"]["stream"]["warnings"].as_array().unwrap();
    assert!(
        warnings.iter().any(|warning| warning == "rollout_too_large"),
        "{run:#}"
    );
}

#[test]
fn a_stream_that_goes_over_a_limit_is_stopped_and_what_it_said_is_a_part() {
    let script = r#"
        echo '{"type":"step_start","timestamp":1,"sessionID":"ses_1","part":{"id":"p0","type":"step-start"}}'
        [ "$2" = silent ] || echo '{"type":"text","timestamp":1,"sessionID":"ses_1","part":{"id":"p1","type":"text","text":"half of it"}}'
        echo '{"type":"step_finish","timestamp":1,"sessionID":"ses_1","part":{"id":"p2","reason":"tool-calls","type":"step-finish","tokens":{"input":100,"output":10,"reasoning":0,"cache":{"write":0,"read":0}},"cost":5}}'
        exec sleep 300"#;
    let (home, _programs) = home_with("opencode", script);
    home.type_line("agent add alice").exits(0);
    home.type_line("budget set alice --usd 1.00 --period day")
        .exits(0);
    run(&home, &["opencode", "run", "x"]).exits(10);
    let run = only_run(&home);
    let expected = json!({"kind": "partial", "cause": "max_budget", "text": "half of it"});
    assert_eq!(run["outcome"], expected, "{run:#}");
    assert_eq!(home.json("budget show alice")["used"]["usd_micros"], 5_000_000);
}

#[test]
fn what_a_resumed_thread_had_used_before_is_not_counted_again() {
    let script = r#"
        echo '{"type":"thread.started","thread_id":"t1"}'; echo '{"type":"turn.started"}'
        echo '{"type":"item.completed","item":{"id":"item_0","type":"agent_message","text":"hello"}}'
        case "$*" in *resume*) n=3600;; *) n=2400;; esac
        echo '{"type":"turn.completed","usage":{"input_tokens":'$n',"cached_input_tokens":0,"output_tokens":'$n'}}'"#;
    let (home, _programs) = home_with("codex", script);
    home.type_line("agent add alice").exits(0);
    for (command, input) in [
        (&["codex", "exec", "x"][..], 2400),
        (&["codex", "exec", "resume", "t1", "x"], 1200),
        // It shows what it showed.
        (&["codex", "exec", "resume", "--last", "x"], 0),
    ] {
        run(&home, command).exits(0);
        let run = only_run(&home);
        assert_eq!(run["facts"]["stream"]["used"]["input"], input, "{run:#}");
    }
}

/// A claude whose first process defers a call, with what its resumed one does, and what another one behind that. How often it
/// was started, and by how many processes the run was carried from there to its end.
fn deferred(resumed: &str, anew: &str) -> (usize, u64) {
    let defers = r#"echo '{"type":"assistant","message":{"id":"a","role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"rm x"}}]},"session_id":"s"}'
            echo '{"type":"result","subtype":"success","is_error":false,"result":"","stop_reason":"tool_deferred","session_id":"s","total_cost_usd":0}'"#;
    let init = r#"echo '{"type":"system","subtype":"init","session_id":"s","model":"m","claude_code_version":"2.1.0"}'"#;
    let sleep = unique_sleep();
    // What it leaves in the background is gone with it.
    let script = format!(
        "echo \"$*\" >>arguments\ncase \"$*\" in\n*--resume*)\n{resumed} ;;\n*)\n{init}\nif [ -e began ]; then\n{anew}\nelse touch began\nsetsid sleep {sleep} >/dev/null 2>&1 &\n{defers}\nfi ;;\nesac"
    );
    let (home, _programs) = home_with("claude", &script);
    home.type_line("agent add alice").exits(0);
    run(&home, &["claude", "-p", "x"]).exits(5);
    let parked = only_run(&home);
    assert_eq!(parked["state"], "waiting", "{parked:#}");
    assert_eq!(with_argument(&sleep), Vec::<u32>::new(), "it is parked");
    let [gate] = home.items("gate list").try_into().unwrap();
    let gate = gate["id"].as_str().unwrap();
    let shown = home.type_line(&format!("gate show {gate}"));
    assert!(shown.stdout.contains("rm x"), "{shown:?}");
    home.type_line(&format!("gate approve {gate} --yes")).exits(0);
    let task = parked["task"].as_str().unwrap();
    home.type_line(&format!("run {task}")).exits(0);
    let run = only_run(&home);
    assert_eq!(run["id"], parked["id"], "the same run goes on");
    assert_eq!(
        run["outcome"],
        json!({"kind": "success", "text": "It is gone."}),
        "{run:#}"
    );
    let arguments = std::fs::read_to_string(home.workspace("alice").join("arguments")).unwrap();
    let lines: Vec<_> = arguments.lines().collect();
    assert!(lines[0].contains("--session-id"), "{arguments}");
    assert!(lines[1].contains("--resume"), "{arguments}");
    (lines.len(), run["facts"]["spawns"].as_u64().unwrap())
}

/// WK-40
#[test]
fn a_call_that_is_deferred_parks_the_run_and_it_goes_on_once_it_is_decided() {
    let goes_on = r#"echo '{"type":"assistant","message":{"id":"b","role":"assistant","content":[{"type":"text","text":"It is gone."}]},"session_id":"s"}'
            echo '{"type":"result","subtype":"success","is_error":false,"result":"It is gone.","stop_reason":"end_turn","session_id":"s","total_cost_usd":0}'"#;
    assert_eq!(deferred(goes_on, ":"), (2, 1), "its session is resumed");
    // A session that is not resumed: once without, in the same run.
    for refused in [
        "echo 'No conversation found' >&2; exit 1",
        r#"echo '{"type":"result","subtype":"error_during_execution","is_error":true,"errors":["No conversation found"],"session_id":"s","total_cost_usd":0}'; exit 1"#,
    ] {
        assert_eq!(deferred(refused, goes_on), (3, 2), "{refused}");
    }
}
