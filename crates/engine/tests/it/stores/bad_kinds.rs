//! Every kind of record of the engine's can be judged by its key.

use std::fs;
use std::path::Path;

/// A kind that is added is judged too.
#[test]
fn every_kind_of_record_is_in_the_table_of_those_that_are_judged() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let table = fs::read_to_string(root.join("bad/kinds.rs")).unwrap();
    let mut records = Vec::new();
    of_folder(&root, &mut records);
    assert!(records.len() > 25, "{records:?}");
    let is_listed = |record: &&String| {
        let names = [format!("::{record},"), format!("::{record};")];
        !names.iter().any(|name| table.contains(name))
    };
    let missing: Vec<&String> = records.iter().filter(is_listed).collect();
    assert!(missing.is_empty(), "not judged: {missing:?}");
}

fn of_folder(folder: &Path, records: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            of_folder(&path, records);
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let found = source
            .lines()
            .filter_map(|line| line.strip_prefix("impl Record for "));
        records.extend(found.map(|rest| rest.trim_end_matches(" {").to_owned()));
    }
}
