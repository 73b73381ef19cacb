//! By the program's own doors: its socket, its commands.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use crate::{Targets, attempt, refused};

/// Routes that show something of somebody.
const ROUTES: [&str; 7] = [
    "GET /v1/agents",
    "GET /v1/tasks",
    "GET /v1/runs",
    "GET /v1/gates",
    "GET /v1/secrets",
    "GET /v1/events",
    "GET /v1/store/export",
];
/// Command lines that do.
const COMMANDS: [&[&str]; 7] = [
    &["agent", "list"],
    &["task", "list"],
    &["runs", "list"],
    &["gate", "list"],
    &["secret", "list"],
    &["secret", "export", "stolen", "--plaintext", "--yes"],
    &["store", "export", "stolen-store"],
];

pub(crate) fn try_all(targets: &Targets) {
    for route in ROUTES {
        for (token, with) in [
            ("", "no token"),
            ("Authorization: Bearer dmt_guess\r\n", "a guessed token"),
        ] {
            attempt("ask the control socket", format!("{route} with {with}"), || {
                ask(targets, route, token)
            });
        }
    }
    for words in COMMANDS {
        attempt("the program, told where its home is", words.join(" "), || {
            command(targets, words)
        });
    }
}

/// A status that is not a refusal, and how many bytes came with it.
fn ask(targets: &Targets, route: &str, token: &str) -> Result<String, String> {
    let mut socket = UnixStream::connect(&targets.socket).map_err(refused)?;
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .map_err(refused)?;
    let request = format!("{route} HTTP/1.1\r\nHost: localhost\r\n{token}Connection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).map_err(refused)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).map_err(refused)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split_ascii_whitespace().nth(1).unwrap_or("no answer");
    match status {
        "401" | "403" | "404" | "no answer" => Err(format!("status {status}")),
        status => Ok(format!("status {status}, {} bytes", answer.len())),
    }
}

fn command(targets: &Targets, words: &[&str]) -> Result<String, String> {
    let output = Command::new(&targets.program)
        .args(words)
        .env("DORMOUSE_HOME", &targets.home)
        .env("DORMOUSE_CLIENT_ATTACH_TIMEOUT", "1s")
        .output()
        .map_err(refused)?;
    if output.status.success() {
        return Ok(format!("{} bytes", output.stdout.len()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said
        .lines()
        .next()
        .unwrap_or("it failed and said nothing")
        .to_owned())
}
