//! Stored forms of records, made of any bytes.

use serde::{Deserialize, Serialize};

use super::stored::{decode, encode};
use super::{Class, IndexEntry, NoIndexes, Record};
use crate::contract::fuzz::Input;
use crate::{Entry, Key, RecordKind, Segment, System, Version};

/// A record with what records have: a name, a number, a choice, something that may be missing, and older forms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    id: Segment,
    count: u64,
    choice: Choice,
    text: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Choice {
    One,
    Other { lines: Vec<String> },
}

impl Record for Note {
    type Scope = System;
    type Id = Segment;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("note");
    const SCHEMA: u32 = 3;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }

    fn upgrade(from: u32, mut value: serde_json::Value) -> Option<serde_json::Value> {
        let (field, initial) = match from {
            1 => ("choice", "one".into()),
            2 => ("text", serde_json::Value::Null),
            _ => return None,
        };
        value.as_object_mut()?.insert(field.to_owned(), initial);
        Some(value)
    }
}

/// A stored form of any bytes: read as what it is, or refused.
///
/// # Panics
/// When what is read does not read the same when it is written again.
pub fn rows(bytes: &[u8]) {
    let input = Input::new(bytes);
    let scope = (input.byte() % 2 == 1).then_some("acme");
    let id = Segment::parse("a").expect("it is legal");
    let entry = Entry {
        key: Key::parse("r/note/a").expect("it is legal"),
        value: input.rest().to_vec().into(),
        version: Version::new(7),
        kind: Note::KIND,
    };
    if let Ok(read) = decode::<Note>(&entry, &id, scope) {
        assert_eq!(read.id, id);
        let value = encode(&*read, scope).expect("what was read can be written");
        let again = decode::<Note>(
            &Entry {
                value,
                ..entry.clone()
            },
            &id,
            scope,
        )
        .expect("what was written is read");
        assert_eq!(*again, *read);
        assert!(
            decode::<Note>(&entry, &id, Some("other")).is_err(),
            "of another scope"
        );
    }
}
