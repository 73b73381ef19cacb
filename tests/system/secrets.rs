//! Credentials: lent to the workers of their agent, taken out of all that those print, and found nowhere else.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::home::{Home, Ran};
use crate::modes::files_below;
use crate::server::Schema;
use crate::wait::until;

/// Long enough for each spelling, and with nothing that an id has.
pub(crate) const TOKEN: &str = "kR7-wombat-sleeps+9Zx/quietly=Yy31";

/// Every kind of store that this machine has. A server's schema is removed with the second.
pub(crate) fn homes() -> Vec<(Home, Option<Schema>)> {
    let shared = Schema::new().map(|schema| (schema.home(), Some(schema)));
    [(Home::new(), None)].into_iter().chain(shared).collect()
}

/// Runs a command that reads this.
pub(crate) fn fed(home: &Home, words: &[&str], stdin: &str) -> Ran {
    let mut child = home
        .command(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut pipe = child.stdin.take().expect("it is a pipe");
    // One that is refused at once reads nothing.
    let _ = pipe.write_all(stdin.as_bytes());
    drop(pipe);
    let output = child.wait_with_output().expect("it ends");
    Ran::ended(&words.join(" "), &output)
}

pub(crate) fn set(home: &Home, name: &str, whose: &[&str], value: &str) {
    let words = [&["secret", "set", name], whose].concat();
    fed(home, &words, value).exits(0);
}

/// What a worker of this agent prints.
pub(crate) fn worker(home: &Home, agent: &str, script: &str) -> Ran {
    home.dormouse(["run", "--agent", agent, "--", "sh", "-c", script])
}

/// Every spelling of the value that stands as it is in a byte string.
fn spellings(value: &str) -> Vec<Vec<u8>> {
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let base64 =
        Ran::of(std::process::Command::new("sh").args(["-c", "printf %s \"$1\" | base64 -w0", "sh", value]));
    // Its last characters depend on what stands behind.
    let base64 = base64.stdout.as_bytes()[..value.len() / 3 * 4].to_vec();
    vec![value.as_bytes().to_vec(), hex.into_bytes(), base64]
}

/// Whether no file has the value, in any spelling that is looked for.
#[track_caller]
pub(crate) fn is_nowhere(home: &Home, value: &str) {
    let spellings = spellings(value);
    let mut looked_at = 0;
    for path in files_below(home.path().parent().unwrap()) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        looked_at += 1;
        for spelling in &spellings {
            let found = bytes
                .windows(spelling.len())
                .any(|window| window == &spelling[..]);
            assert!(
                !found,
                "{} has {}",
                path.display(),
                String::from_utf8_lossy(spelling)
            );
        }
    }
    assert!(looked_at > 3, "there are files to look at");
}

/// The whole store as one file beside the home, so that what a server keeps is looked at too.
pub(crate) fn exported(home: &Home) {
    let file = home.path().with_file_name("store.dormouse");
    home.dormouse(["store", "export", file.to_str().unwrap()])
        .exits(0);
}

#[test]
fn a_value_is_lent_to_its_agent_alone_and_is_nowhere_in_any_spelling() {
    for (home, _schema) in homes() {
        set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
        let script = r#"echo $GH_TOKEN; printf %s "$GH_TOKEN" | base64; printf %s "$GH_TOKEN" | od -An -tx1 | tr -d " \n""#;
        let ran = worker(&home, "alice", script);
        ran.exits(0);
        assert_eq!(ran.stdout.matches("[redacted:GH_TOKEN]").count(), 3, "{ran:?}");
        assert!(!format!("{ran:?}").contains(TOKEN), "{ran:?}");
        // It is the value, though nobody sees it.
        let sum = worker(&home, "alice", r#"printf %s "$GH_TOKEN" | cksum"#);
        let own =
            Ran::of(std::process::Command::new("sh").args(["-c", "printf %s \"$1\" | cksum", "sh", TOKEN]));
        assert_eq!(sum.stdout, own.stdout);
        let ran = worker(&home, "bob", "echo [$GH_TOKEN]");
        ran.exits(0);
        assert_eq!(ran.stdout, "[]\n");
        let run = home.items("runs list").pop().unwrap();
        home.type_line(&format!("runs logs {}", run["id"].as_str().unwrap()))
            .exits(0);
        exported(&home);
        is_nowhere(&home, TOKEN);
        let key = home.path().join("config/secrets.key");
        assert!(key.is_file(), "the key is in the configuration folder");
        crate::modes::is_ours_alone(&key);
    }
}

/// SE-49, with `a_worker_is_told_no_more_names_than_it_was_given`
#[test]
fn no_command_line_of_any_process_has_the_value_while_a_worker_runs() {
    let home = Home::new();
    set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
    let sleep = crate::process::unique_sleep();
    let words = ["run", "--agent", "alice", "--", "sh", "-c"];
    let script = format!("test -n \"$GH_TOKEN\" && sleep {sleep}");
    let running = home.start(words.iter().copied().chain([script.as_str()]));
    crate::process::until_count(&sleep, 1);
    let mut looked_at = 0;
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(line) = std::fs::read(process.path().join("cmdline")) else {
            continue;
        };
        looked_at += 1;
        for spelling in spellings(TOKEN) {
            // The tests themselves hand it to no command but printf's, which has ended.
            let found = line.windows(spelling.len()).any(|window| window == &spelling[..]);
            assert!(
                !found,
                "{}: {}",
                process.path().display(),
                String::from_utf8_lossy(&line)
            );
        }
    }
    assert!(looked_at > 3);
    running.kill();
}

/// The names that a worker finds in its environment beside those that everyone has.
fn names_of(home: &Home, words: &[&str]) -> Vec<String> {
    let all = [&["run", "--agent", "alice"], words, &["--", "sh", "-c", "env"]].concat();
    let ran = home.dormouse(&all);
    ran.exits(0);
    let documented = "CI DORMOUSE_REPORT_FD DORMOUSE_RUN DORMOUSE_RUN_DIR HOME LANG NO_COLOR PATH TERM TMPDIR TZ USER PWD OLDPWD SHLVL _";
    let names = ran
        .stdout
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0));
    let mut names: Vec<String> = names
        .filter(|name| !documented.split(' ').any(|known| known == *name))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

/// SE-48
#[test]
fn a_worker_is_told_no_more_names_than_it_was_given() {
    let home = Home::new();
    for (name, whose) in [
        ("ONE", &["--shared"][..]),
        ("TWO", &["--agent", "alice"]),
        ("THREE", &["--agent", "alice"]),
        ("FOUR", &["--agent", "alice", "--category", "system"]),
        ("FIVE", &["--agent", "bob"]),
    ] {
        set(&home, name, whose, &format!("{TOKEN}-{name}"));
    }
    assert_eq!(names_of(&home, &[]), ["ONE", "THREE", "TWO"]);
    assert_eq!(
        names_of(&home, &["--secret", "TWO", "--secret", "ONE"]),
        ["ONE", "TWO"]
    );
    home.type_line("agent set alice secrets=THREE").exits(0);
    assert_eq!(names_of(&home, &[]), ["THREE"], "the agent's list");
    assert_eq!(
        names_of(&home, &["--secret", "TWO"]),
        ["TWO"],
        "the command's goes before"
    );
    let ran = home.dormouse(["run", "--agent", "alice", "--secret", "SIX", "--", "true"]);
    ran.exits(1).errs(&["SIX"]).hints();
    let runs = home.items("runs list");
    let last = runs
        .iter()
        .find(|run| run["outcome"]["kind"] == "failed")
        .unwrap();
    assert_eq!(last["outcome"]["reason"], "secret_unavailable", "{last:#}");
    assert_eq!(last["facts"]["exit"], Value::Null, "nothing ran: {last:#}");
    let refused = home.type_line("secret delete THREE --agent alice --yes");
    refused.exits(7).errs(&["agent alice"]).hints();
    home.type_line("secret delete THREE --agent alice --yes --force")
        .exits(0);
    home.type_line("run --agent alice -- true").exits(1);
}

#[test]
fn a_variable_of_the_name_of_a_secret_starts_nothing() {
    let home = Home::new();
    set(&home, "DEPLOY_URL", &["--agent", "alice"], TOKEN);
    let ran = home.dormouse([
        "run",
        "--agent",
        "alice",
        "--env",
        "DEPLOY_URL=x",
        "--",
        "touch",
        "ran",
    ]);
    ran.exits(1).errs(&["DEPLOY_URL", "secrets of its agent"]);
    assert!(!home.workspace("alice").join("ran").exists(), "nothing ran");
    assert!(!format!("{ran:?}").contains(TOKEN));
}

#[test]
fn while_it_is_locked_a_task_stays_ready_and_one_that_needs_nothing_runs() {
    for (home, _schema) in homes() {
        set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
        home.type_line("secret lock").exits(0);
        let ran = home.type_line("run --agent alice -- true");
        ran.exits(4).errs(&["vault is locked", "stays ready"]).hints();
        let task = home.items("task list").remove(0);
        let id = task["id"].as_str().unwrap();
        let shown = home.json(&format!("task show {id}"));
        assert_eq!(
            (&shown["state"], &shown["reason"]),
            (&"ready".into(), &"locked".into()),
            "{shown:#}"
        );
        assert!(home.items("runs list").is_empty(), "no run was made");
        home.type_line("run --agent bob -- true").exits(0);
        // What is refused, and what is not.
        fed(&home, &["secret", "set", "OTHER", "--agent", "alice"], TOKEN).exits(4);
        for line in [
            "secret delete GH_TOKEN --agent alice --yes",
            "secret rotate",
            "secret rekey",
        ] {
            home.type_line(line).exits(4).hints();
        }
        for line in [
            "secret list",
            "secret status",
            "secret show GH_TOKEN --agent alice",
            "secret slots",
        ] {
            home.type_line(line).exits(0);
        }
        assert_eq!(home.json("secret status")["vault"], "locked");
        home.type_line("secret unlock").exits(0);
        let again = home.dormouse(["run", id]);
        again.exits(0);
        assert_eq!(home.json(&format!("task show {id}"))["state"], "done");
    }
}

/// SE-47, with `what_waits_for_its_secrets_is_begun_when_they_are_unlocked` of the engine's tests. A lane looks by itself once a
/// minute, which is longer than is waited for here.
#[test]
fn a_server_begins_what_waits_for_secrets_when_they_are_unlocked_and_by_nothing_else() {
    let home = Home::new();
    set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
    home.dormouse(["agent", "add", "bob"]).exits(0);
    let aside = home.path().with_file_name("aside.key");
    std::fs::rename(home.path().join("config/secrets.key"), &aside).unwrap();
    let mut serving = home.start(["serve"]);
    serving.until_said("serving");
    let added = |agent: &str| {
        let ran = home.dormouse(["task", "add", "-o", "json", "--agent", agent, "--", "true"]);
        ran.exits(0);
        ran.json()["id"].as_str().unwrap().to_owned()
    };
    let (locked, free) = (added("alice"), added("bob"));
    let shown = |task: &str| home.json(&format!("task show {task}"));
    let is_done = |task: &str| (shown(task)["state"] == "done").then_some(());
    until("an empty set is run at once", || is_done(&free));
    let waits = shown(&locked);
    assert_eq!(
        (&waits["state"], &waits["reason"]),
        (&"ready".into(), &"locked".into())
    );
    assert!(
        home.items("runs list --agent alice").is_empty(),
        "nothing was claimed"
    );
    assert_eq!(home.json("secret status")["vault"], "sealed");
    home.dormouse(["secret", "unlock", "--key-file", aside.to_str().unwrap()])
        .exits(0);
    until("it is begun by that", || is_done(&locked));
    serving.signal(rustix::process::Signal::TERM);
    assert_eq!(serving.wait(), Some(0));
}

#[test]
fn a_key_that_is_gone_or_another_opens_nothing_and_is_told_apart() {
    let home = Home::new();
    set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
    let key = home.path().join("config/secrets.key");
    let aside = home.path().with_file_name("aside.key");
    std::fs::rename(&key, &aside).unwrap();
    assert_eq!(home.json("secret status")["vault"], "sealed");
    home.type_line("run --agent alice -- true").exits(4).hints();
    fed(&home, &["secret", "set", "OTHER", "--agent", "alice"], TOKEN).exits(4);
    assert!(!key.exists(), "no other key was made in its place");
    let doctor = home.type_line("secret doctor");
    doctor.exits(1);
    assert!(doctor.stdout.contains("fix:"), "{doctor:?}");
    let other = home.path().with_file_name("other.key");
    write_key(
        &other,
        "00112233445566778899aabbccddeeff".repeat(2).as_bytes(),
        0o600,
    );
    let unlock =
        |file: &std::path::Path| home.dormouse(["secret", "unlock", "--key-file", file.to_str().unwrap()]);
    unlock(&other).exits(4).errs(&["opens no slot"]).hints();
    let bad = home.path().with_file_name("bad.key");
    write_key(&bad, b"short", 0o600);
    unlock(&bad).exits(2);
    write_key(&bad, &std::fs::read(&aside).unwrap(), 0o644);
    unlock(&bad).exits(2).errs(&["0600"]);
    std::fs::rename(&aside, &key).unwrap();
    // With its key in place it opens by itself, so there is nothing to unlock.
    home.type_line("secret unlock").exits(7);
    worker(&home, "alice", "test -n \"$GH_TOKEN\"").exits(0);
}

const PASSPHRASE: &str = "correct horse battery staple";

#[test]
fn a_passphrase_opens_what_the_key_file_opened_and_outlives_it() {
    for (home, _schema) in homes() {
        set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
        let added = fed(&home, &["secret", "slots", "add", "--passphrase"], PASSPHRASE);
        added.exits(0);
        let slots = home.items("secret slots");
        assert_eq!(
            slots
                .iter()
                .map(|slot| (&slot["source"], &slot["state"]))
                .collect::<Vec<_>>(),
            [
                (&"file".into(), &"active".into()),
                (&"passphrase".into(), &"active".into())
            ]
        );
        home.type_line("secret slots remove 1").exits(2).hints();
        home.type_line("secret slots remove 9 --yes").exits(3).hints();
        home.type_line("secret slots remove 1 --yes").exits(0);
        // The file is still there, and opens nothing any more.
        home.type_line("run --agent alice -- true").exits(4).hints();
        home.type_line("secret slots remove 2 --yes").exits(4).hints();
        fed(
            &home,
            &["secret", "unlock", "--passphrase"],
            "correct horse battery stable",
        )
        .exits(4);
        assert_eq!(home.json("secret status")["vault"], "sealed");
        by_passphrase_to_a_new_key_file(&home);
        exported(&home);
        is_nowhere(&home, PASSPHRASE);
    }
}

/// The settings of a derivation are for new slots: one that is there opens as it was made.
#[test]
fn what_deriving_a_key_takes_is_a_setting_and_a_slot_keeps_its_own() {
    let home = Home::new()
        .with("DORMOUSE_SECRETS_KDF_MEMORY", "19MiB")
        .with("DORMOUSE_SECRETS_KDF_PASSES", "2");
    set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
    fed(&home, &["secret", "slots", "add", "--passphrase"], PASSPHRASE).exits(0);
    let derived = |home: &Home| home.items("secret slots")[1]["derivation"].clone();
    let asked = serde_json::json!({ "memory_bytes": 19 << 20, "passes": 2 });
    assert_eq!(derived(&home), asked);
    home.type_line("secret lock").exits(0);
    let home = home.with("DORMOUSE_SECRETS_KDF_MEMORY", "20MiB");
    fed(&home, &["secret", "unlock", "--passphrase"], PASSPHRASE).exits(0);
    assert_eq!(derived(&home), asked, "it opened as it was made");
    let memory = ["1MiB", "2GiB"].map(|wrong| ("DORMOUSE_SECRETS_KDF_MEMORY", wrong));
    let passes = ["1", "17"].map(|wrong| ("DORMOUSE_SECRETS_KDF_PASSES", wrong));
    for (name, wrong) in memory.into_iter().chain(passes) {
        let mut command = home.command(["secret", "slots"]);
        Ran::of(command.env(name, wrong))
            .exits(2)
            .errs(&["secrets.kdf_", wrong]);
    }
}

/// What whoever lost the key file does.
fn by_passphrase_to_a_new_key_file(home: &Home) {
    let key = home.path().join("config/secrets.key");
    let restore = ["secret", "unlock", "--passphrase", "--restore-key-file"];
    fed(home, &restore, PASSPHRASE)
        .exits(7)
        .errs(&["is there"])
        .hints();
    std::fs::remove_file(&key).unwrap();
    let unlocked = fed(home, &["secret", "unlock", "--passphrase"], PASSPHRASE);
    unlocked.exits(0);
    assert!(unlocked.stderr.contains("for this process"), "{unlocked:?}");
    assert_eq!(home.json("secret status")["vault"], "sealed");
    fed(home, &restore, PASSPHRASE).exits(0);
    crate::modes::is_ours_alone(&key);
    assert_eq!(home.json("secret status")["vault"], "unlocked");
    worker(home, "alice", "test -n \"$GH_TOKEN\"").exits(0);
}

/// A secret of alice, a passphrase, and a run that holds the store.
fn held_open(home: &Home) -> crate::home::Running {
    set(home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
    fed(home, &["secret", "slots", "add", "--passphrase"], PASSPHRASE).exits(0);
    owned(home)
}

fn owned(home: &Home) -> crate::home::Running {
    let sleep = crate::process::unique_sleep();
    let script = format!("sleep {sleep}; true");
    let running = home.start(["run", "--agent", "bob", "--", "sh", "-c", script.as_str()]);
    crate::process::until_count(&sleep, 1);
    running
}

const RESTORE: [&str; 4] = ["secret", "unlock", "--passphrase", "--restore-key-file"];

#[test]
fn a_key_file_that_is_lost_under_an_owner_is_told_and_made_anew() {
    let home = Home::new();
    let running = held_open(&home);
    let key = home.path().join("config/secrets.key");
    for line in ["secret doctor", "doctor"] {
        let whole = home.type_line(line);
        assert!(whole.stdout.contains("opens the secrets"), "{whole:?}");
    }
    std::fs::remove_file(&key).unwrap();
    assert_eq!(home.json("secret status")["vault"], "unlocked");
    for line in ["secret doctor", "doctor"] {
        let doctor = home.type_line(line);
        doctor.exits(1);
        assert!(doctor.stdout.contains("--restore-key-file"), "{doctor:?}");
    }
    fed(&home, &RESTORE, PASSPHRASE).exits(0);
    home.type_line("secret doctor").exits(0);
    running.kill();
    worker(&home, "alice", "test -n \"$GH_TOKEN\"").exits(0);
}

#[test]
fn a_key_file_that_is_not_there_is_told_at_once_and_leaves_a_passphrase_its_attempts() {
    let home = Home::new();
    set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
    fed(&home, &["secret", "slots", "add", "--passphrase"], PASSPHRASE).exits(0);
    std::fs::remove_file(home.path().join("config/secrets.key")).unwrap();
    let _running = owned(&home);
    for _ in 0..3 {
        home.type_line("secret unlock")
            .exits(6)
            .errs(&["key file"])
            .hints();
    }
    fed(&home, &["secret", "unlock", "--passphrase"], PASSPHRASE).exits(0);
    assert_eq!(home.json("secret status")["vault"], "unlocked");
}

#[test]
fn a_key_file_that_cannot_be_made_is_told_as_such() {
    let home = Home::new();
    set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
    fed(&home, &["secret", "slots", "add", "--passphrase"], PASSPHRASE).exits(0);
    // Its folder is a file, in which not even root makes one.
    let file = home.path().with_file_name("no-folder");
    std::fs::write(&file, "").unwrap();
    let home = home.with(
        "DORMOUSE_SECRETS_KEY_FILE",
        file.join("secrets.key").to_str().unwrap(),
    );
    for _ in 0..2 {
        let refused = fed(&home, &RESTORE, PASSPHRASE);
        refused.exits(6).errs(&["cannot be made"]).hints();
    }
}

#[test]
fn a_rekey_by_another_key_says_that_the_file_opens_nothing_any_more() {
    let home = Home::new();
    set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
    let spare = home.path().with_file_name("spare.key");
    let spare = spare.to_str().unwrap();
    home.dormouse(["secret", "slots", "add", "--key-file", spare])
        .exits(0);
    fed(&home, &["secret", "slots", "add", "--passphrase"], PASSPHRASE).exits(0);
    let rekeyed = fed(&home, &["secret", "rekey", "--passphrase"], PASSPHRASE);
    rekeyed.exits(0);
    assert!(rekeyed.stdout.contains("1, 2"), "{rekeyed:?}");
    for word in ["slots 1, 2 open the vault no more", "--restore-key-file"] {
        assert!(rekeyed.stderr.contains(word), "{rekeyed:?}");
    }
    home.dormouse(["secret", "rekey", "--key-file", spare])
        .exits(4)
        .hints();
    home.type_line("secret doctor").exits(1);
    std::fs::remove_file(home.path().join("config/secrets.key")).unwrap();
    fed(&home, &RESTORE, PASSPHRASE).exits(0);
    // The file has a slot by now, and its rekey makes no newer keys within the first one's minute: it says so.
    let key = home.path().join("config/secrets.key");
    let again = home.dormouse(["secret", "rekey", "--key-file", key.to_str().unwrap()]);
    again.exits(1);
    assert!(again.stderr.contains("no newer ones were made"), "{again:?}");
    worker(&home, "alice", "test -n \"$GH_TOKEN\"").exits(0);
    let slots = home.items("secret slots");
    let passphrase = slots.iter().find(|slot| slot["source"] == "passphrase").unwrap();
    let removed = home.type_line(&format!("secret slots remove {} --yes", passphrase["id"]));
    removed.exits(0);
    assert!(!removed.stderr.contains("--restore-key-file"), "{removed:?}");
}

#[test]
fn a_key_file_is_made_for_a_slot_and_a_passphrase_of_a_few_letters_is_refused() {
    let home = Home::new();
    fed(&home, &["secret", "slots", "add", "--passphrase"], PASSPHRASE)
        .exits(7)
        .hints();
    set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
    fed(&home, &["secret", "slots", "add", "--passphrase"], "short")
        .exits(2)
        .errs(&["12 bytes"])
        .hints();
    fed(&home, &["secret", "slots", "add", "--passphrase"], "")
        .exits(2)
        .hints();
    home.type_line("secret slots add").exits(2);
    home.type_line("secret slots remove 1 --yes").exits(7).hints();
    let spare = home.path().with_file_name("spare.key");
    let add = || home.dormouse(["secret", "slots", "add", "--key-file", spare.to_str().unwrap()]);
    add().exits(0);
    crate::modes::is_ours_alone(&spare);
    let key = home.path().join("config/secrets.key");
    std::fs::remove_file(&key).unwrap();
    std::fs::rename(&spare, &key).unwrap();
    worker(&home, "alice", "test -n \"$GH_TOKEN\"").exits(0);
    home.type_line("secret lock").exits(0);
    add().exits(4).hints();
    assert!(!spare.exists(), "no key is made for a vault that takes none");
}

fn write_key(path: &std::path::Path, bytes: &[u8], mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn lists_events_and_errors_tell_of_a_secret_and_never_its_value() {
    let home = Home::new();
    let ran = fed(
        &home,
        &[
            "secret",
            "set",
            "GH_TOKEN",
            "--agent",
            "alice",
            "--note",
            "of the bot",
        ],
        &format!("{TOKEN}\n"),
    );
    ran.exits(0);
    assert_eq!(ran.stdout, "agent:alice:GH_TOKEN\ttool\tgeneration 1\n");
    assert!(ran.stderr.contains("made agent alice"), "{ran:?}");
    // The same again is no new generation; another value is one.
    set(
        &home,
        "GH_TOKEN",
        &["--agent", "alice", "--note", "of the bot"],
        TOKEN,
    );
    assert_eq!(home.json("secret show GH_TOKEN --agent alice")["generation"], 1);
    set(&home, "GH_TOKEN", &["--agent", "alice"], &format!("{TOKEN}2"));
    let mut shown = String::new();
    for line in [
        "secret list",
        "secret list -o json",
        "secret list --agent alice",
        "secret show GH_TOKEN --agent alice",
        "secret effective --agent alice",
        "secret status",
        "secret doctor",
        "events tail --from 0 -o jsonl",
        "events tail --from 0 --system -o jsonl",
        "doctor",
    ] {
        let ran = home.type_line(line);
        ran.exits(0);
        shown += &format!("{ran:?}");
    }
    assert!(!shown.contains(TOKEN), "{shown}");
    for word in [
        "secret.put",
        "vault.enabled",
        "agent:alice:GH_TOKEN",
        "secrets.key",
    ] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    for (words, code) in [
        (&["secret", "set", "gh_token", "--agent", "alice"][..], 2),
        (&["secret", "set", "GH_TOKEN"], 2),
        (&["secret", "set", "PATH", "--agent", "alice"], 2),
        (&["secret", "set", "NODE_OPTIONS", "--shared"], 2),
        (&["secret", "set", "GH_TOKEN", "--agent", "alcie"], 3),
        (&["secret", "set", "GH_TOKEN", "--agent", "bob", "--no-create"], 3),
    ] {
        let ran = fed(&home, words, TOKEN);
        ran.exits(code).hints();
        assert!(!format!("{ran:?}").contains(TOKEN), "{ran:?}");
    }
    fed(&home, &["secret", "set", "SHORT", "--agent", "alice"], "1234567")
        .exits(2)
        .hints();
    fed(
        &home,
        &["secret", "set", "SHORT", "--agent", "alice", "--accept-short"],
        "1234567",
    )
    .exits(0);
    assert_eq!(home.json("secret show SHORT --agent alice")["unscrubbed"], true);
    fed(&home, &["secret", "set", "EMPTY", "--agent", "alice"], "\n")
        .exits(2)
        .hints();
    home.type_line("secret show NONE --agent alice").exits(3).hints();
    home.type_line("secret delete NONE --agent alice --yes")
        .exits(3)
        .hints();
    home.type_line("secret delete GH_TOKEN --agent alice")
        .exits(2)
        .hints();
    home.type_line("secret delete GH_TOKEN --agent alice --yes")
        .exits(0);
    worker(&home, "alice", "echo [$GH_TOKEN]").exits(0);
}

#[test]
fn what_is_said_of_a_run_passes_the_same_scrubber() {
    let home = Home::new();
    set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
    // As a title, in which somebody typed it.
    let title = format!("curl -H x-key:{TOKEN}");
    home.dormouse(["task", "add", "--agent", "alice", "--title", &title, "--", "true"])
        .exits(0);
    let task = home.items("task list").remove(0);
    assert_eq!(task["title"], "curl -H x-key:[redacted:GH_TOKEN]");
    // In a question, its answer, and the comment on it.
    let script =
        r#"dormouse gate request --action use --detail "$GH_TOKEN" --input "{\"key\":\"$GH_TOKEN\"}"; true"#;
    let asking = crate::gates::asking(&home, script);
    let gate = crate::gates::id(&crate::gates::pending(&home, 1)[0]);
    let shown = home.type_line(&format!("gate show {gate}"));
    assert!(
        shown.stdout.contains(r#"{"key":"[redacted:GH_TOKEN]"}"#),
        "{shown:?}"
    );
    assert!(
        shown.stdout.matches("[redacted:GH_TOKEN]").count() > 1,
        "{shown:?}"
    );
    let comment = format!("not with {TOKEN}");
    home.dormouse(["gate", "reject", &gate, "--comment", &comment])
        .exits(0);
    assert_eq!(asking.wait(), Some(0));
    let shown = home.json(&format!("gate show {gate}"));
    assert_eq!(
        shown["decision"]["comment"], "not with [redacted:GH_TOKEN]",
        "{shown:#}"
    );
    // In a name of a program that is not there.
    let ran = home.dormouse(["run", "--agent", "alice", "--", "sh", "-c", "exec ./$GH_TOKEN"]);
    assert!(!format!("{ran:?}").contains(TOKEN), "{ran:?}");
    exported(&home);
    is_nowhere(&home, TOKEN);
}

/// SE-71
#[test]
fn public_looking_keys_end_no_worker_and_an_agent_may_leave_them() {
    let home = Home::new();
    let key = concat!("ghp", "_0123456789abcdefghijABCDEFGHIJ012345");
    let own = TOKEN;
    let script = format!("echo {key}; echo \"$GH_TOKEN\"");
    set(&home, "GH_TOKEN", &["--shared"], own);
    let mut ends = Vec::new();
    for (policy, is_left, is_counted) in [
        ("strict", false, true),
        ("own_only", true, true),
        ("off", true, false),
    ] {
        home.type_line(&format!("agent add {policy}")).exits(0);
        home.type_line(&format!("agent set {policy} scrub.formats={policy}"))
            .exits(0);
        let ran = worker(&home, policy, &script);
        ran.exits(0);
        assert_eq!(ran.stdout.contains(key), is_left, "{policy}: {ran:?}");
        assert_eq!(ran.stdout.contains("[redacted:~"), !is_left, "{policy}: {ran:?}");
        assert!(
            ran.stdout.contains("[redacted:GH_TOKEN]"),
            "registered ones in any case: {ran:?}"
        );
        let runs = home.items(&format!("runs list --agent {policy}"));
        let counted = &runs[0]["facts"]["formats"];
        assert_eq!(counted.is_object(), is_counted, "{policy}: {runs:#?}");
        ends.push(runs[0]["outcome"].clone());
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:#?}");
}

#[test]
fn an_export_opens_with_its_key_alone_and_brings_everything_to_another_store() {
    let (home, other) = (Home::new(), Home::new());
    set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
    set(
        &home,
        "SHARED",
        &["--shared", "--category", "system"],
        &format!("{TOKEN}-shared"),
    );
    let file = home.path().with_file_name("secrets.age");
    let path = file.to_str().unwrap();
    fed(
        &home,
        &["secret", "export", path, "--passphrase"],
        "correct horse battery",
    )
    .exits(0);
    crate::modes::is_ours_alone(&file);
    is_nowhere(&home, TOKEN);
    fed(
        &home,
        &["secret", "export", path, "--passphrase"],
        "correct horse battery",
    )
    .exits(2);
    other.type_line("agent add alice").exits(0);
    fed(
        &other,
        &["secret", "import", path, "--passphrase"],
        "wrong horse battery",
    )
    .exits(2)
    .hints();
    assert!(other.items("secret list").is_empty());
    fed(
        &other,
        &["secret", "import", path, "--passphrase"],
        "correct horse battery",
    )
    .exits(0);
    let strip = |items: Vec<Value>| {
        let kept = |item: &Value| {
            (
                item["ref"].clone(),
                item["category"].clone(),
                item["created_at"].clone(),
            )
        };
        items.iter().map(kept).collect::<Vec<_>>()
    };
    assert_eq!(
        strip(other.items("secret list")),
        strip(home.items("secret list"))
    );
    let ran = worker(&other, "alice", "echo $GH_TOKEN");
    assert_eq!(ran.stdout, "[redacted:GH_TOKEN]\n");
    set(
        &other,
        "GH_TOKEN",
        &["--agent", "alice"],
        &format!("{TOKEN}-newer"),
    );
    fed(
        &other,
        &["secret", "import", path, "--passphrase"],
        "correct horse battery",
    )
    .exits(7);
}

/// An export in clear of 250 secrets of the tenant, with origins as long as they may be: more than a MiB.
fn large_export(file: &std::path::Path) {
    let time = "2026-01-02T03:04:05Z";
    let mut text = format!(
        "{{\"format\":\"dormouse-secrets\",\"version\":2,\"tenant\":\"default\",\"at\":\"{time}\"}}\n"
    );
    let origins: Vec<String> = (10..26)
        .map(|number| format!("\"https://{}{number}\"", "a".repeat(280)))
        .collect();
    for number in 0..250 {
        text += &format!(
            "{{\"scope\":{{\"kind\":\"instance_shared\"}},\"name\":\"KEY_{number}\",\"category\":\"tool\",\
             \"value\":\"c29tZSBsb25nIHZhbHVl\",\"origins\":[{}],\"created_at\":\"{time}\",\
             \"updated_at\":\"{time}\",\"times_known\":true}}\n",
            origins.join(",")
        );
    }
    std::fs::write(file, &text).unwrap();
    let sum = Ran::of(std::process::Command::new("sha256sum").arg(file)).stdout;
    text += &format!("{{\"count\":250,\"sha256\":\"{}\"}}\n", &sum[..64]);
    assert!(text.len() > 1024 * 1024);
    std::fs::write(file, text).unwrap();
}

#[test]
fn a_large_export_is_imported() {
    let home = Home::new();
    let file = home.path().with_file_name("secrets.export");
    large_export(&file);
    home.dormouse(["secret", "import", file.to_str().unwrap()])
        .exits(0);
    assert_eq!(home.json("secret status")["shared"], 250);
}

#[test]
fn the_doctor_of_secrets_looks_at_what_agents_share_as_at_their_own() {
    let home = Home::new();
    set(&home, "SHARED", &["--shared"], TOKEN);
    home.type_line("agent add alice").exits(0);
    let doctor = home.type_line("secret doctor");
    assert!(doctor.stdout.contains("1 that agents see open"), "{doctor:?}");
}

#[test]
fn a_key_beside_the_store_that_it_opens_is_refused() {
    let home = Home::new();
    let beside = home.path().join("data/secrets.key");
    let home = home.with("DORMOUSE_SECRETS_KEY_FILE", beside.to_str().unwrap());
    home.type_line("secret status")
        .exits(2)
        .errs(&["secrets.key_file"])
        .hints();
    let elsewhere = home.path().with_file_name("elsewhere.key");
    let home = home.with("DORMOUSE_SECRETS_KEY_FILE", elsewhere.to_str().unwrap());
    set(&home, "GH_TOKEN", &["--shared"], TOKEN);
    crate::modes::is_ours_alone(&elsewhere);
}

/// What a worker says of its end, in each way that it has; the value is in all of it.
const SAYS: [(&str, i32); 4] = [
    (
        r#"printf '%s\n' "{\"segment\":\"part $GH_TOKEN\"}" "{\"block\":{\"reason\":{\"kind\":\"fraud_detect\",\"vendor\":\"$GH_TOKEN\"},\"url\":\"https://u:$GH_TOKEN@a.example/$GH_TOKEN?t=$GH_TOKEN\",\"detail\":\"<p>$GH_TOKEN</p>\"}}" >&3"#,
        11,
    ),
    (
        r#"echo "<title>Log in $GH_TOKEN</title><form><input name=user><input type=password name=word>$GH_TOKEN</form>" |
        dormouse detect - --requested-url "https://a.example/$GH_TOKEN" --url "https://a.example/login?next=$GH_TOKEN""#,
        11,
    ),
    (r#"printf '%s\n' "{\"result\":\"it is $GH_TOKEN\"}" >&3"#, 0),
    (r#"echo "broke: $GH_TOKEN" >&2; cat "/$GH_TOKEN"; exit 3"#, 1),
];

/// WK-12, with what a panic prints: `log::tests` of the secrets, and futures' panics are told by place alone; and with
/// `no_text_of_a_report_has_a_value` of the engine, byte by byte.
#[test]
fn what_a_worker_says_of_its_end_has_no_value_in_outcome_log_event_stderr_and_answers() {
    for (script, exit) in SAYS {
        let home = Home::new();
        home.type_line("agent add alice").exits(0);
        set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
        let ran = home.dormouse(["-vv", "run", "--agent", "alice", "--", "sh", "-c", script]);
        ran.exits(exit);
        let runs = home.type_line("runs list -o json");
        let id = runs.json()["items"][0]["id"].as_str().unwrap().to_owned();
        let shown = [
            format!("runs show {id} -o json"),
            format!("runs show {id}"),
            format!("runs logs {id}"),
            "events tail --from 0 -o json".to_owned(),
            "task list -o json".to_owned(),
        ];
        let mut said = format!("{}{}{}", ran.stdout, ran.stderr, runs.stdout);
        for line in shown {
            said += &home.type_line(&line).stdout;
        }
        assert!(said.contains("[redacted:GH_TOKEN]"), "{script}: {said}");
        for piece in TOKEN.as_bytes().windows(8) {
            let piece = std::str::from_utf8(piece).unwrap();
            assert!(!said.contains(piece), "{script}: {piece} is in {said}");
        }
        is_nowhere(&home, TOKEN);
    }
}

/// SE-46
#[test]
fn a_variable_that_is_passed_or_given_under_the_name_of_a_visible_secret_is_a_conflict_and_nothing_runs() {
    let home = Home::new()
        .with("DORMOUSE_WORKER_PASS", "BURROW_SIDE,NOT_SET")
        .with("BURROW_SIDE", "the north side");
    let script =
        "echo ran >>ran; echo \"${BURROW_SIDE-unset} ${NOT_SET-unset} ${DORMOUSE_WORKER_PASS-unset}\"";
    let ran = worker(&home, "alice", script);
    ran.exits(0);
    assert_eq!(ran.stdout, "the north side unset unset\n");
    std::fs::remove_file(home.workspace("alice").join("ran")).unwrap();

    set(&home, "BURROW_SIDE", &["--agent", "alice"], TOKEN);
    set(&home, "OTHER_ONE", &["--agent", "alice"], TOKEN);
    let conflict = "`BURROW_SIDE` is set by the secrets of its agent and by the names passed through";
    worker(&home, "alice", script).exits(1).errs(&[conflict]);
    // Visible, and not lent.
    let lent = ["run", "--agent", "alice", "--secret", "OTHER_ONE"];
    let worker_words = ["--", "sh", "-c", script];
    home.dormouse(lent.iter().chain(&worker_words))
        .exits(1)
        .errs(&[conflict]);
    let home = home.with("DORMOUSE_WORKER_PASS", "");
    let given = ["--env", "BURROW_SIDE=south"];
    home.dormouse(lent.iter().chain(&given).chain(&worker_words))
        .exits(1)
        .errs(&["`BURROW_SIDE` is set by the secrets of its agent and by the profile"]);
    assert!(!home.workspace("alice").join("ran").exists(), "nothing ran");
}

#[test]
fn a_name_that_nobody_may_set_and_one_of_a_credential_are_not_passed() {
    for (name, why) in [
        ("LD_PRELOAD", "programs load code by it"),
        ("path", "the engine sets it"),
        ("API_TOKEN", "looks like a credential"),
        ("A=B", "is no name"),
    ] {
        let home = Home::new().with("DORMOUSE_WORKER_PASS", format!("FINE,{name}"));
        let ran = worker(&home, "alice", "true");
        assert_ne!(ran.code(), Some(0), "{ran:?}");
        ran.errs(&["worker.pass", why]);
    }
}
