//! The agents of the user's file, and what of two readings holds at once.

use std::fs;
use std::path::PathBuf;

use dormouse_cli::config::key::Class;
use dormouse_cli::config::table::TABLE;
use dormouse_cli::config::{Config, FileAgent};
use dormouse_cli::environment::Environment;
use dormouse_cli::problem::Problem;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("config.toml")
    }

    fn load(&self, file: &str) -> Result<Config, Problem> {
        fs::write(self.file(), file).unwrap();
        let environment = Environment::new([("A", "b")], self.0.path());
        Config::load(&environment, &self.file(), None)
    }
}

fn said(agent: &FileAgent) -> Vec<String> {
    let settings = agent.settings.iter();
    settings
        .map(|(key, setting)| format!("{}.{key} = {} ({})", agent.path(), setting.value, setting.origin))
        .collect()
}

#[test]
fn the_agents_of_a_file_have_the_keys_of_agent_set_and_the_lines_they_stand_on() {
    let place = Place::new();
    let file = "\
[agents.alice]
concurrency = 2
mode = \"resident\"
delegates_to = [\"bob\", \"carol\"]
wall_clock = \"10m\"
idle_timeout = \"off\"
scrub.formats = \"own_only\"
[agents.\"a.b\"]
secrets = \"GH_TOKEN,NPM_TOKEN\"
grace = \"\"
[agents.bob]
";
    let config = place.load(file).unwrap();
    let all: Vec<String> = config.agents().flat_map(said).collect();
    let line = |text: &str, line: usize| format!("{text} ({}:{line})", place.file().display());
    let mut expected = [
        line("agents.\"a.b\".secrets = GH_TOKEN,NPM_TOKEN", 9),
        line("agents.\"a.b\".grace = ", 10),
        line("agents.alice.concurrency = 2", 2),
        line("agents.alice.mode = resident", 3),
        line("agents.alice.delegates_to = bob,carol", 4),
        line("agents.alice.wall_clock = 10m", 5),
        line("agents.alice.idle_timeout = off", 6),
        line("agents.alice.scrub.formats = own_only", 7),
    ];
    let mut all = all;
    all.sort();
    expected.sort();
    assert_eq!(all, expected);
    let names: Vec<_> = config.agents().map(|agent| agent.name.to_string()).collect();
    assert_eq!(names, ["a.b", "alice", "bob"]);
    assert!(config.warnings.is_empty());
}

#[test]
fn what_is_wrong_with_an_agent_of_a_file_is_told_with_line_path_value_and_what_is_taken() {
    for (file, line, path, words) in [
        (
            "[agents.alice]\nmod = \"resident\"\n",
            2,
            "agents.alice.mod",
            &["did you mean mode?"][..],
        ),
        (
            "[agents.alice]\nmode = \"awake\"\n",
            2,
            "agents.alice.mode",
            &["\"awake\"", "dormant, resident"],
        ),
        (
            "[agents.alice]\nconcurrency = 0\n",
            2,
            "agents.alice.concurrency",
            &["\"0\"", "1 to 10000"],
        ),
        (
            "[agents.alice]\nwall_clock = \"31d\"\n",
            2,
            "agents.alice.wall_clock",
            &["\"31d\"", "1s to 30d"],
        ),
        (
            "[agents.alice]\nsecrets = [1]\n",
            2,
            "agents.alice.secrets",
            &["not a text"],
        ),
        (
            "[agents.alice]\ndelegates_to = [\"a,b\"]\n",
            2,
            "agents.alice.delegates_to",
            &["not a text"],
        ),
        (
            "[agents.alice]\nscrub.format = \"off\"\n",
            2,
            "agents.alice.scrub.format",
            &["scrub.formats"],
        ),
        ("\n[agents.Alice]\n", 2, "agents.Alice", &["a-z"]),
        ("[agents]\nalice = 3\n", 2, "agents.alice", &["not a table"]),
        ("agents = 3\n", 1, "agents", &["not a setting"]),
        (
            "[agent.alice]\nmode = \"resident\"\n",
            2,
            "agent.alice.mode",
            &["agents.NAME.KEY"],
        ),
    ] {
        let place = Place::new();
        let refused = place.load(file).expect_err(file);
        let at = format!("{}:{line}: {path}: ", place.file().display());
        assert!(refused.detail.starts_with(&at), "{file}: {}", refused.detail);
        for word in words {
            assert!(
                refused.detail.contains(word),
                "{file}: {word:?}: {}",
                refused.detail
            );
        }
        assert!(refused.hint.is_some());
        assert_eq!(refused.exit().code(), 2);
    }
    let many: String = (0..65).map(|nth| format!("\"a{nth}\",")).collect();
    let refused = Place::new().load(&format!("[agents.alice]\ndelegates_to = [{many}]\n"));
    let refused = refused.expect_err("a limit of the engine's");
    assert!(refused.detail.contains("at most 64"), "{}", refused.detail);
    let file = "[agents.a]\nmod = 1\nmode = 2\n[agents.b]\nconcurrency = 0\n[agents.C]\n";
    let refused = Place::new().load(file).expect_err("four errors");
    assert_eq!(refused.errors.len(), 4, "{:?}", refused.errors);
}

#[test]
fn a_project_makes_no_agents() {
    let place = Place::new();
    fs::write(
        place.0.path().join(".dormouse.toml"),
        "[agents.alice]\nmode = \"resident\"\n",
    )
    .unwrap();
    let refused = place.load("").expect_err("anybody's folder may hold one");
    assert!(
        refused
            .detail
            .contains("agents.alice: not to be set in a project's file"),
        "{}",
        refused.detail
    );
}

/// What is live is taken over, and what needs a start is pending for as long as it is other.
#[test]
fn of_a_later_reading_each_key_does_what_its_class_says() {
    let place = Place::new();
    let first = place
        .load("run.grace = \"3s\"\nstore.cache = \"1MiB\"\n[agents.a]\n")
        .unwrap();
    let later = "run.grace = \"4s\"\nworker.isolation = \"off\"\nstore.cache = \"2MiB\"\nclient.deadline = \"9s\"\n[agents.b]\n";
    let later = place.load(later).unwrap();
    let mut running = first.clone();
    let paths = |keys: Vec<&'static dormouse_cli::config::key::Key>| -> Vec<&str> {
        keys.iter().map(|key| key.path).collect()
    };
    assert_eq!(
        paths(running.take_over(&later)),
        ["run.grace", "worker.isolation"]
    );
    assert_eq!(paths(running.pending(&later)), ["store.cache"]);
    assert_eq!(running.text("run.grace"), Some("4s"));
    assert_eq!(running.text("store.cache"), Some("1MiB"));
    assert_eq!(running.text("client.deadline"), Some("9s"));
    let agents: Vec<_> = running.agents().map(|agent| agent.name.as_str()).collect();
    assert_eq!(agents, ["b"]);
    assert_eq!(
        paths(running.take_over(&first)),
        ["run.grace", "worker.isolation"]
    );
    assert_eq!(running.text("worker.isolation"), None, "nobody sets it any more");
    assert!(running.pending(&first).is_empty());
    let restart = TABLE.iter().filter(|key| key.class == Class::Restart);
    assert!(restart.count() > 40, "what is not proven live waits for a start");
}
