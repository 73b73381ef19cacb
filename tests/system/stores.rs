//! The same program on every backend, and the store itself: looked through and repaired.

use std::path::PathBuf;

use crate::home::Home;
use crate::modes::files_below;
use crate::process::{unique_sleep, until_count, with_argument};
use crate::server::Schema;

/// A home whose store is in a folder beside it, by this backend.
fn in_folder(scheme: &str) -> (Home, PathBuf) {
    let home = Home::new();
    let folder = home.path().with_file_name("elsewhere");
    let url = format!("{scheme}:{}", folder.display());
    (home.with("DORMOUSE_STORE_URL", url), folder)
}

/// What a user does first, and what is there of it afterwards.
fn works(home: &Home, backend: &str) {
    let ran = home.dormouse(["run", "--agent", "alice", "--", "sh", "-c", "echo hi; pwd"]);
    ran.exits(0);
    let workspace = home.workspace("alice");
    assert_eq!(ran.stdout, format!("hi\n{}\n", workspace.display()), "{ran:?}");
    let runs = home.items("runs list");
    assert_eq!(runs[0]["outcome"]["kind"], "success", "{runs:#?}");
    let id = runs[0]["id"].as_str().unwrap();
    assert!(
        home.type_line(&format!("runs logs {id}"))
            .stdout
            .starts_with("hi\n")
    );
    let doctor = home.type_line("doctor");
    doctor.exits(0);
    for word in [
        backend,
        "durability power_loss",
        "format 1",
        "no migration pending",
    ] {
        assert!(doctor.stdout.contains(word), "{word:?}: {doctor:?}");
    }
    let check = home.json("store check");
    assert_eq!(check["sound"], true, "{check:#}");
    assert!(
        check["records"].as_u64() > Some(0) && check["entries"].as_u64() > Some(0),
        "{check:#}"
    );
}

#[test]
fn the_program_works_on_a_store_of_readable_files() {
    let (home, folder) = in_folder("file");
    works(&home, "file:");
    assert!(folder.join("records").is_dir());
    assert!(
        !home.path().join("data/store").exists(),
        "nothing of it lies elsewhere"
    );
}

#[test]
fn the_program_works_on_the_embedded_default_and_where_it_is_named() {
    let default = Home::new();
    works(&default, "sled:");
    assert!(default.path().join("data/store/FORMAT").is_file());
    let (named, folder) = in_folder("sled");
    works(&named, "sled:");
    assert!(folder.join("FORMAT").is_file());
}

#[test]
fn the_program_works_on_a_server_and_shows_no_password() {
    let Some(schema) = Schema::new() else { return };
    let home = schema.home();
    works(&home, "postgres:");
    let password = schema.password();
    for line in [
        "config list --origin",
        "config list -o json",
        "config path",
        "doctor",
        "store check -vv",
        "task list -vv",
    ] {
        let ran = home.type_line(line);
        ran.exits(0);
        assert!(!format!("{ran:?}").contains(&password), "{line}");
    }
    assert!(home.type_line("config list").stdout.contains("postgres://"));
    assert!(home.type_line("doctor").stdout.contains("PostgreSQL"));
    for file in files_below(&home.path()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&bytes).contains(&password),
            "{}",
            file.display()
        );
    }
}

#[test]
fn a_password_comes_from_pgpass_too_and_a_wrong_one_is_not_repeated() {
    use std::os::unix::fs::PermissionsExt;
    let Some(schema) = Schema::new() else { return };
    let password = schema.password();
    let bare = schema.url().replace(&format!(":{password}@"), "@");
    assert_ne!(bare, schema.url());
    let home = schema.home().with("DORMOUSE_STORE_URL", &bare);
    let refused = home.type_line("task list");
    assert_ne!(refused.code(), Some(0), "there is no password yet: {refused:?}");
    let pgpass = home.path().with_file_name(".pgpass");
    std::fs::write(&pgpass, format!("*:*:*:*:{password}\n")).unwrap();
    std::fs::set_permissions(&pgpass, std::fs::Permissions::from_mode(0o600)).unwrap();
    home.type_line("task list").exits(0);
    let wrong = schema.url().replace(&password, "hunter2hunter2");
    let home = schema.home().with("DORMOUSE_STORE_URL", wrong);
    let refused = home.type_line("task list -vv");
    refused.exits(2).errs(&["does not let this user in"]).hints();
    assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
}

#[test]
fn memory_is_refused_because_it_forgets() {
    let home = Home::new().with("DORMOUSE_STORE_URL", "memory:");
    home.type_line("run --agent alice -- true")
        .exits(2)
        .errs(&["memory:", "forgets"])
        .hints();
    let doctor = home.type_line("doctor");
    doctor.exits(1);
    assert!(
        doctor.stdout.contains("durability volatile") && doctor.stdout.contains("fix:"),
        "{doctor:?}"
    );
}

#[test]
fn a_store_for_one_machine_is_refused_where_several_are_asked_for() {
    let home = Home::new().with("DORMOUSE_STORE_REACH", "cluster");
    home.type_line("task list")
        .exits(2)
        .errs(&["one machine", "store.reach"])
        .hints();
    let Some(schema) = Schema::new() else { return };
    let home = schema.home().with("DORMOUSE_STORE_REACH", "cluster");
    home.type_line("task list").exits(0);
}

#[test]
fn settings_of_the_store_are_refused_by_name() {
    for (variable, value, key, said) in [
        ("DORMOUSE_STORE_POOL", "0", "store.pool", "1 to 1000"),
        ("DORMOUSE_STORE_CACHE", "64", "store.cache", "64MiB"),
        ("DORMOUSE_STORE_SEGMENT", "0MiB", "store.segment", "1MiB to 1GiB"),
        (
            "DORMOUSE_STORE_CLEANER_SHARE",
            "100%",
            "store.cleaner_share",
            "1% to 99%",
        ),
        ("DORMOUSE_STORE_CHECKOUT", "12s", "store.checkout", "is taken"),
        ("DORMOUSE_STORE_SCHEMA", "a;b", "store.schema", "[a-z_]"),
        (
            "DORMOUSE_STORE_REACH",
            "clustre",
            "store.reach",
            "process, cluster",
        ),
        (
            "DORMOUSE_STORE_URL",
            "slde:/a",
            "store.url",
            "did you mean sled:?",
        ),
    ] {
        let home = Home::new().with(variable, value);
        home.type_line("task list").exits(2).errs(&[key, said]);
        assert!(!home.path().join("data").exists(), "{key}: something was made");
    }
}

/// ST-44
#[test]
fn leases_whose_times_do_not_go_together_are_refused_by_the_names_of_both() {
    for (set, keys) in [
        (vec![("DORMOUSE_STORE_CHECKOUT", "10s")], vec!["store.checkout"]),
        (
            vec![
                ("DORMOUSE_STORE_CHECKOUT", "1s"),
                ("DORMOUSE_LEASE_HEARTBEAT", "10s"),
            ],
            vec!["store.commit_deadline", "lease.heartbeat"],
        ),
        (
            vec![("DORMOUSE_LEASE_HEARTBEAT", "30001ms")],
            vec!["lease.heartbeat", "lease.ttl"],
        ),
        (
            vec![("DORMOUSE_LEASE_TTL", "59s")],
            vec!["lease.heartbeat", "lease.ttl"],
        ),
        (
            vec![("DORMOUSE_LEASE_SELF_STOP", "20s")],
            vec!["lease.heartbeat", "lease.self_stop"],
        ),
        (
            vec![("DORMOUSE_LEASE_SELF_STOP", "90s")],
            vec!["lease.self_stop", "lease.ttl"],
        ),
        (
            vec![("DORMOUSE_LEASE_RUNWAY", "90s")],
            vec!["lease.runway", "lease.ttl"],
        ),
        (
            vec![("DORMOUSE_LEASE_SKEW", "90s")],
            vec!["lease.skew", "lease.ttl"],
        ),
        (vec![("DORMOUSE_LEASE_TTL", "0s")], vec!["lease.ttl"]),
        (vec![("DORMOUSE_LEASE_HEARTBEAT", "0s")], vec!["lease.heartbeat"]),
        (vec![("DORMOUSE_LEASE_SKEW", "0s")], vec!["lease.skew"]),
        (vec![("DORMOUSE_LEASE_SELF_STOP", "0s")], vec!["lease.self_stop"]),
        (vec![("DORMOUSE_LEASE_RUNWAY", "0s")], vec!["lease.runway"]),
        (vec![("DORMOUSE_LEASE_BATCH_MAX", "0")], vec!["lease.batch_max"]),
        (vec![("DORMOUSE_LEASE_BATCH_MAX", "257")], vec!["lease.batch_max"]),
        (vec![("DORMOUSE_STORE_CHECKOUT", "0s")], vec!["store.checkout"]),
        (
            vec![("DORMOUSE_STORE_COMMIT_DEADLINE", "0s")],
            vec!["store.commit_deadline"],
        ),
    ] {
        let home = set
            .into_iter()
            .fold(Home::new(), |home, (name, value)| home.with(name, value));
        for line in ["serve", "task list"] {
            home.type_line(line).exits(2).errs(&keys).hints();
        }
        assert!(!home.path().join("data").exists(), "{keys:?}: something was made");
    }
    // By a file as well.
    let home = Home::new();
    std::fs::create_dir_all(home.path().join("config")).unwrap();
    let file = home.path().join("config/config.toml");
    std::fs::write(file, "[lease]\nttl = \"50s\"\n").unwrap();
    home.type_line("serve")
        .exits(2)
        .errs(&["lease.heartbeat", "lease.ttl"])
        .hints();
}

#[test]
fn two_machines_on_one_server_leave_each_others_runs_alone() {
    let Some(schema) = Schema::new() else { return };
    let (one, other) = (schema.home(), schema.home());
    let sleep = unique_sleep();
    let running = one.start(["run", "--agent", "alice", "--", "sleep", &sleep]);
    until_count(&sleep, 2);
    other.type_line("run --agent bob -- true").exits(0);
    let run_of = |home: &Home, agent: &str| {
        let runs = home.items("runs list");
        let run = runs.into_iter().find(|run| run["agent"] == agent);
        run.unwrap_or_else(|| panic!("{agent} has a run"))
    };
    assert_eq!(run_of(&other, "alice")["state"], "running", "seen, and not ended");
    assert_eq!(with_argument(&sleep).len(), 2, "nor was it killed");
    running.kill();
    until_count(&sleep, 0);
    // Its lease has not expired, and whether its owner is dead another home cannot know.
    assert_eq!(run_of(&other, "alice")["state"], "running");
    // Its own home can: it has the lock.
    let lost = run_of(&one, "alice");
    assert_eq!(lost["outcome"]["kind"], "lost", "{lost:#}");
    assert_eq!(run_of(&other, "alice")["outcome"]["kind"], "lost");
    assert_eq!(run_of(&one, "bob")["outcome"]["kind"], "success");
}

#[test]
fn doctor_says_what_is_pending_and_what_is_too_new() {
    let Some(schema) = Schema::new() else { return };
    let home = schema.home();
    let empty = home.type_line("doctor");
    empty.exits(0);
    assert!(empty.stdout.contains("is empty"), "{empty:?}");
    home.type_line("agent add alice").exits(0);
    schema.execute("UPDATE \"{s}\".dormouse_meta SET schema = 99");
    let newer = home.type_line("doctor");
    newer.exits(1);
    assert!(
        newer.stdout.contains("99") && newer.stdout.contains("upgrade"),
        "{newer:?}"
    );
    home.type_line("task list").exits(1).errs(&["99"]);
}

#[test]
fn check_says_who_has_the_store() {
    for home in [Home::new(), in_folder("file").0] {
        home.type_line("store check").exits(3).errs(&["no store"]).hints();
        let sleep = unique_sleep();
        let running = home.start(["run", "--agent", "alice", "--", "sleep", &sleep]);
        until_count(&sleep, 2);
        home.type_line("store check").exits(6).errs(&["process"]).hints();
        drop(running);
    }
}

#[test]
fn check_finds_a_file_that_was_edited_and_repair_takes_it() {
    let (home, folder) = in_folder("file");
    home.type_line("agent add alice").exits(0);
    home.type_line("store check").exits(0);
    let records = files_below(&folder.join("records"));
    let is_agent =
        |path: &&PathBuf| std::fs::read_to_string(path).is_ok_and(|text| text.contains("kind=agent "));
    let file = records.iter().find(is_agent).expect("the agent is a file");
    let text = std::fs::read_to_string(file).unwrap();
    let edited = text.replace("\"concurrency\":1", "\"concurrency\":3");
    assert_ne!(text, edited);
    std::fs::write(file, edited).unwrap();
    let found = home.type_line("store check -o json");
    found.exits(1);
    let damaged = found.json()["damaged"].clone();
    assert!(damaged[0].as_str().unwrap().contains("agent"), "{damaged:#}");
    let repaired = home.type_line("store check --repair -o json");
    repaired.exits(0);
    assert_eq!(
        repaired.json()["repaired"].as_array().unwrap().len(),
        1,
        "{repaired:?}"
    );
    home.type_line("store check").exits(0);
    assert_eq!(
        home.json("agent show alice")["concurrency"],
        3,
        "what was edited holds"
    );
}

#[test]
fn check_finds_a_damaged_log_and_repair_keeps_its_bytes() {
    let home = Home::new();
    for name in ["alice", "bob", "carol"] {
        home.type_line(&format!("agent add {name}")).exits(0);
    }
    let store = home.path().join("data/store");
    let log = files_below(&store.join("log"));
    let segment = log
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .max_by_key(|path| {
            std::fs::read(path)
                .unwrap()
                .iter()
                .filter(|byte| **byte != 0)
                .count()
        })
        .expect("the log has a segment");
    let mut bytes = std::fs::read(segment).unwrap();
    let at = find(&bytes, b"alice").expect("the record is in the log");
    bytes[at] ^= 0xff;
    std::fs::write(segment, &bytes).unwrap();
    let found = home.type_line("store check");
    found.exits(1);
    assert!(
        found.stdout.contains("damage") && found.stderr.contains("--repair"),
        "{found:?}"
    );
    let repaired = home.type_line("store check --repair -o json");
    // An event was acknowledged and is lost: that is told as long as it would be looked for.
    repaired.exits(1);
    let report = repaired.json();
    assert!(
        report["damaged"][0].as_str().unwrap().contains("events"),
        "{report:#}"
    );
    let kept = report["log"]["kept"][0]
        .as_str()
        .expect("the bytes are kept")
        .to_owned();
    let kept = std::fs::read(store.join(kept)).unwrap();
    assert!(
        kept.windows(5).any(|window| window == b"\x9elice"),
        "as they were"
    );
    home.type_line("store check").exits(1);
    assert!(home.type_line("agent list").stdout.contains("carol"));
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|window| window == word)
}

#[test]
fn a_store_is_taken_from_one_backend_to_another_also_while_it_is_at_work() {
    let home = Home::new();
    home.dormouse(["run", "--agent", "alice", "--", "sh", "-c", "echo kept"])
        .exits(0);
    let alone = home.path().with_file_name("alone");
    let exported = home.dormouse(["store", "export", alone.to_str().unwrap(), "-o", "json"]);
    exported.exits(0);
    assert!(exported.json()["records"].as_u64() > Some(0), "{exported:?}");
    let again = home.dormouse(["store", "export", alone.to_str().unwrap()]);
    again.exits(7).errs(&["there already"]).hints();

    let sleep = unique_sleep();
    let running = home.start(["run", "--agent", "bob", "--", "sleep", &sleep]);
    until_count(&sleep, 2);
    let at_work = home.path().with_file_name("at-work");
    home.dormouse(["store", "export", at_work.to_str().unwrap()])
        .exits(0);
    drop(running);

    let (target, folder) = in_folder("file");
    let url = format!("file:{}", folder.display());
    home.dormouse(["store", "import", at_work.to_str().unwrap(), "--into", &url])
        .exits(0);
    home.dormouse(["store", "import", alone.to_str().unwrap(), "--into", &url])
        .exits(7)
        .errs(&["not empty"])
        .hints();
    let runs = target.items("runs list --agent alice");
    let id = runs[0]["id"].as_str().unwrap();
    assert_eq!(target.type_line(&format!("runs logs {id}")).stdout, "kept\n");

    let mut cut = std::fs::read(&alone).unwrap();
    cut.truncate(cut.len() - 1);
    std::fs::write(&alone, cut).unwrap();
    let (empty, folder) = in_folder("sled");
    empty
        .dormouse(["store", "import", alone.to_str().unwrap()])
        .exits(2)
        .errs(&["cut"])
        .hints();
    assert!(!folder.join("FORMAT").exists(), "nothing was made");
}

#[test]
fn a_row_that_cannot_be_believed_is_listed_kept_shown_and_thrown_away() {
    let (home, folder) = in_folder("file");
    home.type_line("agent add alice").exits(0);
    home.type_line("agent add bob").exits(0);
    let records = files_below(&folder.join("records"));
    let is_hers = |path: &&PathBuf| {
        std::fs::read_to_string(path)
            .is_ok_and(|text| text.contains("kind=agent ") && text.contains("\"alice\""))
    };
    let file = records.iter().find(is_hers).expect("the agent is a file");
    let text = std::fs::read_to_string(file).unwrap();
    let edited = text.replace("\"state\":\"active\"", "\"state\":\"odd\"");
    assert_ne!(text, edited);
    std::fs::write(file, edited).unwrap();
    let repaired = home.type_line("store check --repair");
    repaired.exits(1);
    assert!(repaired.stderr.contains("dead-letters"), "{repaired:?}");
    let checked = home.type_line("store check -o json");
    checked.exits(1);
    let bad = checked.json()["bad"][0].clone();
    assert_eq!(
        (bad["kind"].as_str(), bad["id"].as_str()),
        (Some("agent"), Some("alice")),
        "{bad:#}"
    );
    assert_eq!(bad["done"], "left", "{bad:#}");
    home.type_line("agent show alice").exits(1);
    home.type_line("agent show bob").exits(0);
    let kept = home.items("store dead-letters");
    assert_eq!(kept.len(), 1, "{kept:#?}");
    assert_eq!(kept[0]["store"], "quarantine");
    let name = kept[0]["name"].as_str().unwrap();
    let shown = home.type_line(&format!("store dead-letters show {name}"));
    shown.exits(0);
    assert!(shown.stdout.contains("odd"), "{shown:?}");
    home.type_line(&format!("store dead-letters discard {name}"))
        .exits(0);
    assert!(home.items("store dead-letters").is_empty());
    home.type_line(&format!("store dead-letters show {name}"))
        .exits(3);
}
