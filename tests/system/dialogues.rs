//! Providers that are spoken to, against scripted peers: what they ask is a gate, and what a person says is their answer.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::home::{Home, Ran, Running};
use crate::wait::until;

/// A home with words to say, and a program of this name that keeps what it is told in `said`.
fn home_with(program: &str, script: &str) -> (Home, tempfile::TempDir) {
    peer_in(Home::new(), program, script)
}

/// The same in this home.
pub(crate) fn peer_in(home: Home, program: &str, script: &str) -> (Home, tempfile::TempDir) {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let file = folder.path().join(program);
    let hear =
        r#"hear() { IFS= read -r line || { echo end >>said; exit 9; }; printf '%s\n' "$line" >>said; }"#;
    std::fs::write(&file, format!("#!/bin/sh\n{hear}\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    std::fs::write(folder.path().join("words"), "count the sheep").unwrap();
    let home = home.with("PATH", path);
    home.type_line("agent add alice").exits(0);
    (home, folder)
}

fn line<'a>(programs: &'a tempfile::TempDir, on_gate: &'a str, command: &[&'a str]) -> Vec<String> {
    let words = programs.path().join("words");
    let words = words.to_str().unwrap();
    let head = [
        "run",
        "--agent",
        "alice",
        "--on-gate",
        on_gate,
        "--stdin",
        words,
        "--",
    ];
    head.iter()
        .chain(command)
        .map(|word| (*word).to_owned())
        .collect()
}

/// What the peer was told.
pub(crate) fn said(home: &Home) -> Vec<Value> {
    let text = std::fs::read_to_string(home.workspace("alice").join("said")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| json!(line)))
        .collect()
}

/// The answer to the peer's request of this id.
fn answer(home: &Home, id: u64) -> Option<Value> {
    let told = said(home).into_iter();
    let mut answers = told.filter(|line| line.get("method").is_none() && line["id"] == id);
    answers.next_back().map(|line| line["result"].clone())
}

fn only_run(home: &Home) -> Value {
    let id = home.items("runs list")[0]["id"].as_str().unwrap().to_owned();
    home.json(&format!("runs show {id}"))
}

/// The one gate that is pending, once there is one.
fn gate(home: &Home) -> String {
    until("somebody is asked", || match home.items("gate list").as_slice() {
        [gate] => gate["id"].as_str().map(str::to_owned),
        _ => None,
    })
}

pub(crate) fn decide(home: &Home, verb: &str) {
    let gate = gate(home);
    home.type_line(&format!("gate {verb} {gate} --yes")).exits(0);
}

fn start(home: &Home, programs: &tempfile::TempDir, on_gate: &str, command: &[&str]) -> Running {
    home.start(line(programs, on_gate, command))
}

fn run(home: &Home, programs: &tempfile::TempDir, on_gate: &str, command: &[&str]) -> Ran {
    home.dormouse(line(programs, on_gate, command))
}

/// An app-server that asks before its command, and says what it was answered.
const CODEX: &str = r#"
    turn=2
    hear; echo '{"id":0,"result":{}}'; hear; hear
    echo '{"id":1,"result":{"thread":{"id":"t1","cliVersion":"0.169.0"}}}'
    hear; echo '{"id":'$turn',"result":{"turn":{"id":"u1"}}}'
    echo '{"method":"turn/started","params":{"turn":{"id":"u1"}}}'
    echo '{"method":"item/started","params":{"item":{"type":"commandExecution","id":"c0","command":"rm -rf x","status":"inProgress"}}}'
    echo '{"id":0,"method":"item/commandExecution/requestApproval","params":{"itemId":"c0","command":"rm -rf x","cwd":"/w","availableDecisions":["accept","acceptForSession","decline","cancel"]}}'
    hear
    case "$line" in
    *turn/interrupt*|*cancel*)
        hear
        echo '{"method":"turn/completed","params":{"turn":{"id":"u1","status":"interrupted"}}}' ;;
    *)
        echo '{"method":"item/completed","params":{"item":{"type":"agentMessage","id":"m1","text":"the sheep are counted"}}}'
        echo '{"method":"turn/completed","params":{"turn":{"id":"u1","status":"completed"}}}' ;;
    esac
    hear
"#;
const APP_SERVER: &[&str] = &["codex", "app-server"];

#[test]
fn a_permission_of_the_app_server_is_a_gate_and_its_answer_the_decision() {
    for (verb, decision) in [("approve", "accept"), ("reject", "decline")] {
        let (home, programs) = home_with("codex", CODEX);
        let running = start(&home, &programs, "wait", APP_SERVER);
        decide(&home, verb);
        assert_eq!(running.wait(), Some(0));
        assert_eq!(answer(&home, 0), Some(json!({ "decision": decision })));
        let run = only_run(&home);
        let outcome = json!({ "kind": "success", "text": "the sheep are counted" });
        assert_eq!(run["outcome"], outcome, "{run:#}");
        assert_eq!(run["facts"]["stream"]["provider"], "codex_app_server");
        assert_eq!(run["facts"]["stream"]["session"], "t1");
        let told = said(&home);
        let methods: Vec<_> = told.iter().filter_map(|line| line["method"].as_str()).collect();
        assert_eq!(
            methods,
            ["initialize", "initialized", "thread/start", "turn/start"]
        );
        assert_eq!(told[3]["params"]["input"][0]["text"], "count the sheep");
        assert_eq!(told[2]["params"]["approvalPolicy"], "untrusted");
        assert_eq!(
            told.last(),
            Some(&json!("end")),
            "its input is closed behind the turn"
        );
    }
}

#[test]
fn a_run_that_rejects_answers_at_once() {
    let (home, programs) = home_with("codex", CODEX);
    run(&home, &programs, "reject", APP_SERVER).exits(0);
    assert_eq!(answer(&home, 0), Some(json!({ "decision": "decline" })));
}

#[test]
fn a_dialogue_that_parks_goes_on_with_its_thread_and_one_that_is_refused_it_begins_anew_once() {
    for (resumed, methods) in [
        (
            r#"echo '{"id":1,"result":{"thread":{"id":"t1"}}}'"#,
            &["initialize", "initialized", "thread/resume", "turn/start"][..],
        ),
        (
            r#"echo '{"id":1,"error":{"code":-1,"message":"no such thread"}}'; turn=3; hear; echo '{"id":2,"result":{"thread":{"id":"t2"}}}'"#,
            &[
                "initialize",
                "initialized",
                "thread/resume",
                "thread/start",
                "turn/start",
            ],
        ),
    ] {
        // Behind the start of its thread the two differ: the second time it is resumed.
        let start = r#"echo '{"id":1,"result":{"thread":{"id":"t1","cliVersion":"0.169.0"}}}'"#;
        assert!(CODEX.contains(start));
        let again = format!("if [ -e began ]; then {resumed}; else touch began; {start}; fi");
        let script = CODEX.replace(start, &again);
        let (home, programs) = home_with("codex", &script);
        run(&home, &programs, "park", APP_SERVER).exits(5);
        assert_eq!(answer(&home, 0), None, "nothing was answered");
        let first = said(&home).len();
        decide(&home, "approve");
        let task = only_run(&home)["task"].as_str().unwrap().to_owned();
        home.type_line(&format!("run {task}")).exits(0);
        let told = said(&home);
        let told = &told[first..];
        let found: Vec<_> = told.iter().filter_map(|line| line["method"].as_str()).collect();
        assert_eq!(found, methods);
        assert_eq!(told[2]["params"]["threadId"], "t1");
        assert_eq!(told[2]["params"]["approvalPolicy"], "untrusted", "never laxer");
        assert_eq!(answer(&home, 0), Some(json!({ "decision": "accept" })));
        assert_eq!(home.items("runs list").len(), 1, "the same run goes on");
        assert_eq!(only_run(&home)["outcome"]["kind"], "success");
    }
}

#[test]
fn a_run_that_is_called_off_calls_the_turn_off_first() {
    let (home, programs) = home_with("codex", &format!("trap 'echo term >>said' TERM\n{CODEX}"));
    let running = start(&home, &programs, "wait", APP_SERVER);
    gate(&home);
    running.signal(Signal::INT);
    assert_eq!(running.wait(), Some(130));
    let told = said(&home);
    assert_eq!(answer(&home, 0), Some(json!({ "decision": "cancel" })));
    let interrupt = told
        .iter()
        .find(|line| line["method"] == "turn/interrupt")
        .unwrap();
    assert_eq!(interrupt["params"], json!({ "threadId": "t1", "turnId": "u1" }));
    assert!(!told.contains(&json!("term")), "it was not signalled: {told:?}");
}

/// An agent of the protocol that asks twice, under ids that ours have too.
const ACP: &str = r#"
    hear; echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":1,"agentCapabilities":{"loadSession":true}}}'
    hear; echo '{"jsonrpc":"2.0","id":1,"result":{"sessionId":"s1"}}'
    hear
    ask() { echo '{"jsonrpc":"2.0","id":'$1',"method":"session/request_permission","params":{"sessionId":"s1","options":['$2'],"toolCall":{"toolCallId":"c'$1'","title":"rm '$1'","kind":"execute","rawInput":{"command":"rm '$1'"}}}}'; hear; }
    echo '{"jsonrpc":"2.0","id":"f","method":"fs/read_text_file","params":{"path":"/etc/passwd"}}'; hear
    ask 2 '{"optionId":"always","kind":"allow_always"},{"optionId":"once","kind":"allow_once"},{"optionId":"no","kind":"reject_once"}'
    case "$line" in *cancelled*) hear; echo '{"jsonrpc":"2.0","id":2,"result":{"stopReason":"cancelled"}}'; hear;; esac
    ask 3 '{"optionId":"always","kind":"allow_always"}'
    echo '{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s1","update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"done"}}}}'
    echo '{"jsonrpc":"2.0","id":2,"result":{"stopReason":"end_turn"}}'
    hear
"#;

#[test]
fn a_permission_of_the_protocol_is_answered_by_the_option_of_its_kind() {
    let (home, programs) = home_with("shepherd-acp", ACP);
    let running = start(&home, &programs, "wait", &["shepherd-acp"]);
    decide(&home, "approve");
    // A yes that would be one for ever is none.
    decide(&home, "approve");
    assert_eq!(running.wait(), Some(0));
    let of = |id| answer(&home, id).unwrap()["outcome"].clone();
    assert_eq!(of(2), json!({ "outcome": "selected", "optionId": "once" }));
    assert_eq!(of(3), json!({ "outcome": "cancelled" }));
    let refused = said(&home).into_iter().find(|line| line["id"] == "f").unwrap();
    assert_eq!(refused["error"]["code"], -32601, "no file of ours is offered");
    let run = only_run(&home);
    assert_eq!(
        run["outcome"],
        json!({ "kind": "success", "text": "done" }),
        "{run:#}"
    );
}

#[test]
fn a_turn_of_the_protocol_that_is_called_off_is_cancelled_and_so_is_what_it_asked() {
    let (home, programs) = home_with("shepherd-acp", ACP);
    let running = start(&home, &programs, "wait", &["shepherd-acp"]);
    gate(&home);
    running.signal(Signal::INT);
    assert_eq!(running.wait(), Some(130));
    assert_eq!(
        answer(&home, 2).unwrap()["outcome"],
        json!({ "outcome": "cancelled" })
    );
    assert!(said(&home).iter().any(|line| line["method"] == "session/cancel"));
}

#[test]
#[cfg(target_os = "linux")]
fn an_engine_that_is_killed_has_said_no() {
    for (program, script, command) in [
        ("codex", CODEX, APP_SERVER),
        ("shepherd-acp", ACP, &["shepherd-acp"][..]),
    ] {
        // Where it is not ended first, it reads the end of its input.
        let (home, programs) = home_with(program, &format!("trap '' TERM; echo $$ >pid\n{script}"));
        let running = start(&home, &programs, "wait", command);
        gate(&home);
        running.kill();
        let pid = std::fs::read_to_string(home.workspace("alice").join("pid")).unwrap();
        let line = std::path::Path::new("/proc").join(pid.trim()).join("cmdline");
        // A zombie has no command line any more.
        until("the peer is gone", || {
            std::fs::read(&line).unwrap_or_default().is_empty().then_some(())
        });
        assert_eq!(said(&home).last(), Some(&json!("end")));
        let told = serde_json::to_string(&said(&home)).unwrap();
        for yes in ["accept\"", "selected"] {
            assert!(!told.contains(yes), "{told}");
        }
    }
}

/// Two turns or more: the first lasts until somebody lets it go on.
const PATIENT: &str = r#"
    hear; echo '{"id":0,"result":{}}'; hear; hear
    echo '{"id":1,"result":{"thread":{"id":"t1"}}}'
    n=0
    while :; do
        hear; n=$((n+1)); echo '{"method":"turn/started","params":{"turn":{"id":"u"}}}'
        while [ ! -e go ]; do sleep 0.05; done
        echo '{"method":"item/completed","params":{"item":{"type":"agentMessage","id":"m","text":"answer '$n'"}}}'
        echo '{"method":"turn/completed","params":{"turn":{"id":"u","status":"completed"}}}'
    done
"#;

#[test]
fn what_is_sent_to_a_run_is_said_behind_its_turn_and_who_cannot_hear_it_says_why() {
    let (home, programs) = home_with("codex", PATIENT);
    let home = home.with("DORMOUSE_WORKER_INBOX_MAX", "2");
    let running = start(&home, &programs, "wait", APP_SERVER);
    until("it is in its turn", || (said(&home).len() == 4).then_some(()));
    let run = only_run(&home)["id"].as_str().unwrap().to_owned();
    for text in ["feed them", "then shear them"] {
        home.dormouse(["runs", "send", &run, text]).exits(0);
    }
    let full = home.dormouse(["runs", "send", &run, "and sell the wool"]);
    full.exits(9).errs(&["2 texts wait"]).hints();
    std::fs::write(home.workspace("alice").join("go"), "").unwrap();
    assert_eq!(running.wait(), Some(0));
    let at = "/params/input/0/text";
    let texts: Vec<_> = said(&home)
        .iter()
        .filter_map(|line| line.pointer(at).cloned())
        .collect();
    assert_eq!(texts, ["count the sheep", "feed them", "then shear them"]);
    assert_eq!(only_run(&home)["outcome"]["text"], "answer 3");
    let late = home.dormouse(["runs", "send", &run, "more"]);
    late.exits(7).errs(&["the run has ended: success"]).hints();

    let script = home.start(["run", "--agent", "alice", "--", "sh", "-c", "touch up; sleep 60"]);
    until("it runs", || {
        home.workspace("alice").join("up").exists().then_some(())
    });
    let run = home.items("runs list")[0]["id"].as_str().unwrap().to_owned();
    let deaf = home.dormouse(["runs", "send", &run, "more"]);
    deaf.exits(2).errs(&["exec takes no further words"]).hints();
    script.signal(Signal::INT);
    script.wait();
    let refused = [
        "run", "--agent", "alice", "--stdin", "stream", "--", "codex", "exec", "x",
    ];
    home.dormouse(refused)
        .exits(2)
        .errs(&["codex takes no further words"])
        .hints();
}

#[test]
fn without_words_nothing_is_started() {
    let (home, _programs) = home_with("codex", CODEX);
    let ran = home.dormouse(["run", "--agent", "alice", "--", "codex", "app-server"]);
    ran.exits(1).errs(&["nothing to say"]).hints();
    assert!(said(&home).is_empty());
}
