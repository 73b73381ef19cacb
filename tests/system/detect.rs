//! `dormouse detect`: a page's verdict as text, as JSON and as exit code, without a store.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::home::{Home, Ran};

const LOGIN: &str = "<title>Log in</title><form><input name=user><input type=password name=word></form>";

fn with_page(html: impl AsRef<[u8]>) -> Home {
    let home = Home::new();
    fs::create_dir_all(home.path()).expect("a folder can be made");
    fs::write(home.path().join("page.html"), html).expect("a page can be written");
    home
}

fn detect(home: &Home, more: &[&str]) -> Ran {
    let page = home.path().join("page.html");
    let page = page.to_str().expect("a path of letters");
    home.dormouse(["detect", page].iter().chain(more))
}

#[test]
fn a_login_wall_exits_with_11_and_says_which_rule() {
    let home = with_page(LOGIN);
    let addresses = [
        "--requested-url",
        "https://a.example/dashboard",
        "--url",
        "https://me:word@a.example/login",
    ];
    let ran = detect(&home, &addresses);
    ran.exits(11);
    assert_eq!(
        ran.stdout,
        "block\tLoginWall\nrule\t6 login_redirect\nmarkers\tlogin path\nurl\thttps://a.example/login\n"
    );
    let json = home.dormouse(
        [
            "detect",
            home.path().join("page.html").to_str().expect("a path of letters"),
            "--json",
        ]
        .iter()
        .chain(&addresses),
    );
    json.exits(11);
    let json = json.json();
    assert_eq!(json["block"]["reason"]["kind"], "login_wall");
    assert_eq!(json["block"]["evidence"]["final_url"], "https://a.example/login");
    assert_eq!(json["trace"][0]["rule"], "login_redirect");
    assert!(!home.path().join("data").exists(), "no store was made");
}

#[test]
fn headers_and_status_decide_too_and_a_plain_page_is_none() {
    let home = with_page("<h1>Welcome</h1>");
    let none = detect(&home, &["--status", "200"]);
    none.exits(0);
    assert_eq!(none.stdout, "block\tnone\n");
    let fraud = detect(&home, &["--status", "403", "--header", "CF-Mitigated: challenge"]);
    fraud.exits(11);
    assert!(
        fraud
            .stdout
            .starts_with("block\tFraudDetect\nvendor\tcloudflare\n"),
        "{}",
        fraud.stdout
    );
    let limit = detect(&home, &["--status", "429", "--header", "Retry-After:30"]);
    limit.exits(11);
    assert!(
        limit.stdout.starts_with("block\tRateLimit\nretry_after\t30s\n"),
        "{}",
        limit.stdout
    );
}

#[test]
fn a_page_on_stdin_is_judged_inside_a_run_too() {
    let home = Home::new().with("DORMOUSE_RUN_DIR", "/nowhere");
    let mut command = home.command(["detect", "-", "--status", "403"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("it was asked for");
    stdin.write_all(b"<div class=h-captcha></div>").expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(11));
    assert!(String::from_utf8_lossy(&output.stdout).contains("hcaptcha"));
}

#[test]
fn a_long_page_is_cut_and_that_is_said() {
    let home = with_page("a".repeat(3 << 20));
    let ran = detect(&home, &[]);
    ran.exits(0);
    assert!(ran.stderr.contains("first 2097152 bytes"), "{ran:?}");
}

#[test]
fn what_cannot_be_read_and_what_is_no_header_is_refused() {
    let home = Home::new();
    home.type_line("detect nothing.html")
        .exits(2)
        .errs(&["nothing.html"])
        .hints();
    home.type_line("detect - --header nonsense")
        .exits(2)
        .errs(&["NAME:VALUE"]);
    home.type_line("detect - --status 42").exits(2).errs(&["42"]);
    for address in ["a.example/login", "file:///etc/hosts"] {
        for option in ["--url", "--requested-url"] {
            home.type_line(&format!("detect - {option} {address}"))
                .exits(2)
                .errs(&[address, "https://"]);
        }
    }
}
