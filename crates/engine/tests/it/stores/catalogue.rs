//! The catalogue of events: written down, and each entry of it emitted somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use dormouse_engine::event::catalogue;

use super::golden;

#[test]
fn the_catalogue_of_events_is_as_it_is_written_down() {
    golden::check("events.txt", &(catalogue().join("\n") + "\n"));
}

#[test]
fn no_type_of_event_is_there_twice() {
    let mut types = catalogue();
    types.dedup();
    assert_eq!(types, catalogue());
    let is_type = |kind: &str| {
        let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        kind.split_once('.')
            .is_some_and(|(noun, verb)| word(noun) && word(verb))
    };
    assert!(types.iter().all(|kind| is_type(kind)), "{types:?}");
}

/// Each change that the engine knows is told by some code of its own.
#[test]
fn every_change_has_an_emitter() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let table = fs::read_to_string(root.join("event/change.rs")).unwrap();
    let emitters: String = sources(&root)
        .into_iter()
        .filter(|path| !path.ends_with("event/change.rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let variants = variants(&table);
    assert!(variants.len() > 40, "{variants:?}");
    let silent: Vec<&String> = variants
        .iter()
        .filter(|variant| {
            let (fields, data) = (format!("Change::{variant} {{"), format!("Change::{variant}("));
            !emitters.contains(&fields) && !emitters.contains(&data)
        })
        .collect();
    assert!(silent.is_empty(), "nobody tells {silent:?}");
}

/// The names of the variants behind their types.
fn variants(table: &str) -> Vec<String> {
    let of_enum = table.split("pub enum Change {").nth(1).unwrap();
    let of_enum = of_enum.split("\n}\n").next().unwrap();
    let of_types = of_enum.split("\n    #[serde(rename = \"").skip(1);
    let name = |text: &str| {
        let line = text.lines().nth(1).unwrap().trim();
        line.split([' ', '(']).next().unwrap().to_owned()
    };
    of_types.map(name).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .collect()
}
