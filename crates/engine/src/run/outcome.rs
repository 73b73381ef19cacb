//! The terminal record of a run: written once, in the commit that ends the run.

use dormouse_filesystem::{
    Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, Versioned, WriteOnce, indexes,
};
use dormouse_secrets::Scrubber;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::OutcomeKind;
use crate::event::clean;
use crate::outcome::{Facts, Outcome};
use crate::{AgentName, OpId, RunId};

/// How a run ended. There is no call that changes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeRow {
    /// Which run.
    pub run: RunId,
    /// The agent that worked.
    pub agent: AgentName,
    /// How it ended.
    pub outcome: Outcome,
    /// What else is known of it; none when its holder vanished, since nobody was left to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// When.
    pub ended_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

/// An outcome as it is shown: its texts are clean, whoever wrote it.
pub(super) fn shown(read: Versioned<OutcomeRow>, scrubber: &Scrubber) -> Versioned<OutcomeRow> {
    WriteOnce::shown(read, |row| cleaned(row, scrubber))
}

/// By its stored form, so that no text of it is forgotten.
fn cleaned(row: OutcomeRow, scrubber: &Scrubber) -> OutcomeRow {
    let Ok(Value::Object(mut form)) = serde_json::to_value(&row) else {
        return row;
    };
    for part in ["outcome", "facts"] {
        if let Some(Value::Object(texts)) = form.get_mut(part) {
            clean(texts, scrubber);
        }
    }
    serde_json::from_value(Value::Object(form)).unwrap_or(row)
}

indexes! {
    /// What finds outcomes.
    pub enum OutcomeIndex {
        /// By kind and when they came.
        Kind = own "kind",
    }
}

impl Record for OutcomeRow {
    type Scope = Tenant;
    type Id = RunId;
    type Index = OutcomeIndex;
    const KIND: RecordKind = RecordKind::of("outcome");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> RunId {
        self.run
    }

    fn index_entries(&self) -> Vec<IndexEntry<OutcomeIndex>> {
        let kind = IndexValue::name(OutcomeKind::of(&self.outcome).word());
        vec![IndexEntry::new(
            OutcomeIndex::Kind,
            [kind, IndexValue::instant(self.ended_at)],
        )]
    }
}
