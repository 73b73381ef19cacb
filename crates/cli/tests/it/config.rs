use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dormouse_cli::config::key::{Key, Kind};
use dormouse_cli::config::table::TABLE;
use dormouse_cli::config::{Config, FILE_BYTES_MAX, Origin};
use dormouse_cli::environment::Environment;
use dormouse_cli::problem::Problem;

struct Place {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Place {
    fn new(file: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.toml"), file).unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        Self {
            folder,
            variables: Vec::new(),
        }
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn project(self, file: &str) -> Self {
        fs::write(self.folder.path().join(".dormouse.toml"), file).unwrap();
        self
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    fn load(&self) -> Result<Config, Problem> {
        let environment = Environment::new(self.variables.iter().cloned(), self.folder.path().join("below"));
        Config::load(&environment, &self.file(), None)
    }

    fn refused(&self) -> Problem {
        self.load().expect_err("it is refused")
    }
}

fn origin(config: &Config, path: &str) -> Origin {
    config
        .settings()
        .find(|(key, _)| key.path == path)
        .unwrap()
        .1
        .origin
        .clone()
}

#[test]
fn a_variable_beats_the_projects_file_that_beats_the_users_that_beats_the_default() {
    let user = "[run]\nwall_clock = \"1m\"\ngrace = \"1s\"\nidle_timeout = \"off\"\n";
    let place = Place::new(user)
        .project("run.wall_clock = \"2m\"\nrun.grace = \"2s\"")
        .variable("DORMOUSE_RUN_WALL_CLOCK", "3m");
    let config = place.load().unwrap();
    assert_eq!(config.duration("run.wall_clock"), Some(Duration::from_secs(180)));
    assert_eq!(config.duration("run.grace"), Some(Duration::from_secs(2)));
    assert_eq!(config.duration("run.idle_timeout"), None);
    assert_eq!(
        config.duration("client.attach_timeout"),
        Some(Duration::from_secs(5))
    );
    assert_eq!(
        origin(&config, "run.wall_clock"),
        Origin::Variable("DORMOUSE_RUN_WALL_CLOCK".to_owned())
    );
    assert_eq!(origin(&config, "run.idle_timeout"), Origin::File(place.file(), 4));
    assert_eq!(origin(&config, "client.deadline"), Origin::Default);
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest() {
    for (file, line, path, near) in [
        (
            "\n\n[client]\nattach_timout = \"5s\"\n",
            4,
            "client.attach_timout",
            "client.attach_timeout",
        ),
        (
            "[run]\nwall_clok = \"5s\"\n",
            2,
            "run.wall_clok",
            "run.wall_clock",
        ),
        ("wall_clock = \"5s\"\n", 1, "wall_clock", "run.wall_clock"),
        ("[a.b.c]\ngrace = \"1s\"\n", 2, "a.b.c.grace", "run.grace"),
    ] {
        let place = Place::new(file);
        let refused = place.refused();
        assert_eq!(
            refused.detail,
            format!(
                "{}:{line}: {path}: not a setting; the nearest is {near}",
                place.file().display()
            ),
            "{file}"
        );
    }
}

/// PR-18
#[test]
fn every_error_is_reported_and_none_is_clamped() {
    let file = "nope = 1\n[run]\nwall_clock = \"0s\"\ngrace = \"6m\"\nidle_timeout = \"-1s\"\n[client]\ndeadline = 30\nattach_timeout = [1]\n[store]\npath = \"relative\"\n";
    let refused = Place::new(file).refused();
    let paths: Vec<&str> = refused.errors.iter().map(|error| error.path.as_str()).collect();
    let mut sorted = paths.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "client.attach_timeout",
            "client.deadline",
            "nope",
            "run.grace",
            "run.idle_timeout",
            "run.wall_clock",
            "store.path"
        ]
    );
    let of = |path: &str| {
        &refused
            .errors
            .iter()
            .find(|error| error.path == path)
            .unwrap()
            .message
    };
    assert!(
        of("run.wall_clock").contains("\"0s\" is out of bounds, 1s to 30d"),
        "{}",
        of("run.wall_clock")
    );
    assert!(of("run.grace").contains("0s to 5m"), "{}", of("run.grace"));
    assert_eq!(refused.exit().code(), 2);
}

/// PR-19
#[test]
fn every_duration_refuses_what_is_out_of_its_bounds() {
    let is_duration = |key: &&Key| {
        matches!(
            key.kind,
            Kind::Duration(_) | Kind::DurationOrOff(_) | Kind::DurationOrNever(_)
        )
    };
    for key in TABLE.iter().filter(is_duration) {
        for bad in ["-1s", "22265d", "NaN", "1 hour", "1", "1x", ""] {
            let refused = key.check(bad).expect_err(bad);
            assert!(refused.contains(" to "), "{}: {refused}", key.path);
        }
    }
}

/// PR-17
#[test]
fn every_key_can_be_set_and_listed_and_its_default_is_valid() {
    let mut file = String::new();
    for key in TABLE {
        let value = key.default.unwrap_or(match key.kind {
            Kind::Path => "/somewhere",
            Kind::Store => "sled:/elsewhere",
            Kind::Postgres => "postgres://u@localhost/d",
            Kind::Word(words) => words[0],
            _ => "http://127.0.0.1:1",
        });
        assert_eq!(key.check(value), Ok(()), "{}", key.path);
        file.push_str(&format!("{} = \"{value}\"\n", key.path));
    }
    let config = Place::new(&file).load().unwrap();
    assert_eq!(config.settings().count(), TABLE.len());
    assert!(config.warnings.is_empty());
    assert!(
        config
            .settings()
            .all(|(_, setting)| matches!(setting.origin, Origin::File(..)))
    );
}

/// PR-17
#[test]
fn every_key_that_is_read_is_in_the_table() {
    let mut read = 0;
    for file in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let text: String = fs::read_to_string(&file).unwrap().split_whitespace().collect();
        for call in [
            "config.duration(\"",
            "config.text(\"",
            "config.bytes(\"",
            "config.number(\"",
            "ms(\"run.",
            "self.text(\"worker.",
            "bytes(\"detect.",
            "path(\"store.",
            "time(\"store.",
            "time(\"gates.",
            "timeout(\"gates.",
            "time(\"sessions.",
            "time(\"janitor.",
            "time(\"retention.",
            "share(\"budget.",
            "time(\"budget.",
        ] {
            for rest in text.split(call).skip(1) {
                let path = rest.split('"').next().unwrap();
                // What is read by a table of its own stands behind its name.
                let of = call.split('"').nth(1).unwrap();
                let path = format!("{of}{path}");
                assert!(Key::find(&path).is_some(), "{}: {path}", file.display());
                read += 1;
            }
        }
    }
    assert!(read >= TABLE.len(), "{read} reads were found");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .collect()
}

#[test]
fn rules_say_what_becomes_of_which_tools_and_what_is_none_is_named() {
    let key = Key::find("gates.rules").unwrap();
    for good in ["ask *", "allow Read*, deny rm, ask *", "deny publish report.md"] {
        assert_eq!(key.check(good), Ok(()), "{good}");
    }
    for (bad, said) in [
        ("", "not a rule at \"\""),
        ("allow Read,", "not a rule at \"\""),
        ("forbid rm", "not a rule at \"forbid rm\""),
        ("allow", "a tool has 1 to 200 characters"),
    ] {
        let refused = key.check(bad).expect_err(bad);
        assert!(refused.contains(said), "{bad:?}: {refused}");
    }
}

#[test]
fn the_names_of_variables_are_unambiguous() {
    let mut names: Vec<String> = TABLE.iter().map(Key::variable).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), TABLE.len());
}

#[test]
fn an_unknown_variable_of_ours_is_warned_of() {
    let config = Place::new("")
        .variable("DORMOUSE_RUN_GRACEE", "1s")
        .variable("DORMOUSE_HOME", "/x")
        .load()
        .unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert!(
        config.warnings[0].contains("DORMOUSE_RUN_GRACE"),
        "{}",
        config.warnings[0]
    );
}

/// PR-20; no setting holds a credential or isolation yet. What is bounded is what is read, so a file that grows meanwhile
/// is like one that was as large before.
#[test]
fn a_file_that_is_too_large_or_no_file_is_refused_and_a_project_sets_no_paths() {
    let place = Place::new(&"#".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1));
    assert!(place.refused().detail.contains("1048576"));

    let place = Place::new("");
    let fifo = place.folder.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let environment = Environment::new([("A", "b")], "/");
    let refused = Config::load(&environment, Path::new("/none"), Some(&fifo)).expect_err("a pipe is no file");
    assert!(refused.detail.contains("regular file"), "{}", refused.detail);

    let refused = Place::new("").project("[store]\npath = \"/elsewhere\"").refused();
    assert!(refused.detail.contains("project's file"), "{}", refused.detail);
}

#[test]
fn a_file_that_was_named_must_be_there_and_the_usual_one_need_not() {
    let environment = Environment::new([("A", "b")], "/");
    assert!(Config::load(&environment, Path::new("/none/config.toml"), None).is_ok());
    assert!(
        Config::load(
            &environment,
            Path::new("/none"),
            Some(Path::new("/none/named.toml"))
        )
        .is_err()
    );
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    for (file, line) in [
        ("a = \n", 1),
        ("[run]\ngrace = \"1s\"\ngrace = \"2s\"\n", 3),
        ("[run\n", 1),
    ] {
        let place = Place::new(file);
        let refused = place.refused();
        let at = format!("{}:{line}:", place.file().display());
        let is_named =
            refused.detail.contains(&at) || refused.errors.iter().any(|error| error.message.contains(&at));
        assert!(is_named, "{file}: {refused:?}");
    }
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new("");
    fs::set_permissions(place.file(), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(place.refused().hint.clone().unwrap().starts_with("chmod 600"));
}

/// PR-19
#[test]
fn every_number_and_amount_refuses_what_is_nothing_or_absurd() {
    for key in TABLE {
        let (zero, absurd) = match key.kind {
            Kind::Bytes(_) => ("0MiB", "99999999TiB"),
            Kind::Number(..) => ("0", "99999999999999999999999"),
            Kind::Percent(..) => ("0%", "101%"),
            _ => continue,
        };
        for bad in [zero, absurd, "-1", "NaN", "1.5", "1 MiB", "5e3", "", "half"] {
            let refused = key.check(bad).expect_err(bad);
            assert!(refused.contains(" to "), "{} {bad}: {refused}", key.path);
        }
    }
}

#[test]
fn a_store_is_named_by_its_url_and_what_is_none_says_what_is() {
    for (value, said) in [
        ("sledd:/a", "did you mean sled:?"),
        ("/var/lib/store", "none of memory:, file:, sled:, postgres:"),
        ("sled:relative", "sled:/PATH is taken"),
        ("file://host/a", "a folder follows file:"),
    ] {
        let refused = Place::new(&format!("store.url = \"{value}\"\n")).refused();
        assert!(refused.detail.contains("store.url"), "{}", refused.detail);
        assert!(refused.detail.contains(said), "{value}: {}", refused.detail);
        assert_eq!(refused.exit().code(), 2);
    }
    for value in ["sled:/a", "file:/a", "memory:"] {
        let config = Place::new(&format!("store.url = \"{value}\"\n")).load().unwrap();
        assert_eq!(config.text("store.url"), Some(value));
    }
}

#[test]
fn a_project_does_not_choose_the_store() {
    let refused = Place::new("").project("store.url = \"file:/a\"").refused();
    assert!(refused.detail.contains("project"), "{}", refused.detail);
}

#[cfg(feature = "postgres")]
#[test]
fn a_password_is_taken_from_where_nobody_else_reads_it_and_shown_nowhere() {
    use std::os::unix::fs::PermissionsExt;
    let file = "store.url = \"postgres://u:hunter2@localhost/d\"\nstore.listen_url = \"postgres://u:hunter2@localhost/e\"\n";
    let place = Place::new(file);
    let chmod = |mode| fs::set_permissions(place.file(), fs::Permissions::from_mode(mode)).unwrap();
    chmod(0o644);
    let refused = place.refused();
    let said = format!("{refused:?}");
    assert!(said.contains("chmod 600") && !said.contains("hunter2"), "{said}");
    chmod(0o600);
    let of_variable = Place::new("").variable("DORMOUSE_STORE_URL", "postgres://u:hunter2@localhost/d");
    for config in [place.load().unwrap(), of_variable.load().unwrap()] {
        assert!(config.text("store.url").unwrap().contains("hunter2"));
        for (key, setting) in config.settings() {
            assert!(!key.shown(&setting.value).contains("hunter2"), "{}", key.path);
        }
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }
    let broken = Place::new("").variable("DORMOUSE_STORE_URL", "postgres:u:hunter2@localhost/d");
    let said = format!("{:?}", broken.refused());
    assert!(said.contains("store.url") && !said.contains("hunter2"), "{said}");
}
