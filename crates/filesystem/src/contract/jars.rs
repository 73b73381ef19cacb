//! Jars: records that the clauses of typed records are about.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::kit::{batch, commit};
use crate::{
    Class, Entry, Expected, IndexEntry, IndexValue, Item, Key, Namespace, Opener, Page, Prefix, Query,
    Record, RecordKind, RecordStore, Records, Requirements, Segment, System, Tenant, Versioned,
};

/// A record with what records have: a choice, a count, what may be missing, and an older form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Jar {
    pub(super) id: Segment,
    pub(super) lid: Lid,
    pub(super) count: u64,
    pub(super) size: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Lid {
    Open,
    Shut,
}

crate::indexes! {
    pub(super) enum JarIndex {
        Count = own "count",
        Size = own "size",
        Shut = system "shut",
    }
}

impl Record for Jar {
    type Scope = Tenant;
    type Id = Segment;
    type Index = JarIndex;
    const KIND: RecordKind = RecordKind::of("jar");
    const SCHEMA: u32 = 2;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> Segment {
        self.id.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<JarIndex>> {
        let count = IndexValue::number(self.count);
        let size = self.size.map_or_else(IndexValue::unset, IndexValue::number);
        let mut entries = vec![
            IndexEntry::new(JarIndex::Count, [count]),
            IndexEntry::new(JarIndex::Size, [size]),
        ];
        if self.lid == Lid::Shut {
            entries.push(IndexEntry::new(JarIndex::Shut, []));
        }
        entries
    }

    fn upgrade(from: u32, mut value: serde_json::Value) -> Option<serde_json::Value> {
        let fields = value.as_object_mut().filter(|_| from == 1)?;
        fields.insert("lid".to_owned(), "open".into());
        Some(value)
    }
}

pub(super) fn jar(number: u64, count: u64) -> Jar {
    Jar {
        id: Segment::number(number),
        lid: Lid::Open,
        count,
        size: None,
    }
}

pub(super) async fn open(store: &Arc<dyn RecordStore>) -> Namespace<System> {
    let opener = Opener::at(jiff::Timestamp::UNIX_EPOCH, 1);
    let opened = Namespace::<System>::open(Arc::clone(store), &Requirements::volatile(), opener).await;
    opened.expect("the store keeps what it promises")
}

pub(super) fn jars(system: &Namespace<System>) -> Records<Jar> {
    Records::new(&system.tenant(&Segment::parse("acme").expect("it is legal")))
}

/// Every record of the store.
pub(super) async fn stored(store: &dyn RecordStore) -> Vec<Item> {
    let page = Page::of(Prefix::root());
    store.list(&page).await.expect("the store answers").items
}

pub(super) async fn got(jars: &Records<Jar>, number: u64) -> Option<Jar> {
    let read = jars.get(&Segment::number(number)).await;
    read.expect("it is believed").map(Versioned::into_inner)
}

pub(super) async fn counted(jars: &Records<Jar>, count: u64) -> Vec<Jar> {
    let query = Query::of(JarIndex::Count).equals([IndexValue::number(count)]);
    let found = jars.find(&query).await.expect("the store answers");
    found.rows.into_iter().map(Versioned::into_inner).collect()
}

/// A row of another build, or of nobody's, in place of the jar of this number; it has no index entry.
pub(super) async fn plant(
    store: &dyn RecordStore,
    jars: &Records<Jar>,
    number: u64,
    kind: RecordKind,
    text: &str,
) -> Entry {
    let key = jars.row(&Segment::number(number)).expect("it makes a key");
    let there = store.get(&key).await.expect("the store answers");
    let expected = there.map_or(Expected::Absent, |entry| Expected::At(entry.version));
    let mut planted = batch();
    planted.put(key.clone(), expected, kind, text.to_owned());
    commit(store, planted).await.expect("nobody else writes");
    entry(store, &key).await
}

pub(super) async fn entry(store: &dyn RecordStore, key: &Key) -> Entry {
    store
        .get(key)
        .await
        .expect("the store answers")
        .expect("it is there")
}

/// The stored form of the jar of this number in this form.
pub(super) fn form(number: u64, schema: u32, value: &serde_json::Value) -> String {
    let mut value = value.clone();
    value["id"] = Segment::number(number).as_str().into();
    let form = serde_json::json!({
        "kind": "jar", "schema": schema, "id": Segment::number(number).as_str(), "scope": "acme", "value": value,
    });
    form.to_string()
}
