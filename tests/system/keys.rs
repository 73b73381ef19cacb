//! Idempotency keys: what is asked under one is done once, also when its answer is lost on the way.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;

use crate::home::Home;
use crate::process::{unique_sleep, until_count};
use crate::threads::ok;

#[test]
fn what_is_asked_under_a_key_is_done_once() {
    let home = Home::new();
    ok(&home, ["agent", "add", "alice"]);
    let add = |title: &str| {
        home.dormouse([
            "task", "add", "--agent", "alice", "--key", "order-17", "--title", title, "--", "true",
        ])
    };
    let first = add("ship 17");
    first.exits(0);
    assert_eq!(add("ship 17").exits(0).stdout, first.stdout);
    add("ship 18").exits(2);
    assert_eq!(home.items("task list").len(), 1);
    let run = || {
        home.dormouse([
            "run",
            "--agent",
            "alice",
            "--key",
            "k",
            "--",
            "sh",
            "-c",
            "echo once",
        ])
    };
    assert_eq!(run().stdout, "once\n");
    assert_eq!(run().stdout, "once\n", "what the first run printed");
    assert_eq!(home.items("runs list").len(), 1);
}

/// Stands between clients and the owner of a store: what is asked arrives, and the first answers are lost.
fn losing(socket: PathBuf, path: PathBuf, lost: usize) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let Ok(mut client) = client else { return };
            let mut owner = UnixStream::connect(&socket).unwrap();
            let (mut asked, mut on) = (client.try_clone().unwrap(), owner.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut asked, &mut on));
            let mut answer = Vec::new();
            // The connection carries one exchange: it ends with the answer.
            let _ = owner.read_to_end(&mut answer);
            if number >= lost {
                let _ = client.write_all(&answer);
            }
            let _ = client.shutdown(Shutdown::Both);
        }
    });
}

/// PR-31, with `a_server_that_cannot_be_reached_is_exit_6` beside it.
#[test]
fn an_answer_that_is_lost_is_asked_for_again_and_what_was_asked_is_done_once() {
    let home = Home::new();
    let sleep = unique_sleep();
    let _running = home.start(["run", "--agent", "alice", "--", "sleep", &sleep]);
    until_count(&sleep, 2);
    let paths = home.items("config path");
    let socket = paths.iter().find(|path| path["what"] == "socket").unwrap();
    let socket = PathBuf::from(socket["path"].as_str().unwrap());
    let add = |title: &str, lost: usize| {
        let between = home.path().join(title);
        losing(socket.clone(), between.clone(), lost);
        let server = format!("unix:{}", between.display());
        home.dormouse([
            "task", "add", "--server", &server, "--agent", "alice", "--title", title, "--", "true",
        ])
    };
    add("once", 2).exits(0);
    let unknown = add("lost", usize::MAX);
    unknown.exits(8).errs(&[]).hints();
    assert!(unknown.stderr.contains("--key"), "{unknown:?}");
    let titles = home.items("task list");
    for title in ["once", "lost"] {
        let made = titles.iter().filter(|task| task["title"] == title).count();
        assert_eq!(made, 1, "{title}");
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_exit_6() {
    let home = Home::new();
    let ran = home.dormouse(["task", "list", "--server", "unix:/nonexistent/dormouse.sock"]);
    ran.exits(6).errs(&[]).hints();
    assert!(
        !home.path().join("data").exists(),
        "no store of this host was made"
    );
}
