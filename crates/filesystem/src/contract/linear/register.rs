//! The sequential specification: a few records, and what one operation makes of them.

use super::history::{Answer, Event, Held, Makes, Needs, Step};
use super::known::Known;
use crate::Version;

/// Whether a refusal names all that was not as needed and nothing else, or may be made up, as an injected one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusals {
    /// A refusal has a reason.
    Exact,
    /// A refusal may name records that were as needed. What it says they are is true all the same.
    MadeUp,
}

/// One record between two operations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Register {
    /// What is there, and its version, if anybody was told.
    held: Option<(u64, Option<Version>)>,
    /// The highest version it is known to have had.
    highest: Option<Version>,
}

impl Register {
    /// Whether it has this version. A version that nobody was told is any that can be its own.
    fn has(&mut self, record: usize, version: Version, known: &Known) -> bool {
        let Some((value, own)) = self.held else {
            return false;
        };
        if own.is_none() && known.is_nameless(record, version) && self.highest < Some(version) {
            self.held = Some((value, Some(version)));
            self.highest = Some(version);
            return true;
        }
        own == Some(version)
    }

    fn is(&mut self, record: usize, actual: Option<Version>, known: &Known) -> bool {
        match actual {
            Some(version) => self.has(record, version, known),
            None => self.held.is_none(),
        }
    }

    fn is_seen(&mut self, record: usize, held: Option<Held>, known: &Known) -> bool {
        self.is(record, held.map(|held| held.version), known)
            && self.held.map(|(value, _)| value) == held.map(|held| held.value)
    }

    fn is_as_needed(&mut self, step: &Step, known: &Known) -> bool {
        match step.needs {
            Needs::Absent => self.held.is_none(),
            Needs::At(version) => self.has(step.record, version, known),
        }
    }

    /// False when its version would not rise.
    fn make(&mut self, makes: Makes, version: Option<Version>) -> bool {
        match makes {
            Makes::Nothing => return true,
            Makes::Put(value) => self.held = Some((value, version)),
            Makes::Deleted => self.held = None,
        }
        let rises = version.is_none() || self.highest < version;
        self.highest = self.highest.max(version);
        rises
    }
}

/// The records after this operation; none when it cannot happen to them as it was told.
pub(super) fn after(
    records: &[Register],
    event: &Event,
    known: &Known,
    refusals: Refusals,
) -> Option<Vec<Register>> {
    let mut records = records.to_vec();
    for (record, held) in &event.saw {
        records[*record].is_seen(*record, *held, known).then_some(())?;
    }
    match &event.answer {
        Answer::Done(version) => done(&mut records, event, known, *version).then_some(records),
        Answer::Unknown => done(&mut records, event, known, None).then_some(records),
        Answer::Refused(failed) => refused(&mut records, event, known, failed, refusals).then_some(records),
    }
}

fn done(records: &mut [Register], event: &Event, known: &Known, version: Option<Version>) -> bool {
    let are_as_needed = event
        .steps
        .iter()
        .all(|step| records[step.record].is_as_needed(step, known));
    // What one commit wrote has one version: that of any of its values tells it.
    let version = version.or_else(|| {
        event.steps.iter().find_map(|step| match step.makes {
            Makes::Put(value) => known.version(step.record, value),
            Makes::Nothing | Makes::Deleted => None,
        })
    });
    are_as_needed
        && event
            .steps
            .iter()
            .all(|step| records[step.record].make(step.makes, version))
}

fn refused(
    records: &mut [Register],
    event: &Event,
    known: &Known,
    failed: &[(usize, Option<Version>)],
    refusals: Refusals,
) -> bool {
    let is_true = failed
        .iter()
        .all(|(record, actual)| records[*record].is(*record, *actual, known));
    let has_reason = !failed.is_empty()
        && event.steps.iter().all(|step| {
            let is_named = failed.iter().any(|(record, _)| *record == step.record);
            records[step.record].is_as_needed(step, known) != is_named
        });
    is_true && (refusals == Refusals::MadeUp || has_reason)
}
