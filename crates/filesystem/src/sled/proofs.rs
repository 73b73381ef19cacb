//! An index with layers ahead of its trees, against a map; and against a death at any moment.

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::collection::vec;
use proptest::prelude::*;

use super::index::Index;
use crate::Order;
use crate::commit_log::Place;
use crate::commit_log::frame::{self, Frame, Header, Operation, Seed};
use crate::embedded::apply::{Mode, apply};
use crate::embedded::index::{Before, Index as _, Walk};
use crate::embedded::spot::{Head, Spot, spot};

const STORE: [u8; 16] = [7; 16];
const CACHE_BYTES: u64 = 1 << 20;

fn open(folder: &tempfile::TempDir, layer_changes: usize) -> Index {
    let mut index = Index::open(&folder.path().join("index"), STORE, CACHE_BYTES).unwrap();
    index.ahead.layer_changes = layer_changes;
    index
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8),
    Remove(u8),
    Begin,
    Send,
    Wait,
    Look(u8),
    Walk(Bound<u8>, Bound<u8>, bool),
}

fn bound() -> impl Strategy<Value = Bound<u8>> {
    prop_oneof![
        (0..30_u8).prop_map(Bound::Included),
        (0..30_u8).prop_map(Bound::Excluded),
        Just(Bound::Unbounded),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..30_u8).prop_map(Step::Put),
        3 => (0..30_u8).prop_map(Step::Remove),
        1 => Just(Step::Begin),
        1 => Just(Step::Send),
        1 => Just(Step::Wait),
        3 => (0..30_u8).prop_map(Step::Look),
        3 => (bound(), bound(), any::<bool>()).prop_map(|(low, high, up)| Step::Walk(low, high, up)),
    ]
}

fn name(key: u8) -> String {
    format!("k/{key:02}")
}

/// What a walk of the model shows; nothing where the range has no inside.
fn expected(
    model: &BTreeMap<String, u64>,
    low: Bound<&String>,
    high: Bound<&String>,
    up: bool,
) -> Vec<(String, u64)> {
    let inside = |key: &String| {
        (match low {
            Bound::Included(low) => key >= low,
            Bound::Excluded(low) => key > low,
            Bound::Unbounded => true,
        }) && (match high {
            Bound::Included(high) => key <= high,
            Bound::Excluded(high) => key < high,
            Bound::Unbounded => true,
        })
    };
    let mut found: Vec<_> = model
        .iter()
        .filter(|(key, _)| inside(key))
        .map(|(key, version)| (key.clone(), *version))
        .collect();
    if !up {
        found.reverse();
    }
    found
}

/// All that an index tells.
#[derive(Debug, PartialEq)]
struct All {
    records: Vec<(String, Spot)>,
    heads: Vec<(String, Head)>,
    entries: Vec<(String, u64, Spot)>,
}

fn all(index: &Index) -> All {
    let (mut records, mut heads, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    index
        .walk_records(Walk::ALL, |key, spot| {
            records.push((key.to_owned(), spot));
            true
        })
        .unwrap();
    index
        .walk_heads(Walk::ALL, |log, head| {
            heads.push((log.to_owned(), head));
            true
        })
        .unwrap();
    index
        .walk_all_entries(None, |log, position, spot| {
            entries.push((log.to_owned(), position, spot));
            true
        })
        .unwrap();
    All {
        records,
        heads,
        entries,
    }
}

/// Commits as bytes: each puts, deletes, appends or truncates, as it makes sense where it comes.
fn commits(choices: &[(u8, u8)]) -> Vec<Vec<u8>> {
    let mut records: BTreeMap<String, u64> = BTreeMap::new();
    let mut logs: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut frames = Vec::new();
    for (at, (what, which)) in choices.iter().enumerate() {
        let version = at as u64 + 1;
        let key = name(which % 6);
        let log = format!("l/{}", which % 3);
        let (first, next) = logs.get(&log).copied().unwrap_or((1, 1));
        let was = records.get(&key).copied();
        let operation = match (what % 4, was) {
            (0, Some(was)) => {
                records.remove(&key);
                Operation::Delete { key: &key, was }
            }
            (1, _) if next - first > 2 => {
                logs.insert(log.clone(), (next - 1, next));
                Operation::Truncate {
                    log: &log,
                    first,
                    before: next - 1,
                    bytes: (next - 1 - first) * 2,
                }
            }
            (1 | 2, _) => {
                logs.insert(log.clone(), (first, next + 1));
                Operation::Append {
                    log: &log,
                    position: next,
                    entry: b"ab",
                }
            }
            _ => {
                records.insert(key.clone(), version);
                Operation::Put {
                    key: &key,
                    was: was.unwrap_or(0),
                    kind: "test",
                    value: b"v",
                }
            }
        };
        let header = Header {
            version,
            group: 0,
            segment: 1,
        };
        let mut bytes = Vec::new();
        let len = frame::encode(header, Seed::of(STORE), std::iter::once(operation), &mut bytes);
        bytes.truncate(len);
        frames.push(bytes);
    }
    frames
}

fn take(index: &mut Index, frames: &[Vec<u8>], mode: Mode) {
    let mut offset = 64;
    for bytes in frames {
        let frame = Frame::verified(bytes).unwrap();
        let len = u32::try_from(bytes.len()).unwrap();
        let place = Place {
            segment: 1,
            offset,
            len,
        };
        offset += len;
        index.begin(frame.header().version).unwrap();
        apply(index, place, &frame, mode).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_of_it_the_trees_have_looks_and_walks_see_the_newest(
        steps in vec(step(), 1..120),
        layer_changes in 1..9_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut index = open(&folder, layer_changes);
        let mut model: BTreeMap<String, u64> = BTreeMap::new();
        for (at, step) in steps.into_iter().enumerate() {
            let version = at as u64 + 1;
            match step {
                Step::Put(key) => {
                    let old = index.put_record(&name(key), &spot(version), Before::Unknown).unwrap();
                    prop_assert_eq!(old.map(|old| old.version), model.insert(name(key), version));
                }
                Step::Remove(key) => {
                    let old = index.remove_record(&name(key)).unwrap();
                    prop_assert_eq!(old.map(|old| old.version), model.remove(&name(key)));
                }
                Step::Begin => index.begin(version).unwrap(),
                Step::Send => drop(index.send().unwrap()),
                Step::Wait => index.drain().unwrap(),
                Step::Look(key) => {
                    let found = index.record(&name(key)).unwrap();
                    prop_assert_eq!(found.map(|found| found.version), model.get(&name(key)).copied());
                    if found.is_none() {
                        index.saw_nothing_of(&name(key)).unwrap();
                    }
                }
                Step::Walk(low, high, up) => {
                    let (low, high) = (low.map(name), high.map(name));
                    let walk = Walk {
                        low: low.as_ref().map(String::as_bytes),
                        high: high.as_ref().map(String::as_bytes),
                        order: if up { Order::Up } else { Order::Down },
                    };
                    let mut found = Vec::new();
                    index
                        .walk_records(walk, |key, spot| {
                            found.push((key.to_owned(), spot.version));
                            true
                        })
                        .unwrap();
                    if found.is_empty() {
                        index.saw_none(walk).unwrap();
                    }
                    prop_assert_eq!(found, expected(&model, low.as_ref(), high.as_ref(), up));
                }
            }
            for key in 0..30 {
                let (low, high) = (name(key), name(key + 5));
                prop_assert!(!index.gaps.holds(low.as_bytes()) || !model.contains_key(&low), "{}", low);
                let said = index
                    .gaps
                    .is_empty(Bound::Included(low.as_bytes()), Bound::Excluded(high.as_bytes()));
                prop_assert!(!said || model.range(low.clone()..high).next().is_none(), "from {}", low);
            }
        }
        index.drain().unwrap();
        drop(index);
        let left = all(&open(&folder, layer_changes)).records;
        let left: BTreeMap<_, _> = left.into_iter().map(|(key, spot)| (key, spot.version)).collect();
        prop_assert_eq!(left, model, "the trees have all of it in the end");
    }

    #[test]
    fn what_did_not_come_to_the_trees_comes_by_replay(
        choices in vec(any::<(u8, u8)>(), 1..60),
        layer_changes in 1..9_usize,
        waits in any::<bool>(),
    ) {
        let frames = commits(&choices);
        let folder = tempfile::tempdir().unwrap();
        let mut index = open(&folder, layer_changes);
        take(&mut index, &frames, Mode::Live);
        if waits {
            drop(index.send().unwrap());
        }
        let whole = all(&index);
        // Stops wherever it is, in the middle of a layer too.
        drop(index);
        let mut index = open(&folder, layer_changes);
        take(&mut index, &frames, Mode::Replay);
        prop_assert_eq!(all(&index), whole);
    }
}
