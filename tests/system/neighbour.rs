//! Attack your neighbour: a worker of one agent tries everything in section 14 of the secrets' page against another agent, the
//! store and the program. What it got is printed as a table, and it is nothing.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::home::{Home, Running};
use crate::process::{unique_sleep, until_count, with_argument};
use crate::server::Schema;

/// What the neighbour has that nobody may get.
const VALUE: &str = "correct horse battery staple";

/// A row of the table.
#[derive(Debug)]
struct Row {
    way: String,
    against: String,
    got: Option<String>,
    refused: Option<String>,
}

/// Alice at work, with something in her workspace, and what stands in her environment.
struct Alice {
    home: Home,
    running: Running,
    worker: i32,
}

fn alice() -> Alice {
    let home = Home::new();
    let sleep = unique_sleep();
    given(&home, "HER_TOKEN", VALUE);
    let script = format!("echo {} > notes; exec sleep {sleep}", VALUE.replace(' ', "-"));
    let running = home.start(["run", "--agent", "alice", "--", "sh", "-c", &script]);
    until_count(&sleep, 1);
    let worker = i32::try_from(with_argument(&sleep)[0]).expect("the kernel's numbers fit");
    Alice {
        home,
        running,
        worker,
    }
}

/// What a person types, who has a secret for alice.
fn given(home: &Home, name: &str, value: &str) {
    use std::io::Write;
    let mut command = home.command(["secret", "set", name, "--agent", "alice"]);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null());
    let mut child = command.spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("standard input is a pipe");
    input.write_all(value.as_bytes()).expect("the program reads");
    drop(input);
    assert!(child.wait().expect("it ends").success(), "the secret was not set");
}

fn parent(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.expect("every process has a parent")
        .trim()
        .parse()
        .expect("it is a number")
}

/// Every file below a folder with this name.
fn named(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            named(&path, name, found);
        } else if path.file_name().is_some_and(|found| found == name) {
            found.push(path);
        }
    }
}

fn first(folder: &Path, name: &str) -> PathBuf {
    let mut found = Vec::new();
    named(folder, name, &mut found);
    found
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("no {name} below {}", folder.display()))
}

impl Alice {
    fn targets(&self) -> Value {
        let home = self.home.path();
        let keeper = parent(self.worker);
        let token = first(&home.join("state"), "control.token");
        let socket = first_socket(&home.join("run"));
        let runs = socket.with_file_name("runs");
        let notes = self.home.workspace("alice").join("notes");
        let config = home.join("config/config.toml");
        std::fs::create_dir_all(home.join("config")).expect("a folder can be made");
        std::fs::write(&config, "[run]\n").expect("a file can be written");
        json!({
            "processes": [
                ["alice's worker", self.worker],
                ["its keeper", keeper],
                ["the program", self.running.id()],
            ],
            "files": [
                ["alice's notes", notes],
                ["the control token", token],
                ["the key of the secrets", home.join("config/secrets.key")],
                ["the configuration", config],
            ],
            "folders": [
                ["the store", home.join("data/store")],
                ["alice's workspace", self.home.workspace("alice")],
                ["all workspaces", home.join("data/workspaces")],
                ["the state folder", home.join("state")],
                ["the folders of runs", runs],
                ["the configuration folder", home.join("config")],
                ["the home", home],
            ],
            "socket": socket,
            "program": crate::program::program(),
            "home": home,
        })
    }

    /// What bob's worker got, under this policy.
    fn attacked(&self, policy: &str) -> Vec<Row> {
        let targets = self.targets().to_string();
        let neighbour = env!("CARGO_BIN_EXE_neighbour");
        let ran = self.home.dormouse([
            "run",
            "--agent",
            "bob",
            "--isolation",
            policy,
            "--",
            neighbour,
            &targets,
        ]);
        let ran = ran.exits(0);
        assert!(!ran.stdout.contains(VALUE), "{ran:?}");
        let rows: Vec<Row> = ran.stdout.lines().map(row).collect();
        print(policy, &rows);
        rows
    }
}

fn first_socket(folder: &Path) -> PathBuf {
    let mut found = Vec::new();
    named(folder, "control.sock", &mut found);
    found.into_iter().next().expect("the owner serves its socket")
}

fn row(line: &str) -> Row {
    let row: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let text = |key: &str| row[key].as_str().map(str::to_owned);
    Row {
        way: text("way").expect("a way"),
        against: text("against").expect("a target"),
        got: text("got"),
        refused: text("refused"),
    }
}

/// The table: attempt, what it got.
#[allow(clippy::print_stdout, reason = "the table is for who reads the test's output")]
fn print(policy: &str, rows: &[Row]) {
    println!("isolation {policy}: {} attempts", rows.len());
    for row in rows {
        let refused = || format!("nothing: {}", row.refused.as_deref().unwrap_or_default());
        let got = row
            .got
            .as_deref()
            .map_or_else(refused, |got| format!("GOT {got}"));
        println!("  {:<48} {:<40} {got}", row.way, row.against);
    }
}

/// A server has no owner who could see whose descendant it is that asks.
#[test]
fn on_a_server_too_a_worker_opens_no_store_whatever_it_takes_out_of_its_environment() {
    let Some(schema) = Schema::new() else { return };
    let home = schema.home();
    let program = crate::program::program().display();
    // A home of its own, so that no lock and no socket is in its way.
    let plain = "env -u DORMOUSE_RUN_DIR -u DORMOUSE_RUN DORMOUSE_HOME=$PWD/home";
    // With numbers of its own for its processes, and the outer `/proc`.
    let apart = format!("unshare --user --pid --fork {plain}");
    for ask in [plain, &apart] {
        let script = format!(
            "{ask} DORMOUSE_STORE_URL='{}' {program} agent list; echo code $?",
            schema.url()
        );
        let asked = home.dormouse([
            "run",
            "--agent",
            "bob",
            "--isolation",
            "off",
            "--",
            "sh",
            "-c",
            &script,
        ]);
        if asked.stderr.contains("unshare failed") {
            continue; // This machine lets nobody make such a namespace.
        }
        assert_eq!(asked.stdout, "code 4\n", "{asked:?}");
        assert!(
            asked.stderr.contains("a worker does not open the store"),
            "{asked:?}"
        );
    }
    home.type_line("agent list").exits(0);
}

/// Whether this kernel has Landlock, by what the program says.
#[allow(clippy::print_stderr, reason = "a test that sees nothing says so")]
fn has_wall(home: &Home) -> bool {
    let has_wall = home.type_line("doctor").stdout.contains("landlock");
    let must_be = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(has_wall || !must_be, "this kernel has no Landlock, and CI=true");
    if !has_wall {
        eprintln!("SKIPPED: this kernel has no Landlock");
    }
    has_wall
}

fn got(rows: &[Row]) -> Vec<String> {
    let got = rows.iter().filter(|row| row.got.is_some());
    got.map(|row| {
        format!(
            "{}: {}: {}",
            row.way,
            row.against,
            row.got.as_deref().unwrap_or_default()
        )
    })
    .collect()
}

/// SE-50, of a worker whose wall is required; WK-4, with
/// `without_a_wall_a_worker_gets_files_and_its_neighbours_memory_and_nothing_of_the_program`.
#[test]
fn a_worker_gets_nothing_of_its_neighbour() {
    let alice = alice();
    assert_eq!(command_lines_with(VALUE), Vec::<String>::new());
    if !has_wall(&alice.home) {
        return;
    }
    let rows = alice.attacked("required");
    assert!(rows.len() > 100, "only {} attempts", rows.len());
    assert_eq!(got(&rows), Vec::<String>::new());
    let at_the_door: Vec<&Row> = rows
        .iter()
        .filter(|row| row.way == "ask the control socket")
        .collect();
    assert!(!at_the_door.is_empty());
    for row in at_the_door {
        let refused = row.refused.as_deref().unwrap_or_default();
        assert!(refused.contains("403") || refused.contains("denied"), "{row:?}");
    }
}

/// The command lines of this machine's processes that have this in them.
fn command_lines_with(word: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("the system tests need /proc");
    let lines = processes
        .flatten()
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
    lines.filter(|line| line.contains(word)).collect()
}

/// What stands open without a wall, as section 14 says: what is in files, and of other workers everything. The program
/// and its keepers are closed all the same, and so is every door that asks for a token.
///
/// That much is got here shows that the attempts are real ones.
///
/// SE-54; WK-4: who comes to the control socket is answered 403.
#[test]
fn without_a_wall_a_worker_gets_files_and_its_neighbours_memory_and_nothing_of_the_program() {
    let alice = alice();
    let rows = alice.attacked("off");
    let is_open = |row: &Row| {
        let by_path = row.against.contains("alice's")
            || [
                "the control token",
                "the configuration",
                "the key of the secrets",
                "the store",
                "all workspaces",
                "the home",
            ]
            .contains(&row.against.as_str())
            || row.against.starts_with("the state folder")
            || row.against.starts_with("the folders of runs")
            || row.against.starts_with("the configuration folder");
        let is_of_the_machine = ["listen to", "write", "leave for", "read the machine's memory"]
            .contains(&row.way.as_str())
            || row.way.starts_with("make a node");
        by_path || is_of_the_machine || row.way == "signal it" || row.against == "all"
    };
    let more: Vec<&Row> = rows
        .iter()
        .filter(|row| row.got.is_some() && !is_open(row))
        .collect();
    assert!(more.is_empty(), "{more:#?}");
    let at_the_door = rows.iter().filter(|row| row.way == "ask the control socket");
    let mut answers = at_the_door.map(|row| row.refused.as_deref()).peekable();
    assert!(answers.peek().is_some());
    assert!(answers.all(|answer| answer == Some("status 403")), "{rows:?}");
    for (way, against) in [
        ("read the file", "the control token"),
        ("read any file below it", "the store"),
        ("read /proc/PID/environ", "alice's worker"),
        ("read its memory by process_vm_readv", "alice's worker"),
        ("trace it", "alice's worker"),
    ] {
        let row = rows.iter().find(|row| row.way == way && row.against == against);
        assert!(
            row.is_some_and(|row| row.got.is_some()),
            "{way}, {against}: {row:?}"
        );
    }
    let doctor = alice
        .home
        .command(["doctor"])
        .env("DORMOUSE_WORKER_ISOLATION", "off")
        .output();
    let said = String::from_utf8_lossy(&doctor.expect("the program starts").stdout).into_owned();
    for word in [
        "off",
        "the store, its key, tokens",
        "workspaces",
        "environment and memory",
    ] {
        assert!(said.contains(word), "{word:?}: {said}");
    }
}

/// SE-53
#[test]
fn a_crash_of_a_worker_or_of_the_program_leaves_no_core_file() {
    let alice = alice();
    let crash = [
        "run",
        "--agent",
        "bob",
        "--",
        "sh",
        "-c",
        "ulimit -c unlimited; ulimit -c; kill -SEGV $$",
    ];
    let ran = alice.home.dormouse(crash);
    assert_eq!(ran.stdout, "0\n", "{ran:?}");
    alice.running.signal(rustix::process::Signal::ABORT);
    let Alice { home, running, .. } = alice;
    assert_eq!(running.wait(), None, "it was ended by a signal");
    let cores: Vec<PathBuf> = crate::modes::files_below(&home.path())
        .into_iter()
        .chain(crate::modes::files_below(
            home.path().parent().expect("it is in a folder"),
        ))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("core"))
        })
        .collect();
    assert_eq!(cores, Vec::<PathBuf>::new());
}

#[test]
fn what_is_opened_for_a_worker_is_open_and_what_must_stay_closed_cannot_be() {
    let home = Home::new();
    let shelf = home.path().parent().expect("it is in a folder").join("shelf");
    std::fs::create_dir_all(&shelf).expect("a folder can be made");
    std::fs::write(shelf.join("book"), "read me\n").expect("a file can be written");
    let shelf = shelf.to_str().expect("the test's paths are text");
    let book = format!("cat {shelf}/book");
    let read = |flags: &[&str]| {
        let mut words = vec!["run", "--agent", "alice"];
        words.extend(flags);
        words.extend(["--", "sh", "-c", &book]);
        home.dormouse(words)
    };
    if has_wall(&home) {
        let ran = read(&[]);
        assert_eq!(ran.stdout, "", "{ran:?}");
    }
    assert_eq!(read(&["--read", shelf]).exits(0).stdout, "read me\n");
    assert_eq!(read(&["--write", shelf]).exits(0).stdout, "read me\n");
    assert_eq!(read(&["--isolation", "off"]).exits(0).stdout, "read me\n");
    let data = home.path().join("data");
    for closed in [
        data.join("store"),
        data.clone(),
        data.join("workspaces"),
        home.path().join("state"),
    ] {
        let closed = closed.to_str().expect("the test's paths are text");
        let ran = read(&["--read", closed]);
        assert!(
            ran.code() != Some(0) && ran.stderr.contains("stays closed"),
            "{ran:?}"
        );
    }
    read(&["--read", "/nowhere/at/all"])
        .exits(2)
        .errs(&["--read", "is not there"])
        .hints();
    read(&["--isolation", "soft"]).exits(2).errs(&["required"]);
}
