//! A hold as it is stored: what is reserved in a chain of accounts until it is known what was used.

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccountPath, Amounts, BudgetOptions, Chain, HoldState};
use crate::{HoldId, OpId};

/// A reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// Who works, and for what.
    pub chain: Chain,
    /// The accounts it holds something in.
    pub held: Vec<AccountPath>,
    /// What was asked for when it was opened.
    pub asked: Amounts,
    /// What it is expected to come to, with what it grew by.
    pub estimate: Amounts,
    /// What is known to be used by now.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub metered: Amounts,
    /// Whether what it is for began when it was opened: who vanishes then may have used all of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_in_flight: bool,
    /// Where it is.
    pub state: HoldState,
    /// Whether what was used is not known, and taken for what was expected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_estimated: bool,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it is looked at, should nobody have closed it.
    pub expires_at: Timestamp,
    /// When it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

impl Hold {
    /// What it holds still, of what was expected.
    #[must_use]
    pub fn rest(&self) -> Amounts {
        self.estimate.beyond(&self.metered)
    }

    /// Whether nobody closed it for as long as one may stand.
    pub(super) fn is_old(&self, options: &BudgetOptions, now: Timestamp) -> bool {
        let age = jiff::SignedDuration::try_from(options.hold_age_max);
        now.duration_since(self.opened_at) >= age.unwrap_or(jiff::SignedDuration::MAX)
    }

    /// Whether it stands.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == HoldState::Open
    }
}

indexes! {
    /// What finds holds.
    pub enum HoldIndex {
        /// By the run they are of: the open ones first.
        Run = own "run",
        /// The open ones, by agent.
        Agent = own "agent",
        /// The open ones, by when they are looked at, over all tenants.
        Due = system "hold_due",
        /// The closed ones, by when they were, over all tenants.
        Retire = system "retire",
    }
}

impl Record for Hold {
    type Scope = Tenant;
    type Id = HoldId;
    type Index = HoldIndex;
    const KIND: RecordKind = RecordKind::of("hold");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> HoldId {
        self.id
    }

    fn index_entries(&self) -> Vec<IndexEntry<HoldIndex>> {
        let mut entries = Vec::new();
        if let Some(run) = self.chain.run {
            let run = IndexValue::name(&run.to_string());
            let is_closed = IndexValue::number(u64::from(!self.is_open()));
            entries.push(IndexEntry::new(HoldIndex::Run, [run, is_closed]));
        }
        if self.is_open() {
            let agent = IndexValue::segment(self.chain.agent.segment());
            entries.push(IndexEntry::new(HoldIndex::Agent, [agent]));
            let due = IndexValue::instant(self.expires_at);
            entries.push(IndexEntry::new(HoldIndex::Due, [due]));
        }
        if let Some(closed_at) = self.closed_at {
            entries.push(IndexEntry::new(
                HoldIndex::Retire,
                [IndexValue::instant(closed_at)],
            ));
        }
        entries
    }
}
