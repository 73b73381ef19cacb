//! The API behind the commands, over the owner's socket.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::home::{Home, Ran};
use crate::modes::files_below;
use crate::process::{unique_sleep, until_count};

fn file_called(home: &Home, name: &str) -> PathBuf {
    let found = files_below(&home.path())
        .into_iter()
        .find(|path| path.ends_with(name));
    found.unwrap_or_else(|| panic!("the home has no {name}"))
}

fn token(home: &Home) -> String {
    fs::read_to_string(file_called(home, "control.token"))
        .unwrap()
        .trim()
        .to_owned()
}

/// The status and body of a GET, as any program would ask.
fn get(home: &Home, path: &str) -> (u16, String) {
    let mut socket = UnixStream::connect(file_called(home, "control.sock")).unwrap();
    let token = token(home);
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nhost: dormouse\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// PR-11
#[test]
fn json_is_the_body_of_the_api_and_an_error_is_one_document() {
    let home = Home::new();
    let sleep = unique_sleep();
    let owner = home.start(["run", "--agent", "alice", "--", "sleep", &sleep]);
    until_count(&sleep, 2);
    let id = |list: &str| home.items(list)[0]["id"].as_str().unwrap().to_owned();
    let (task, run) = (id("task list"), id("runs list"));
    for (line, path) in [
        ("agent list", "/v1/agents".to_owned()),
        ("agent show alice", "/v1/agents/alice".to_owned()),
        ("task list", "/v1/tasks".to_owned()),
        (&format!("task show {task}"), format!("/v1/tasks/{task}")),
        ("runs list", "/v1/runs".to_owned()),
        (&format!("runs show {run}"), format!("/v1/runs/{run}")),
    ] {
        let ran = home.type_line(&format!("{line} -o json"));
        let (status, body) = get(&home, &path);
        assert_eq!((status, ran.stdout.trim_end()), (200, body.trim_end()), "{line}");
    }
    let missing = format!("run_{}", "0".repeat(32));
    let ran = home.type_line(&format!("runs show {missing} -o json"));
    let (status, body) = get(&home, &format!("/v1/runs/{missing}"));
    assert_eq!((status, ran.stdout.as_str()), (404, ""));
    let document = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(document(&ran.stderr)["code"], document(&body)["code"]);
    let mut piped = shell(&home, "dormouse events tail --from 0 -o jsonl | head -1");
    let first = Ran::of(&mut piped);
    first.exits(0);
    assert_eq!(first.stdout.lines().count(), 1, "{first:?}");
    drop(owner);
}

/// Every command of the pipe has to end with 0.
fn shell(home: &Home, line: &str) -> Command {
    let folder = crate::program::program().parent().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command
        .args(["-o", "pipefail", "-c", line])
        .env_clear()
        .env("PATH", format!("{folder}:{path}"))
        .env("DORMOUSE_HOME", home.path());
    command
}

#[test]
fn a_caller_without_the_token_is_refused() {
    let home = Home::new();
    let sleep = unique_sleep();
    let owner = home.start(["run", "--agent", "alice", "--", "sleep", &sleep]);
    until_count(&sleep, 2);
    let mut socket = UnixStream::connect(file_called(&home, "control.sock")).unwrap();
    socket
        .write_all(b"GET /v1/tasks HTTP/1.1\r\nhost: dormouse\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(!answer.contains(&sleep), "{answer}");
    drop(owner);
}

/// PR-28
#[test]
fn no_process_has_the_token_or_a_secret_where_others_can_read_it() {
    let home = Home::new();
    let secret = "kR7-wombat-sleep-quietly";
    home.type_line("agent add alice").exits(0);
    let file = home.path().join("value");
    fs::write(&file, secret).unwrap();
    let mut put = home.command(["secret", "set", "GH_TOKEN", "--agent", "alice"]);
    put.stdin(fs::File::open(&file).unwrap());
    Ran::of(&mut put).exits(0);
    let sleep = unique_sleep();
    let owner = home.start(["run", "--agent", "alice", "--", "sleep", &sleep]);
    until_count(&sleep, 2);
    let token = token(&home);
    assert!(token.len() >= 32, "a token is long");
    let holds = |path: PathBuf, value: &str| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes
            .windows(value.len())
            .any(|window| window == value.as_bytes())
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    let (mut ours, mut lent) = (0, 0);
    for process in processes {
        let path = process.path();
        let program = fs::read_link(path.join("exe")).unwrap_or_default();
        let is_ours = program == *crate::program::program();
        ours += usize::from(is_ours);
        for file in ["cmdline", "environ"] {
            assert!(
                !holds(path.join(file), &token),
                "{program:?} has the token in its {file}"
            );
            // A worker's own environment has what was put for it.
            let may_have = file == "environ" && !is_ours;
            let has = holds(path.join(file), secret);
            lent += usize::from(has);
            assert!(may_have || !has, "{program:?} has a secret in its {file}");
        }
    }
    assert!(lent > 0, "the worker has it, so it would have been found");
    assert!(ours >= 2, "the owner and the keeper were looked at: {ours}");
    drop(owner);
}
