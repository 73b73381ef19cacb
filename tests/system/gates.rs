//! Gates: the run in one terminal, the decision in another, on a store of this machine and on a server.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tokio::time::Instant;

use crate::home::{Home, Running};
use crate::process::{unique_sleep, until_count, with_argument};
use crate::program::program;
use crate::server::Schema;
use crate::wait::until;

/// The example of the README: what is asked, and what is done once it is allowed.
const PUBLISH: &str = r#"dormouse gate request --action "publish report.md" --input "{\"file\":\"report.md\"}" && echo published"#;
/// How long a decision may take to reach whoever waits in another process.
const HEARD_MAX: std::time::Duration = std::time::Duration::from_secs(6);

/// Two terminals over one store: of one machine, or of two that share a server.
pub(crate) struct Terminals {
    /// Where it runs.
    pub(crate) one: Home,
    /// Where it is decided, when that is another machine.
    other: Option<Home>,
    _schema: Option<Schema>,
}

impl Terminals {
    /// The second terminal.
    pub(crate) fn other(&self) -> &Home {
        self.other.as_ref().unwrap_or(&self.one)
    }
}

/// Every pair that this machine has.
pub(crate) fn terminals() -> Vec<Terminals> {
    let embedded = Terminals {
        one: Home::new(),
        other: None,
        _schema: None,
    };
    let shared = Schema::new().map(|schema| Terminals {
        one: schema.home(),
        other: Some(schema.home()),
        _schema: Some(schema),
    });
    [embedded].into_iter().chain(shared).collect()
}

/// A worker of alice that does this, whose questions wait.
pub(crate) fn asking(home: &Home, script: &str) -> Running {
    let words = [
        "run",
        "--agent",
        "alice",
        "--repeatable",
        "--on-gate",
        "wait",
        "--",
        "sh",
        "-c",
        script,
    ];
    home.start(words)
}

/// The gates that are pending, once there are so many.
#[track_caller]
pub(crate) fn pending(home: &Home, count: usize) -> Vec<Value> {
    until(&format!("{count} pending gates"), || {
        let gates = home.items("gate list");
        (gates.len() == count).then_some(gates)
    })
}

pub(crate) fn id(of: &Value) -> String {
    of["id"].as_str().expect("it has an id").to_owned()
}

#[test]
fn a_run_waits_in_one_terminal_and_the_decision_comes_from_another() {
    for terminals in terminals() {
        let (one, other) = (&terminals.one, terminals.other());
        let mut running = asking(one, PUBLISH);
        let gate = id(&pending(other, 1)[0]);
        let session = other.items("session list");
        assert_eq!(session[0]["display"], "awaiting_human", "{session:#?}");
        let shown = other.type_line(&format!("gate show {gate}"));
        shown.exits(0);
        for word in [
            "publish report.md",
            r#"{"file":"report.md"}"#,
            "alice",
            "digest",
            "the worker is told no",
        ] {
            assert!(shown.stdout.contains(word), "{word:?}: {shown:?}");
        }
        let decided = other.dormouse(["gate", "approve", &gate, "--comment", "looks right"]);
        let at = Instant::now();
        decided.exits(0);
        assert_eq!(decided.stdout, format!("{gate}\tapproved\n"), "{decided:?}");
        assert_eq!(running.line(), "published");
        assert!(at.elapsed() < HEARD_MAX, "{:?}", at.elapsed());
        assert_eq!(running.wait(), Some(0));
        let gate = other.json(&format!("gate show {gate}"));
        assert_eq!(gate["decision"]["comment"], "looks right", "{gate:#}");
        assert!(other.items("gate list").is_empty());
        let sessions = other.items("session list");
        assert_eq!(sessions[0]["pending"], Value::Array(Vec::new()), "{sessions:#?}");
    }
}

/// The gate of PR-42, by processes: what the API answers is shown there.
#[test]
fn of_a_hundred_who_decide_at_once_one_wins_and_the_others_are_told() {
    for terminals in terminals() {
        let (one, other) = (&terminals.one, terminals.other());
        let running = asking(one, PUBLISH);
        let gate = id(&pending(one, 1)[0]);
        let deciders: Vec<Child> = (0..100)
            .map(|number| {
                let verb = if number % 2 == 0 { "approve" } else { "reject" };
                // On a server some come from another machine.
                let home = if number % 10 == 9 { other } else { one };
                let mut command = home.command(["gate", verb, &gate]);
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                // A hundred processes on a few cores: each waits its turn.
                command.env("DORMOUSE_CLIENT_ATTACH_TIMEOUT", "60s");
                command.spawn().expect("the program starts")
            })
            .collect();
        let ends: Vec<(Option<i32>, String, String)> = deciders
            .into_iter()
            .map(|decider| {
                let output = decider.wait_with_output().expect("it ends");
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                (output.status.code(), text(output.stdout), text(output.stderr))
            })
            .collect();
        let decided = one.json(&format!("gate show {gate}"));
        let status = decided["status"].as_str().unwrap().to_owned();
        let by = decided["decision"]["by"]["principal"]["name"].as_str().unwrap();
        for (number, (code, stdout, stderr)) in ends.iter().enumerate() {
            let wanted = if number % 2 == 0 { "approved" } else { "rejected" };
            if wanted == status {
                // The same person decides the same: it stands, whoever of their terminals was first.
                let said = format!("{gate}\t{status}\n");
                assert_eq!((*code, stdout), (Some(0), &said), "{stderr}");
            } else {
                assert_eq!((*code, stdout.as_str()), (Some(7), ""), "{stderr}");
                assert!(stderr.contains(&format!("was {status} by {by}")), "{stderr}");
            }
        }
        let events = one.items("events tail --from 0 --type gate.resolved");
        assert_eq!(events.len(), 1, "one of them decided it: {events:#?}");
        let verb = if status == "approved" { "approve" } else { "reject" };
        let again = other.dormouse(["gate", verb, &gate]);
        again.exits(0);
        assert!(again.stderr.contains("it stands already"), "{again:?}");
        let exit = running.wait();
        assert_eq!(exit, Some(if status == "approved" { 0 } else { 1 }));
    }
}

/// PR-43
#[test]
fn all_shown_decides_what_was_shown_and_names_what_came_since() {
    let home = Home::new();
    let ask = |number: u8| format!("dormouse gate request --action step-{number}");
    let script = format!(
        "{} & {} & {} & until test -e more; do sleep 0.05; done; {}; wait",
        ask(1),
        ask(2),
        ask(3),
        ask(4)
    );
    let running = asking(&home, &script);
    pending(&home, 3);
    let shown = home.type_line("gate list -o jsonl");
    let file = home.path().with_file_name("shown.jsonl");
    std::fs::write(&file, &shown.stdout).unwrap();
    std::fs::write(home.workspace("alice").join("more"), "").unwrap();
    pending(&home, 4);
    let decided = home.dormouse(["gate", "approve", "--all-shown", file.to_str().unwrap()]);
    decided.exits(0);
    assert_eq!(decided.stdout.matches("\tapproved\t").count(), 3, "{decided:?}");
    let left = pending(&home, 1);
    assert_eq!(left[0]["summary"], "step-4");
    assert!(decided.stderr.contains(&id(&left[0])), "{decided:?}");
    // The same rows again: each is decided already, and is said to be.
    let again = home.dormouse(["gate", "reject", "--all-shown", file.to_str().unwrap()]);
    again.exits(1);
    assert_eq!(again.stdout.matches("was approved by").count(), 3, "{again:?}");
    home.dormouse(["gate", "reject", &id(&left[0])]).exits(0);
    assert_eq!(running.wait(), Some(0));
}

#[test]
fn an_approval_is_for_its_call_and_no_other() {
    let home = Home::new();
    let request =
        |n: u8| format!("dormouse gate request --key k --action pay --input '{{\"n\":{n}}}' --expires");
    let script = format!("{} 1h && echo one; {} 1s; echo code $?", request(1), request(2));
    let mut running = asking(&home, &script);
    let gate = id(&pending(&home, 1)[0]);
    home.dormouse(["gate", "approve", &gate]).exits(0);
    assert_eq!(running.line(), "one");
    // Under the same key, with another input: it was not approved, and nobody does in time.
    assert_eq!(running.line(), "code 124");
    assert_eq!(running.wait(), Some(0));
    let gates = home.items("gate list --state all");
    let states: Vec<_> = gates
        .iter()
        .map(|gate| gate["status"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["expired", "approved"]);
}

#[test]
fn an_answer_is_printed_and_an_edited_input_is_what_is_used() {
    let home = Home::new();
    let script = "dormouse gate request --type question --action which --option first --option second; \
                  dormouse gate request --type question --action why; \
                  dormouse gate request --action send --input '{\"to\":\"all\"}' --allow-edit";
    let mut running = asking(&home, script);
    let gate = id(&pending(&home, 1)[0]);
    home.dormouse(["gate", "answer", &gate])
        .exits(2)
        .errs(&["asks for the number of an option"])
        .hints();
    home.dormouse(["gate", "approve", &gate])
        .exits(2)
        .errs(&["question"])
        .hints();
    home.dormouse(["gate", "answer", &gate, "--option", "3"])
        .exits(2)
        .errs(&["option"]);
    home.dormouse(["gate", "answer", &gate, "--option", "2"]).exits(0);
    assert_eq!(running.line(), "second");
    let gate = id(&pending(&home, 1)[0]);
    home.dormouse(["gate", "answer", &gate, "because of that"])
        .exits(0);
    assert_eq!(running.line(), "because of that");
    let gate = id(&pending(&home, 1)[0]);
    home.dormouse(["gate", "approve", &gate, "--input", "{\"to\":"])
        .exits(2)
        .errs(&["JSON"])
        .hints();
    home.dormouse(["gate", "approve", &gate, "--input", "{ \"to\": \"alice\" }"])
        .exits(0);
    assert_eq!(running.line(), r#"{"to":"alice"}"#);
    assert_eq!(running.wait(), Some(0));
}

#[test]
fn where_an_edit_cannot_travel_it_is_refused() {
    let home = Home::new();
    let running = asking(&home, PUBLISH);
    let gate = id(&pending(&home, 1)[0]);
    home.dormouse(["gate", "approve", &gate, "--input", "{}"])
        .exits(2)
        .errs(&["edited"])
        .hints();
    home.dormouse(["gate", "approve", &gate, "--scope", "session"])
        .exits(2)
        .errs(&["scope"])
        .hints();
    assert_eq!(id(&pending(&home, 1)[0]), gate);
    drop(running);
}

/// Asks three times, once it is told to.
const ASK_THRICE: &str = "until test -e go; do sleep 0.05; done; dormouse gate request --action pay; echo code $?; \
                          dormouse gate request --action burn; echo code $?; \
                          dormouse gate request --action burn --input '{\"n\":1}' --allow-edit; echo code $?";

/// Tells it to.
fn go(home: &Home) {
    until("its workspace is there", || {
        std::fs::write(home.workspace("alice").join("go"), "").ok()
    });
}

#[test]
fn rules_say_which_calls_are_made_and_nobody_is_asked() {
    let home = Home::new()
        .with("DORMOUSE_GATES_MODE", "rules")
        .with("DORMOUSE_GATES_RULES", "deny pay, allow burn*");
    let mut running = asking(&home, ASK_THRICE);
    go(&home);
    let lines: Vec<String> = (0..4).map(|_| running.line()).collect();
    assert_eq!(lines, ["code 4", "code 0", "{\"n\":1}", "code 0"]);
    assert_eq!(running.wait(), Some(0));
    assert!(home.items("gate list --state all").is_empty());
    let denied = home.items("events tail --from 0 --type session.permission_denied");
    assert_eq!(denied.len(), 1, "{denied:#?}");
}

#[test]
fn the_mode_of_a_session_is_set_while_it_is_at_work() {
    let home = Home::new();
    let mut running = asking(&home, ASK_THRICE);
    let session = until("its session", || home.items("session list").first().map(id));
    let set = home.type_line(&format!("session set {session} mode=deny"));
    set.exits(0);
    assert_eq!(set.stdout, format!("{session}\tmode deny\n"));
    home.type_line(&format!("session set {session} mode=open"))
        .exits(2)
        .errs(&["gates.allow_open"]);
    home.type_line(&format!("session set {session} mode=opne"))
        .exits(2)
        .errs(&["did you mean open?"]);
    go(&home);
    let lines: Vec<String> = (0..3).map(|_| running.line()).collect();
    assert_eq!(lines, ["code 4"; 3]);
    assert_eq!(running.wait(), Some(0));
    // Nobody can be asked and all may be done only where that is said twice.
    let open = home
        .command(["session", "list"])
        .env("DORMOUSE_GATES_MODE", "open")
        .output();
    let open = open.expect("the program starts");
    let said = String::from_utf8_lossy(&open.stderr);
    assert!(
        open.status.code() == Some(2) && said.contains("gates.allow_open"),
        "{said}"
    );
}

#[test]
fn under_reject_every_question_is_denied_at_once() {
    let home = Home::new();
    let script = "dormouse gate request --action deploy; echo code $?";
    let ran = home.dormouse([
        "run",
        "--agent",
        "alice",
        "--on-gate",
        "reject",
        "--",
        "sh",
        "-c",
        script,
    ]);
    ran.exits(0);
    assert_eq!(ran.stdout, "code 4\n", "{ran:?}");
    assert!(home.items("gate list").is_empty());
    assert_eq!(home.items("gate list --state all")[0]["status"], "rejected");
}

/// Without `serve` nothing claims a task by itself: here a person does.
#[test]
fn a_parked_run_holds_nothing_and_goes_on_when_it_is_decided() {
    for terminals in terminals() {
        let (one, other) = (&terminals.one, terminals.other());
        let sleep = unique_sleep();
        let script =
            format!("echo begins; sleep {sleep} & asleep=$!; {PUBLISH}; code=$?; kill $asleep; exit $code");
        let parked = one.dormouse([
            "run",
            "--agent",
            "alice",
            "--on-gate",
            "park",
            "--",
            "sh",
            "-c",
            &script,
        ]);
        parked.exits(5);
        assert_eq!(parked.stdout, "begins\n", "{parked:?}");
        assert_eq!(
            with_argument(&sleep),
            [0_u32; 0],
            "a process of the parked run is left"
        );
        let gate = pending(other, 1).remove(0);
        let task = other.items("task list").remove(0);
        assert_eq!(
            (&task["state"], &task["wait"]["gate"]),
            (&Value::from("waiting"), &gate["id"])
        );
        let run = other.items("runs list").remove(0);
        assert_eq!(run["state"], "waiting", "{run:#}");
        let task = id(&task);
        one.type_line(&format!("run {task}"))
            .exits(5)
            .errs(&["waits for a person"])
            .hints();
        other.dormouse(["gate", "approve", &id(&gate)]).exits(0);
        assert_eq!(other.items("task list")[0]["state"], "ready");
        let resumed = one.type_line(&format!("run {task}"));
        resumed.exits(0);
        assert!(resumed.stdout.ends_with("begins\npublished\n"), "{resumed:?}");
        let runs = other.items("runs list");
        assert_eq!(
            (runs.len(), id(&runs[0])),
            (1, id(&run)),
            "it is the same run: {runs:#?}"
        );
        let logs = other.type_line(&format!("runs logs {}", id(&run)));
        assert_eq!(logs.stdout, "begins\nbegins\npublished\n");
        assert_eq!(
            other.items("gate list --state all").len(),
            1,
            "nobody was asked twice"
        );
    }
}

#[test]
fn a_parked_run_that_is_called_off_leaves_no_question() {
    let home = Home::new();
    home.dormouse([
        "run",
        "--agent",
        "alice",
        "--on-gate",
        "park",
        "--",
        "sh",
        "-c",
        PUBLISH,
    ])
    .exits(5);
    let gate = id(&pending(&home, 1)[0]);
    let task = id(&home.items("task list")[0]);
    home.type_line(&format!("task cancel {task}")).exits(0);
    assert_eq!(home.json(&format!("gate show {gate}"))["status"], "invalidated");
    assert_eq!(home.items("runs list")[0]["outcome"]["kind"], "cancelled");
    home.dormouse(["gate", "approve", &gate])
        .exits(7)
        .errs(&["invalidated"])
        .hints();
}

#[test]
fn ending_a_session_stops_its_run_and_ends_its_questions() {
    let home = Home::new();
    let running = asking(&home, PUBLISH);
    let gate = id(&pending(&home, 1)[0]);
    let session = id(&home.items("session list")[0]);
    let ended = home.type_line(&format!("session end {}", &session[..30]));
    ended.exits(0);
    assert_eq!(ended.stdout, format!("{session}\toffline\n"));
    assert_eq!(home.json(&format!("gate show {gate}"))["status"], "invalidated");
    assert_ne!(running.wait(), Some(0), "it was not allowed to go on");
    home.type_line(&format!("session end {session}")).exits(0);
    home.type_line("session show ses_00000000")
        .exits(3)
        .errs(&["no session"])
        .hints();
}

/// The run's own folder, as its worker has it.
fn run_folder(home: &Home) -> PathBuf {
    let run = id(&home.items("runs list")[0]);
    let files = crate::modes::files_below(&home.path());
    let token = files
        .into_iter()
        .find(|file| file.ends_with(format!("{run}/token")));
    token.expect("the run has a token").parent().unwrap().to_owned()
}

#[test]
fn a_worker_asks_and_decides_nothing() {
    let home = Home::new();
    let store = home.path().display().to_string();
    let script = format!(
        "{PUBLISH} & dormouse gate list; echo code $?; \
         env -u DORMOUSE_RUN_DIR DORMOUSE_HOME={store} dormouse gate list; echo code $?; wait"
    );
    let mut running = asking(&home, &script);
    assert_eq!(running.line(), "code 4", "inside a run the program only asks");
    assert_ne!(running.line(), "code 0", "and nothing else lets it in");
    let gate = pending(&home, 1).remove(0);
    // With all that the worker has, and the socket it asks through.
    let folder = run_folder(&home);
    let token = std::fs::read_to_string(folder.join("token")).unwrap();
    let send = |token: &str, request: &str, body: &str| {
        let mut socket = UnixStream::connect(folder.join("run.sock")).unwrap();
        let length = body.len();
        let sent = format!(
            "{request} HTTP/1.1\r\nhost: dormouse\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        // What is refused early is not read to its end: the answer says so.
        let _ = socket.write_all(sent.as_bytes());
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let decision = serde_json::json!({
        "decision": "approve", "shown_version": gate["version"], "shown_digest": gate["digest"]
    });
    let gate = id(&gate);
    for route in ["/v1/gates", "/v1/requests"] {
        let put = format!("PUT {route}/{gate}/decision");
        assert_eq!(send(&token, &put, &decision.to_string()), 404);
    }
    let another = "0".repeat(64);
    let ask = r#"{"type":"approval","action":"x"}"#;
    assert_eq!(send(&another, "POST /v1/requests", ask), 401);
    let other_gate = format!("POST /v1/requests/gat_{}/answer", "0".repeat(32));
    assert_eq!(send(&token, &other_gate, ask), 404, "a gate of nobody's");
    let own = format!("POST /v1/requests/{gate}/answer");
    assert_eq!(send(&token, &own, ask), 409, "it asks about another call");
    assert_eq!(id(&pending(&home, 1)[0]), gate);
    home.dormouse(["gate", "reject", &gate]).exits(0);
    assert_eq!(
        running.wait(),
        Some(0),
        "its shell waits for all, and forgets how they ended"
    );
    assert!(!folder.exists(), "socket and token die with the run");
}

#[test]
fn gate_request_outside_of_a_run_says_where_it_belongs() {
    let home = Home::new();
    home.dormouse(["gate", "request", "--action", "deploy"])
        .exits(2)
        .errs(&["not inside"])
        .hints();
    home.dormouse(["run", "--on-gate", "ask", "--", "true"])
        .exits(2)
        .errs(&["terminal"])
        .hints();
    for (line, words) in [
        ("gate show gat_00000000", &["no gate"][..]),
        ("gate approve gat_00000000000000000000000000000000", &["no gate"]),
        (
            "session end ses_00000000000000000000000000000000",
            &["no session"],
        ),
    ] {
        home.type_line(line).exits(3).errs(words).hints();
    }
    home.type_line("gate approve --all-shown")
        .exits(2)
        .errs(&["terminal"])
        .hints();
    home.type_line("gate approve run_0198c0de")
        .exits(2)
        .errs(&["run", "gat_"])
        .hints();
}

/// Destructive verbs: `dormouse-cli`'s arguments name the case.
#[test]
fn what_is_erased_is_asked_about() {
    let home = Home::new();
    let running = asking(&home, PUBLISH);
    let gate = id(&pending(&home, 1)[0]);
    let mut command = home.command(["gate", "discard", &gate]);
    let output = command.env("CI", "true").output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(pending(&home, 1).len(), 1, "nothing was discarded");
    home.dormouse(["gate", "discard", &gate, "--yes"]).exits(0);
    assert_ne!(running.wait(), Some(0), "the worker was told no");
}

/// A terminal, by the program of util-linux that makes one.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn at_a_terminal(home: &Home, line: &str) -> Option<Child> {
    let mut command = home.command([] as [&str; 0]);
    let environment: Vec<_> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    command = Command::new("script");
    let typed = format!("{} {line}", program().display());
    let child = command
        .args(["-qefc", &typed, "/dev/null"])
        .env_clear()
        .envs(environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    if child.is_err() {
        eprintln!("SKIPPED: there is no program script, which makes a terminal");
    }
    child.ok()
}

#[test]
fn at_a_terminal_the_person_there_is_asked() {
    for (typed, said, code) in [("s\nx\na\n", "published", 0), ("r\n", "was rejected by", 1)] {
        let home = Home::new();
        let line = format!("run --agent alice -- sh -c '{}'", PUBLISH.replace('\'', "'\\''"));
        let Some(mut child) = at_a_terminal(&home, &line) else {
            return;
        };
        let mut stdin = child.stdin.take().unwrap();
        // Typed ahead it would be, if it were asked for later.
        let mut screen = String::new();
        let mut stdout = child.stdout.take().unwrap();
        let mut bytes = [0; 4096];
        while !screen.contains("[a]pprove [r]eject") {
            let read = stdout.read(&mut bytes).unwrap();
            assert!(read > 0, "it is not asked: {screen}");
            screen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        stdin.write_all(typed.as_bytes()).unwrap();
        stdout.read_to_string(&mut screen).unwrap();
        assert!(screen.contains(said), "{screen}");
        assert_eq!(child.wait().unwrap().code(), Some(code), "{screen}");
        if typed.starts_with('s') {
            assert!(
                screen.contains("\"file\": \"report.md\""),
                "the whole input is shown: {screen}"
            );
        }
    }
}

/// Kills an owner, and waits until nothing of its worker is left.
pub(crate) fn killed(running: Running, sleep: &str) {
    running.kill();
    until_count(sleep, 0);
}
