//! Rows of every kind as each build wrote them: read for ever, never read laxly, and left alone where a newer build wrote
//! them.
//!
//! `golden/rows.txt` holds a row of each kind and schema, with its key, as a build stored it: `KEY KIND JSON`, one a line.
//! A line is never changed. A new kind or schema adds one: the first row of it that [`House::stored`] shows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dormouse_engine::bad::Fate;
use dormouse_engine::kinds;
use serde_json::{Value, json};

use super::golden;
use super::house::House;

super::on_every_store! {
    /// ST-8, with `what_a_newer_build_wrote_stays_as_it_is` of the record stores.
    every_kind_is_read_as_each_build_wrote_it;
    /// ST-12, with `a_row_unlike_its_key_or_type_is_refused` of the record stores.
    no_kind_is_read_laxly;
}

/// A stored row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) kind: String,
    pub(super) form: Value,
}

impl Row {
    /// The same with something else in it.
    fn with(&self, change: impl FnOnce(&mut Value)) -> Self {
        let mut row = self.clone();
        change(&mut row.form);
        row
    }
}

fn rows() -> Vec<Row> {
    rows_in("rows.txt")
}

/// Those of a golden file.
pub(super) fn rows_in(file: &str) -> Vec<Row> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "it", "golden", file]
        .iter()
        .collect();
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let mut parts = line.splitn(3, ' ').map(str::to_owned);
        let [key, kind, form] = [(); 3].map(|()| parts.next().unwrap());
        Row {
            key,
            kind,
            form: serde_json::from_str(&form).unwrap(),
        }
    };
    text.lines().map(row).collect()
}

/// Those of tenants; what is wrong with a tenant's own row hides all that it has.
fn rows_of_tenants() -> Vec<Row> {
    let mut rows = rows();
    rows.retain(|row| row.kind != "tenant");
    rows
}

async fn plant(house: &House, row: &Row) {
    house.plant(&row.key, &row.kind, &row.form.to_string()).await;
}

/// The kinds of which a row is not believed.
async fn not_believed(house: &House) -> Vec<(String, String)> {
    let checked = house.engine.check_records(false).await.unwrap();
    let named = |bad: dormouse_engine::bad::BadFound| {
        assert_eq!(bad.fate, Fate::Left);
        (bad.kind, bad.cause)
    };
    checked.bad.into_iter().map(named).collect()
}

#[test]
fn a_row_of_every_kind_and_schema_is_written_down() {
    let schema = |row: &Row| row.form["schema"].as_u64().unwrap();
    let written: BTreeSet<(String, u64)> = rows().iter().map(|row| (row.kind.clone(), schema(row))).collect();
    let kinds: BTreeSet<String> = kinds().iter().map(|kind| kind.name().to_string()).collect();
    let mut of_engine: BTreeSet<String> = kinds.into_iter().filter(|kind| !is_of_secrets(kind)).collect();
    // Each schema up to that of today, which the sources say of each.
    let mut known = BTreeSet::new();
    for source in sources() {
        for record in source.split("\nimpl Record for ").skip(1) {
            let between = |before: &str, after: char| {
                let (_, from) = record.split_once(before).unwrap();
                from.split_once(after).unwrap().0.to_owned()
            };
            let kind = between("RecordKind::of(\"", '"');
            let last: u64 = between("const SCHEMA: u32 = ", ';').parse().unwrap();
            assert!(of_engine.remove(&kind), "{kind} is not enlisted, or twice");
            known.extend((1..=last).map(|schema| (kind.clone(), schema)));
        }
    }
    assert_eq!(of_engine, BTreeSet::new(), "nothing declares them");
    assert_eq!(written, known);
}

/// Kinds of the library of secrets, which has golden files of its own.
pub(super) fn is_of_secrets(kind: &str) -> bool {
    dormouse_secrets::kinds()
        .iter()
        .any(|secret| secret.name().as_str() == kind)
}

async fn every_kind_is_read_as_each_build_wrote_it(house: House) {
    let rows = rows();
    for row in &rows {
        plant(&house, row).await;
    }
    let checked = house.engine.check_records(false).await.unwrap();
    assert_eq!(checked.bad, [], "an older build wrote it");
    assert!(checked.rows >= rows.len() as u64);

    // A newer build's, and what no build here knows: neither is damaged, and repair leaves both as they are.
    let newer = |row: &Row| {
        row.with(|form| {
            form["schema"] = json!(form["schema"].as_u64().unwrap() + 1);
            form["value"] = json!({ "unheard_of": true });
        })
    };
    let unknown = |row: &Row| Row {
        key: row.key.replace("/r/", "/r/unheard_"),
        kind: format!("unheard_{}", row.kind),
        form: json!({ "kind": "unheard_of" }),
    };
    let of_tenants = rows_of_tenants();
    for row in &of_tenants {
        plant(&house, &newer(row)).await;
        plant(&house, &unknown(row)).await;
    }
    let before = house.stored().await;
    let repaired = house.engine.check_records(true).await.unwrap();
    assert_eq!(
        (repaired.bad, repaired.kept),
        (vec![], vec![]),
        "it is not damaged"
    );
    assert_eq!(house.stored().await, before, "each byte is as it was");
    for row in &of_tenants {
        let other = Row {
            kind: format!("unheard_{}", row.kind),
            ..row.clone()
        };
        plant(&house, &other).await;
    }
    let repaired = house.engine.check_records(true).await.unwrap();
    assert_eq!(
        (repaired.bad, repaired.kept),
        (vec![], vec![]),
        "it is of a kind of a newer build"
    );
}

async fn no_kind_is_read_laxly(house: House) {
    let rows = rows_of_tenants();
    for row in &rows {
        plant(&house, row).await;
    }
    // No key has an incarnation in it, which a row could say otherwise: its place is within the namespace of its tenant.
    for row in &rows {
        for said in incarnations(&row.form["value"]) {
            let said = said.replace('-', "");
            assert!(!row.key.replace('-', "").contains(&said), "{row:?}");
        }
    }
    let all: BTreeSet<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
    for (what, change) in UNLIKE {
        for row in &rows {
            plant(&house, &row.with(*change)).await;
        }
        let found = not_believed(&house).await;
        let found: BTreeSet<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
        let lax: Vec<_> = all.difference(&found).collect();
        assert!(lax.is_empty(), "{what}: {lax:?} are believed");
    }
    for row in &rows {
        plant(&house, row).await;
    }
    assert_eq!(not_believed(&house).await, []);

    // Each number below nothing, and each word that nobody knows, of each kind: those that are believed are written down.
    let mut believed = BTreeSet::new();
    for round in 0.. {
        let changed: Vec<(&Row, String, Value)> = rows
            .iter()
            .filter_map(|row| {
                let (path, other) = leaves(&row.form["value"]).into_iter().nth(round)?;
                Some((row, path, other))
            })
            .collect();
        if changed.is_empty() {
            break;
        }
        for (row, path, other) in &changed {
            let changed = row.with(|form| *form["value"].pointer_mut(path).unwrap() = other.clone());
            plant(&house, &changed).await;
        }
        let found = not_believed(&house).await;
        for (row, path, other) in &changed {
            if !found.iter().any(|(kind, _)| *kind == row.kind) {
                believed.insert(format!(
                    "{} {path} {}",
                    row.kind,
                    if other.is_i64() { "number" } else { "word" }
                ));
            }
            plant(&house, row).await;
        }
    }
    let believed: String = believed.into_iter().map(|line| line + "\n").collect();
    golden::check("rows_any_word.txt", &believed);
}

type ChangeOf = fn(&mut Value);

/// What no row of its place says.
const UNLIKE: &[(&str, ChangeOf)] = &[
    ("another id", |form| {
        form["id"] = format!("{}x", form["id"].as_str().unwrap()).into();
    }),
    ("another tenant", |form| form["scope"] = "bolt".into()),
    ("no tenant", |form| {
        form.as_object_mut().unwrap().remove("scope");
    }),
    ("another kind", |form| form["kind"] = "unheard_of".into()),
    ("a field that nobody knows", |form| {
        form["value"]["unheard_of"] = true.into();
    }),
    ("a field beside it", |form| form["unheard_of"] = true.into()),
    ("a schema that never was", |form| form["schema"] = 0.into()),
    ("a negative schema", |form| form["schema"] = (-1).into()),
    ("nothing", |form| form["value"] = json!({})),
    ("a list", |form| form["value"] = json!([])),
];

/// All incarnations that a value names.
fn incarnations(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let named = fields.iter().filter(|(name, _)| name.ends_with("incarnation"));
            let named = named.filter_map(|(_, value)| value.as_str().map(str::to_owned));
            named.chain(fields.values().flat_map(incarnations)).collect()
        }
        Value::Array(values) => values.iter().flat_map(incarnations).collect(),
        _ => Vec::new(),
    }
}

/// Each count and each word of a value by its path, with what it cannot be.
fn leaves(value: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    add_leaves(value, String::new(), &mut found);
    found
}

fn add_leaves(value: &Value, path: String, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Number(_) => drop(found.insert(path, json!(-1))),
        Value::String(word) if is_word(word) => drop(found.insert(path, "unheard_of".into())),
        Value::Object(fields) => {
            for (name, value) in fields {
                add_leaves(value, format!("{path}/{name}"), found);
            }
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                add_leaves(value, format!("{path}/{at}"), found);
            }
        }
        Value::String(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// What an enum may be stored as.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// A stored type leaves out none of its fields, nor does any part of one: wherever it is declared, nothing is skipped but
/// what is not set.
#[test]
fn no_stored_type_has_a_field_of_the_moment() {
    let mut sources = sources();
    let stored: usize = sources.iter().map(|source| records(source).len()).sum();
    assert!(stored > 25, "{stored}");
    // The machine of sessions is stored as its own crate declares it.
    let state = Path::new(env!("CARGO_MANIFEST_DIR")).join("../state/src");
    of_folder(&state, &mut sources);
    for source in &sources {
        for line in source.lines().filter(|line| line.contains("serde(")) {
            let skips = [
                "skip)",
                "skip,",
                "skip_serializing)",
                "skip_serializing,",
                "skip_deserializing",
            ];
            assert!(!skips.iter().any(|skip| line.contains(skip)), "{line}");
        }
    }
}

fn records(source: &str) -> Vec<String> {
    let named = source
        .lines()
        .filter_map(|line| line.strip_prefix("impl Record for "));
    named.map(|rest| rest.trim_end_matches(" {").to_owned()).collect()
}

/// The text of each file of the engine.
fn sources() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    of_folder(&root, &mut sources);
    sources
}

fn of_folder(folder: &Path, sources: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            of_folder(&path, sources);
        } else if path.extension().is_some_and(|end| end == "rs") {
            sources.push(std::fs::read_to_string(&path).unwrap());
        }
    }
}
