//! The exit code is the outcome's, however a worker ends; and what a worker says on its report channel.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::Value;

use crate::home::{Home, Ran};

fn run(home: &Home, options: &[&str], script: &str) -> Ran {
    let worker = ["--", "sh", "-c", script];
    home.dormouse(["run", "--agent", "alice"].iter().chain(options).chain(&worker))
}

fn outcome(home: &Home) -> Value {
    home.items("runs list")[0]["outcome"].clone()
}

/// A claude that reaches its limit of turns with something to show, and leaves with 1.
fn with_claude() -> (Home, tempfile::TempDir) {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let file = folder.path().join("claude");
    let stream = include_str!("../../crates/engine/tests/fixtures/streams/own/claude_max_turns.jsonl");
    let script = format!("#!/bin/sh\ncat <<'END'\n{}\nEND\nexit 1\n", stream.trim_end());
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    (Home::new().with("PATH", path), folder)
}

const BLOCK: &str = r#"echo '{"block":{"reason":"login_wall","url":"https://a.example/login"}}' >&3; exit 7"#;

/// PR-4
#[test]
fn each_outcome_has_its_exit_code_and_the_worker_its_own() {
    let home = Home::new();
    for (kind, code, own, options, script) in [
        ("success", 0, 0, &[][..], "exit 0"),
        ("failed", 1, 3, &[], "exit 3"),
        ("failed", 1, 137, &[], "kill -9 $$"),
        ("blocked", 11, 7, &[], BLOCK),
        ("timeout", 124, 143, &["--timeout", "1s"], "exec sleep 300"),
    ] {
        run(&home, options, script).exits(code);
        assert_eq!(outcome(&home)["kind"], kind, "{script}");
        let by_worker = [options, &["--exit", "worker"]].concat();
        run(&home, &by_worker, script).exits(own);
    }
    let (claude, _programs) = with_claude();
    let command = ["run", "--agent", "alice", "--", "claude", "-p", "x"];
    claude.dormouse(command).exits(10);
    assert_eq!(outcome(&claude)["kind"], "partial");
    let by_worker = [
        "run", "--agent", "alice", "--exit", "worker", "--", "claude", "-p", "x",
    ];
    claude.dormouse(by_worker).exits(1);
    for (options, code) in [(&[][..], 130), (&["--exit", "worker"], 143)] {
        let worker = ["--", "sh", "-c", "echo up; exec sleep 300"];
        let mut running = home.start(["run", "--agent", "alice"].iter().chain(options).chain(&worker));
        assert_eq!(running.line(), "up");
        running.signal(Signal::INT);
        assert_eq!(running.wait(), Some(code));
        assert_eq!(outcome(&home)["kind"], "cancelled");
    }
    // An external step that was cut, and is called again: whether it happened nobody knows.
    let lost = "pay() { exec dormouse step pay --effect external -- sh -c 'touch begun; exec sleep 60'; }; \
                rm -f begun; pay & until test -e begun; do sleep 0.1; done; kill -9 $!; wait; (pay); sleep 60";
    for options in [&[][..], &["--exit", "worker"]] {
        run(&home, options, lost).exits(12);
        assert_eq!(outcome(&home)["kind"], "lost");
    }
}

#[test]
fn a_block_that_was_reported_is_shown_with_what_was_seen() {
    let home = Home::new();
    run(&home, &[], BLOCK)
        .exits(11)
        .errs(&["login_wall", "https://a.example/login"])
        .hints();
    let id = home.items("runs list")[0]["id"].as_str().unwrap().to_owned();
    let shown = home.type_line(&format!("runs show {id}"));
    for words in ["Blocked (login_wall)", "https://a.example/login"] {
        assert!(shown.stdout.contains(words), "{words}: {shown:?}");
    }
    let task = home.items("task list --all")[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    home.type_line(&format!("task wait {task}")).exits(11);
    let shown = home.type_line(&format!("task show {task}"));
    assert!(shown.stdout.contains("blocked"), "{shown:?}");
}

#[test]
fn a_block_that_is_detected_inside_a_run_is_the_runs() {
    let home = Home::new();
    let page =
        r#"printf '<title>Log in</title><form><input name=u><input type=password></form>' >page.html; "#;
    let detect =
        "dormouse detect page.html --requested-url https://a.example/home --url https://u:w@a.example/login";
    let script = format!("{page}{detect}; echo code $?; dormouse detect - </dev/null; echo code $?");
    let ran = run(&home, &[], &script);
    ran.exits(11);
    assert!(ran.stderr.contains("the run was told"), "{ran:?}");
    assert!(ran.stdout.contains("code 11\nblock\tnone\ncode 0\n"), "{ran:?}");
    let evidence = &outcome(&home)["evidence"];
    assert_eq!(evidence["url"], "https://a.example/login");
    let detail = evidence["detail"].as_str().unwrap();
    assert!(detail.starts_with("rule 6 (login_redirect)"), "{detail}");
    assert!(
        detail.contains("type=password"),
        "the piece of the page: {detail}"
    );
    // What is none is told to nobody.
    run(&home, &[], "echo '<h1>Welcome' | dormouse detect -").exits(0);
}

/// What a worker asks about is judged as its owner's settings say, however long they let a page be.
#[test]
fn a_page_that_is_detected_inside_a_run_is_read_as_far_as_its_owners_settings_say() {
    let page = "{ printf '<title>One moment</title><!--'; head -c 5000000 /dev/zero | tr '\\0' x; \
                printf '%s' '--><form><div class=\"g-recaptcha\" data-sitekey=\"k\"></div></form>'; } >page.html; ";
    let script = format!("{page}dormouse detect page.html --url https://a.example/ --status 200");
    let wide = Home::new().with("DORMOUSE_DETECT_HTML_MAX", "8MiB");
    let ran = run(&wide, &[], &script);
    ran.exits(11);
    assert!(!ran.stderr.contains("of the page were read"), "{ran:?}");
    let narrow = Home::new().with("DORMOUSE_DETECT_HTML_MAX", "64KiB");
    let ran = run(&narrow, &[], &script);
    ran.exits(0);
    let cut = "only the first 65536 bytes of the page were read";
    assert!(ran.stdout.contains(cut) || ran.stderr.contains(cut), "{ran:?}");
}
