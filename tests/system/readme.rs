//! The README is true: its console blocks are typed, and print what it says.

use std::collections::HashMap;
use std::process::Command;

use crate::home::{Home, Ran};
use crate::program::program;

const README: &str = include_str!("../../README.md");

/// A command of a console block, and what follows it.
#[derive(Debug)]
struct Typed {
    line: String,
    shown: Vec<String>,
}

/// The commands of the blocks that begin with "```console".
fn typed() -> Vec<Typed> {
    let mut commands: Vec<Typed> = Vec::new();
    let mut is_inside = false;
    for line in README.lines() {
        match (is_inside, line) {
            (false, "```console") => is_inside = true,
            (true, "```") => is_inside = false,
            (true, line) => match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(line), _) => commands.push(Typed {
                    line: line.to_owned(),
                    shown: Vec::new(),
                }),
                (None, Some(last)) => last.shown.push(line.to_owned()),
                (None, None) => panic!("a console block begins with a command, not {line:?}"),
            },
            (false, _) => {}
        }
    }
    commands
}

/// What differs from run to run: ids, and what begins with a digit, as instants and durations do.
fn normalised(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split_whitespace().map(normal).collect::<Vec<_>>().join(" "))
        .collect()
}

fn normal(word: &str) -> &str {
    let is_number = word
        .trim_start_matches('(')
        .starts_with(|c: char| c.is_ascii_digit());
    match kind_of_id(word) {
        Some(kind) => kind,
        None if is_number => "0",
        None => word,
    }
}

fn kind_of_id(word: &str) -> Option<&'static str> {
    ["run_", "tsk_", "gat_", "evt_"]
        .into_iter()
        .find(|kind| word.starts_with(kind))
}

/// Ids of the README, and what they are here: learnt from where they first stood.
#[derive(Debug, Default)]
struct Ids(HashMap<String, String>);

impl Ids {
    fn learn(&mut self, shown: &str, printed: &str) {
        let pairs = shown.split_whitespace().zip(printed.split_whitespace());
        for (shown, printed) in pairs.filter(|(shown, _)| kind_of_id(shown).is_some()) {
            self.0
                .entry(shown.to_owned())
                .or_insert_with(|| printed.to_owned());
        }
    }

    fn applied(&self, line: &str) -> String {
        let ids = self.0.iter();
        ids.fold(line.to_owned(), |line, (shown, own)| line.replace(shown, own))
    }
}

fn shell(home: &Home, line: &str) -> Ran {
    // The tests' program is called dormouse, whichever folder it was built in.
    let folder = program().parent().expect("the program lies in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{{ {line}\n}} 2>&1")])
        .env_clear()
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("DORMOUSE_HOME", home.path())
        .current_dir(home.path().parent().expect("the home lies in a folder"));
    Ran::of(&mut command)
}

#[test]
fn what_the_readme_shows_is_what_the_program_prints() {
    let home = Home::new();
    let mut ids = Ids::default();
    let commands = typed();
    assert!(commands.len() >= 3, "the README shows a session");
    for Typed { line, shown } in commands {
        let ran = shell(&home, &ids.applied(&line));
        let shown = shown.join("\n");
        assert_eq!(normalised(&ran.stdout), normalised(&shown), "$ {line}");
        ids.learn(&shown, &ran.stdout);
    }
}
