//! What a history says of versions, whoever was told: which value each is of, and which are of no value known.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Answer, Event, Makes, Needs};
use crate::Version;

/// Versions and values of each record.
#[derive(Debug, Default)]
pub(super) struct Known {
    versions: BTreeMap<(usize, u64), Version>,
    values: BTreeMap<(usize, Version), u64>,
    /// Records of which somebody named a version whose value nobody was told.
    nameless: BTreeSet<usize>,
}

impl Known {
    /// # Errors
    /// When one value has two versions, or one version two values.
    pub(super) fn of(events: &[Event]) -> Result<Self, String> {
        let mut known = Self::default();
        for event in events {
            for (record, held) in &event.saw {
                if let Some(held) = held {
                    known.learn(*record, held.value, held.version)?;
                }
            }
            if let Answer::Done(Some(version)) = event.answer {
                for step in &event.steps {
                    if let Makes::Put(value) = step.makes {
                        known.learn(step.record, value, version)?;
                    }
                }
            }
        }
        known.nameless = events
            .iter()
            .flat_map(named)
            .filter(|named| !known.values.contains_key(named))
            .map(|(record, _)| record)
            .collect();
        Ok(known)
    }

    fn learn(&mut self, record: usize, value: u64, version: Version) -> Result<(), String> {
        let of_value = *self.versions.entry((record, value)).or_insert(version);
        let of_version = *self.values.entry((record, version)).or_insert(value);
        if of_value == version && of_version == value {
            return Ok(());
        }
        Err(format!(
            "value {value} of record {record} was seen at {version}, and is of {of_value}, where {of_version} is"
        ))
    }

    /// The version of a value, if anybody was told.
    pub(super) fn version(&self, record: usize, value: u64) -> Option<Version> {
        self.versions.get(&(record, value)).copied()
    }

    /// Whether this version may be of a value that nobody was told the version of.
    pub(super) fn is_nameless(&self, record: usize, version: Version) -> bool {
        !self.values.contains_key(&(record, version))
    }

    /// Whether an operation that nobody was answered can have been seen by anybody. One that only put what nobody
    /// ever saw was not done, or as good as not: what stands behind it would have been judged by it.
    pub(super) fn may_have_been_seen(&self, event: &Event) -> bool {
        event.steps.iter().any(|step| match step.makes {
            Makes::Put(value) => {
                self.versions.contains_key(&(step.record, value)) || self.nameless.contains(&step.record)
            }
            Makes::Deleted => true,
            Makes::Nothing => false,
        })
    }
}

/// The versions that an operation names: what it needed, and what it was refused for.
fn named(event: &Event) -> Vec<(usize, Version)> {
    let needed = event.steps.iter().filter_map(|step| match step.needs {
        Needs::At(version) => Some((step.record, version)),
        Needs::Absent => None,
    });
    let refused = match &event.answer {
        Answer::Refused(failed) => failed.as_slice(),
        Answer::Done(_) | Answer::Unknown => &[],
    };
    let found = refused
        .iter()
        .filter_map(|(record, actual)| Some((*record, (*actual)?)));
    needed.chain(found).collect()
}
