//! The settings of a server: agents of its file, and reading it again while it serves.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::home::{Home, Ran, Running};
use crate::secrets::homes;
use crate::wait::until;

fn file(home: &Home) -> PathBuf {
    home.path().join("config/config.toml")
}

fn write(home: &Home, text: &str) {
    let file = file(home);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

fn serve(home: &Home) -> Running {
    let mut serving = home.start(["serve"]);
    serving.until_said("serving");
    serving
}

/// What a server makes of a script of an agent's: how its run ends.
fn ends(home: &Home, agent: &str, script: &str) -> String {
    let added = home.dormouse([
        "task", "add", "-o", "json", "--agent", agent, "--", "sh", "-c", script,
    ]);
    added.exits(0);
    let task = added.json()["id"].clone();
    let kind = until("its run has ended", || {
        let runs = home.items(&format!("runs list --agent {agent}"));
        let run = runs.into_iter().find(|run| run["task"] == task)?;
        Some(run.pointer("/outcome/kind")?.as_str()?.to_owned())
    });
    // One that failed would be tried again.
    home.dormouse(["task", "cancel", task.as_str().unwrap()]);
    kind
}

fn leave(serving: Running) {
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait(), Some(0));
}

fn reload(home: &Home) -> Value {
    let reloaded = home.json("config reload");
    assert_eq!(reloaded["refused"], json!([]), "{reloaded:#}");
    reloaded
}

/// The types of the installation's events.
fn rejections(home: &Home) -> Vec<Value> {
    let ran = home.type_line("events tail --system --from 0 --type config.* -o jsonl");
    ran.exits(0);
    let events = ran.stdout.lines();
    events.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn run(home: &Home, agent: &str, script: &str) -> Ran {
    home.dormouse(["run", "--agent", agent, "--", "sh", "-c", script])
}

/// What is the same of agents that were made by different ways.
fn alike(home: &Home, agent: &str) -> Value {
    let mut shown = home.json(&format!("agent show {agent}"));
    for own in ["name", "created_at", "updated_at", "version"] {
        assert!(shown.as_object_mut().unwrap().remove(own).is_some(), "{shown:#}");
    }
    shown
}

const WRITTEN: &str = "concurrency = 2\nwall_clock = \"1s\"\n";

/// No process is kept for a resident one: its worker ends with its run, as any other.
#[test]
fn agents_by_boot_api_and_reload_dormant_and_resident_behave_alike() {
    for (home, _schema) in homes() {
        home.type_line("agent add by-api concurrency=2 wall_clock=1s mode=resident")
            .exits(0);
        let boot = format!("[agents.by-boot]\nmode = \"resident\"\n{WRITTEN}[agents.dormant]\n{WRITTEN}");
        write(&home, &boot);
        let serving = serve(&home);
        write(
            &home,
            &format!("{boot}[agents.by-reload]\nmode = \"resident\"\n{WRITTEN}"),
        );
        let made = reload(&home);
        assert_eq!(
            made["agents"],
            json!([{ "name": "by-reload", "what": "made" }]),
            "{made:#}"
        );
        let resident = alike(&home, "by-api");
        assert_eq!(
            (&resident["mode"], &resident["concurrency"]),
            (&json!("resident"), &json!(2))
        );
        for other in ["by-boot", "by-reload"] {
            assert_eq!(alike(&home, other), resident, "{other}");
        }
        let mut dormant = alike(&home, "dormant");
        assert_eq!(dormant["mode"], "dormant");
        dormant["mode"] = json!("resident");
        assert_eq!(dormant, resident, "but for its mode");
        for agent in ["by-boot", "by-api", "by-reload", "dormant"] {
            assert_eq!(ends(&home, agent, "exec sleep 300"), "timeout", "{agent}");
            assert_eq!(ends(&home, agent, "echo done"), "success", "{agent}");
        }
        let shown = home.type_line("agent show by-boot").stdout;
        assert!(shown.contains("resident: nothing is kept"), "{shown}");
        leave(serving);
    }
}

#[test]
fn what_the_file_does_not_name_stays_and_who_leaves_it_is_not_deleted() {
    let home = Home::new();
    write(&home, "[agents.night]\nconcurrency = 3\n");
    let mut serving = home.start(["serve"]);
    serving.until_said("agent night made");
    serving.until_said("serving");
    home.type_line("agent set night grace=7s concurrency=9").exits(0);
    let set = reload(&home);
    assert_eq!(
        set["agents"],
        json!([{ "name": "night", "what": "changed" }]),
        "{set:#}"
    );
    let night = home.json("agent show night");
    assert_eq!(
        (&night["concurrency"], &night["grace_ms"]),
        (&json!(3), &json!(7000))
    );
    assert_eq!(reload(&home)["agents"], json!([]), "it is as the file has it");
    write(&home, "");
    let left = reload(&home);
    assert_eq!(left["left"], json!(["night"]), "{left:#}");
    assert_eq!(home.json("agent show night")["concurrency"], 3);
    home.type_line("agent set night concurrency=9").exits(0);
    assert_eq!(reload(&home)["left"], json!([]), "it was told once");
    assert_eq!(
        home.json("agent show night")["concurrency"],
        9,
        "it is nobody's but its own"
    );
    leave(serving);
}

/// PR-21
#[test]
fn a_bad_file_leaves_the_old_settings_and_a_good_one_holds_for_old_and_new_agents() {
    for (home, _schema) in homes() {
        let first = "[run]\nwall_clock = \"1s\"\n[agents.old]\nconcurrency = 2\n";
        // A file of the server's own: commands that read a bad one say so themselves.
        let served = home.path().with_file_name("served.toml");
        let write = |text: &str| std::fs::write(&served, text).unwrap();
        let serve = || {
            let mut serving = home.start(["serve", "--config", served.to_str().unwrap()]);
            serving.until_said("serving");
            serving
        };
        write(first);
        let mut serving = serve();
        assert_eq!(ends(&home, "old", "exec sleep 300"), "timeout");

        let bad = format!(
            "{}\n[store]\ncash = 1\n",
            first.replace("\"1s\"", "\"10m\"").replace("= 2", "= 0")
        );
        write(&bad);
        let refused = home.type_line("config reload");
        refused.exits(2).errs(&["2 errors"]).hints();
        let refused = home.type_line("config reload -o json");
        refused.exits(2);
        let problem: Value = serde_json::from_str(refused.stderr.trim()).unwrap();
        assert_eq!(problem["status"], 422, "{problem:#}");
        let paths: Vec<_> = problem["errors"].as_array().unwrap().iter().collect();
        let at = served.display().to_string();
        for (path, line) in [("store.cash", 7), ("agents.old.concurrency", 4)] {
            let of = paths.iter().find(|error| error["path"] == path).unwrap();
            let message = of["message"].as_str().unwrap();
            assert!(message.starts_with(&format!("{at}:{line}: ")), "{message}");
        }
        assert_eq!(rejections(&home).len(), 2, "one for each that was asked for");
        serving.signal(Signal::HUP);
        serving.until_said("2 errors");
        let told = rejections(&home);
        assert_eq!(told.len(), 3, "{told:#?}");
        assert_eq!(
            (&told[2]["type"], &told[2]["data"]),
            (&json!("config.rejected"), &json!({ "errors": 2 }))
        );
        assert_eq!(told[2]["actor"]["name"], "signal");
        assert_eq!(ends(&home, "old", "exec sleep 300"), "timeout");
        assert_eq!(home.json("agent show old")["concurrency"], 2);

        home.type_line("agent add made-before").exits(0);
        let good = "[run]\nwall_clock = \"10m\"\n[store]\ncache = \"128MiB\"\n[agents.new]\n";
        write(good);
        serving.signal(Signal::HUP);
        serving.until_said("agent old is not in the file any more");
        home.type_line("agent add made-after").exits(0);
        for agent in ["old", "new", "made-before", "made-after"] {
            assert_eq!(ends(&home, agent, "exec sleep 1.5"), "success", "{agent}");
        }
        let pending = reload(&home)["pending"].clone();
        let waits = json!([{ "key": "store.cache", "value": "128MiB", "running": "64MiB" }]);
        assert_eq!(pending, waits, "until the next start");
        assert_eq!(rejections(&home).len(), 3);
        leave(serving);
        let serving = serve();
        assert_eq!(reload(&home)["pending"], json!([]));
        leave(serving);
    }
}

#[test]
fn without_an_owner_there_is_nothing_to_reload_and_what_is_wrong_is_told() {
    let home = Home::new();
    home.type_line("config reload")
        .exits(6)
        .errs(&["nobody serves"])
        .hints();
    write(&home, "[run]\nwall_clok = \"1s\"\n");
    home.type_line("config reload")
        .exits(2)
        .errs(&["run.wall_clok", "config.toml:2"])
        .hints();
}

/// What a live key does, seen from outside: false before the reload, true behind it.
type Probe = fn(&Home) -> bool;

const LIVE: &[(&str, &str, Probe)] = &[
    ("run.wall_clock", "1s", |home| {
        sleeps(home, "2.5").code() == Some(124)
    }),
    ("run.idle_timeout", "1s", |home| {
        sleeps(home, "2.5").code() == Some(124)
    }),
    ("run.stall_after", "1s", |home| {
        sleeps(home, "2.5").exits(0);
        home.type_line("events tail --from 0 --type session.stalled")
            .stdout
            .contains("session.stalled")
    }),
    ("run.grace", "0s", |home| {
        let late = "trap 'sleep 1; echo late; exit 0' TERM; sleep 300 & wait";
        let ran = home.dormouse(["run", "--agent", "a", "--timeout", "1s", "--", "sh", "-c", late]);
        !ran.stdout.contains("late")
    }),
    ("worker.isolation", "off", |home| {
        run(home, "a", "true").exits(0);
        let run = home.items("runs list --agent a").remove(0);
        run["facts"]["isolation"] == "off"
    }),
    ("worker.pass", "SHEEP", |home| {
        run(home, "a", "echo ${SHEEP:-none}").stdout == "white\n"
    }),
    ("worker.agent_intensity", "1/10m", |home| {
        run(home, "b", "exit 3").exits(1);
        // It is done behind the end of the run.
        let mut looks = 0..50;
        looks.any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            home.json("agent show b")["state"] == "paused"
        })
    }),
    ("worker.inbox_max", "1", |home| {
        let workspace = home.workspace("a");
        let script = "echo up > up; while [ ! -e go ]; do sleep 0.05; done";
        let words = [
            "run", "--agent", "a", "--stdin", "stream", "--", "sh", "-c", script,
        ];
        let running = home.start(words);
        until("it runs", || workspace.join("up").exists().then_some(()));
        let run = home.items("runs list --agent a").remove(0)["id"].clone();
        // More than a pipe takes, so that the next has to wait, and the one behind it finds no room.
        let long = "x".repeat(100_000);
        let mut last = 0;
        for _ in 0..4 {
            last = home
                .dormouse(["runs", "send", run.as_str().unwrap(), &long])
                .code()
                .unwrap();
        }
        std::fs::write(workspace.join("go"), "").unwrap();
        running.wait();
        for file in ["up", "go"] {
            std::fs::remove_file(workspace.join(file)).unwrap();
        }
        last == 9
    }),
    ("wakes.timed_max", "3", |home| {
        let add = ["wake", "add", "--agent", "a", "--in", "1h", "--reason", "look"];
        // Those of the look before wait still.
        home.dormouse(add).exits(0);
        home.dormouse(add).code() == Some(9)
    }),
];

fn sleeps(home: &Home, seconds: &str) -> Ran {
    run(home, "a", &format!("exec sleep {seconds}"))
}

/// Each key of class live, and no other: taken by a reload, for what begins behind it, without a start.
#[test]
fn every_live_key_is_taken_by_a_reload() {
    let home = Home::new().with("SHEEP", "white");
    for agent in ["a", "b"] {
        home.type_line(&format!("agent add {agent}")).exits(0);
    }
    let listed = home.items("config list");
    let live = listed.iter().filter(|item| item["class"] == "live");
    let live: Vec<&str> = live.map(|item| item["key"].as_str().unwrap()).collect();
    // One that has no default is not listed before it is set.
    let mut expected: Vec<&str> = LIVE.iter().map(|(key, ..)| *key).collect();
    expected.retain(|key| *key != "worker.isolation");
    let mut live = live;
    live.sort_unstable();
    expected.sort_unstable();
    assert_eq!(live, expected, "each has a probe");
    write(&home, "");
    // An owner that runs what it is asked to run, and claims nothing by itself.
    let owning = home.start([
        "run",
        "--agent",
        "owner",
        "--",
        "sh",
        "-c",
        "echo up > up; exec sleep 300",
    ]);
    let up = home.workspace("owner").join("up");
    until("it owns", || up.exists().then_some(()));
    for (key, value, probe) in LIVE {
        write(&home, "");
        reload(&home);
        assert!(!probe(&home), "{key}: as it is by default");
        write(&home, &format!("{key} = \"{value}\"\n"));
        let reloaded = reload(&home);
        assert_eq!(
            reloaded["taken"],
            json!([{ "key": key, "value": value }]),
            "{reloaded:#}"
        );
        assert_eq!(reloaded["pending"], json!([]), "{key}");
        assert!(probe(&home), "{key}: {value}");
    }
    owning.signal(Signal::INT);
    assert_eq!(owning.wait(), Some(130));
}
