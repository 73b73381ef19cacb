//! The terminal record of a run: written once, in the commit that ends the run.

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::OutcomeKind;
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
