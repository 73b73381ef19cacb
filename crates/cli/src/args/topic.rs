//! The topics of `help`: exit codes, variables, settings, forms of data.

use super::help::table;
use crate::config::key::{Kind, OTHER_VARIABLES};
use crate::config::table::TABLE;

/// The text of a topic.
#[must_use]
pub fn topic(name: &str) -> Option<String> {
    match name {
        "exit-codes" => Some(exit_codes()),
        "environment" => Some(environment()),
        "config" => Some(config_topic()),
        "formatting" => Some(FORMATTING.to_owned()),
        _ => None,
    }
}

/// The names of the topics.
pub const TOPICS: &[&str] = &["environment", "exit-codes", "formatting", "config"];

fn exit_codes() -> String {
    let worker =
        "With run --exit worker: the worker's own code, 128 + its signal, or 12 if neither is known.\n";
    format!(
        "What the exit code says\n\n{}\n  101  a bug of ours\n\n{worker}",
        table(|_| true)
    )
}

fn environment() -> String {
    let mut text = String::from("Variables that dormouse reads\n\n");
    for key in TABLE {
        text.push_str(&format!("  {:<32}  {}\n", key.variable(), key.about));
    }
    text.push_str("\nBeside the settings:\n\n");
    for name in OTHER_VARIABLES {
        text.push_str(&format!("  {name}\n"));
    }
    text.push_str(
        "\nNO_COLOR, CLICOLOR_FORCE, HOME and the XDG_*_HOME and XDG_RUNTIME_DIR folders count too.\n",
    );
    text
}

fn config_topic() -> String {
    let mut text = String::from(
        "Settings, in config.toml; a flag beats a variable, that a project's file, that this file, that the default\n\n",
    );
    for key in TABLE {
        let takes = match key.kind {
            Kind::Path => "an absolute path".to_owned(),
            Kind::Server => "unix:/PATH or http://HOST:PORT".to_owned(),
            Kind::Duration(bounds) => bounds.to_string(),
            Kind::DurationOrOff(bounds) => format!("{bounds}, or off"),
            Kind::Store => "sled:/PATH, file:/PATH, postgres://USER@HOST/DATABASE".to_owned(),
            Kind::Postgres => "postgres://USER@HOST/DATABASE".to_owned(),
            Kind::Bytes(bounds) => bounds.to_string(),
            Kind::Number(min, max) => format!("{min} to {max}"),
            Kind::Percent(min, max) => format!("{min}% to {max}%"),
            Kind::Schema => "[a-z_][a-z0-9_]*".to_owned(),
            Kind::Word(words) => words.join(" or "),
            Kind::DurationOrNever(bounds) => format!("{bounds}, or never"),
            Kind::Rules => {
                "allow TOOL, deny TOOL and ask TOOL, with commas between; TOOL may end in *".to_owned()
            }
            Kind::Intensity => "how many within how long, as in 10/10m, or off".to_owned(),
            Kind::Variables => "names of variables with commas between".to_owned(),
        };
        let default = match key.default {
            Some("") => "none",
            Some(default) => default,
            None => "by the place",
        };
        text.push_str(&format!(
            "  {}\n      {}\n      takes {takes}; default {default}; {}; {}\n",
            key.path,
            key.about,
            key.variable(),
            key.class.word()
        ));
    }
    text.push_str(CLASSES);
    text
}

const CLASSES: &str = "
A setting of class live is taken when an owner reads its settings again (dormouse config reload, or SIGHUP to dormouse serve), by
what begins from then on; one of class restart at the next start of the owner, and a reload lists it as pending; one of class
command by each command for itself. Where anything is wrong a reload takes nothing, and says config.rejected in an event.

Agents of the user's file, in [agents.NAME] with the keys of dormouse agent set:

  [agents.alice]
  concurrency = 2
  mode = \"dormant\"

dormouse serve makes those that are not there, at its start and at a reload, in the tenant default, and sets what the file names;
what it does not name stays. An agent that leaves the file stays as it is: dormouse agent remove deletes one.
";

const FORMATTING: &str = "\
How data is printed

  -o text    on a terminal a table with a header; into a pipe tab-separated rows without one, where a tab, line feed,
             control or backslash inside a cell is escaped with a backslash
  -o json    the API's body, byte for byte; a list is {\"items\":[…],\"next_cursor\":…}
  -o jsonl   one item or event a line, flushed

stdout carries data only. Notices, the status line and errors go to stderr: error: …, then hint: …; with json one
problem document. What workers print is cleaned for terminals: escape sequences, controls and marks of the writing
direction are shown instead of sent.
";
