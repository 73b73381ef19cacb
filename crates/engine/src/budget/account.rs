//! An account as it is stored: limits, what was used of them, and what is held.

use std::collections::BTreeMap;

use dormouse_filesystem::{Class, IndexEntry, IndexValue, Record, RecordKind, Tenant, indexes};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::decide::{Line, Said};
use super::{AccountPath, Amounts, BudgetOptions, Dimension, Period, ROLLING_BUCKETS};
use crate::event::About;
use crate::{AgentName, GateId, Incarnation, OpId, Subject};

/// The counters of one level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Whose.
    pub path: AccountPath,
    /// That agent, told from former ones of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_incarnation: Option<Incarnation>,
    /// What it may use. What is not named is not limited.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub limits: Amounts,
    /// From which share of a limit on it is said, in percent; the setting where none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn: Option<u8>,
    /// From which share on a person is asked, in percent; the setting where none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<u8>,
    /// How long what is used counts.
    pub period: Period,
    /// When the period began that the counters are of.
    pub period_started_at: Timestamp,
    /// What was used in it.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub used: Amounts,
    /// What is held at the moment, whenever it was reserved.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub reserved: Amounts,
    /// The limits that a person raised, for this period.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub raised: Amounts,
    /// Where a person said no, for this period.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub denied: BTreeMap<Dimension, GateId>,
    /// What was told in this period already.
    #[serde(default, skip_serializing_if = "Notified::is_empty")]
    pub notified: Notified,
    /// What was used, by the parts of a rolling period.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<Bucket>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

/// What was told in a period already, once each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notified {
    /// That it comes near the limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warned: Vec<Dimension>,
    /// That more was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Dimension>,
}

impl Notified {
    fn is_empty(&self) -> bool {
        self.warned.is_empty() && self.denied.is_empty()
    }

    fn forget(&mut self, dimension: Dimension) {
        self.warned.retain(|told| *told != dimension);
        self.denied.retain(|told| *told != dimension);
    }
}

/// A part of a rolling period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Which part, counted since 1970.
    pub index: u64,
    /// What was used in it.
    pub used: Amounts,
}

impl Account {
    /// One that limits nothing and has counted nothing.
    #[must_use]
    pub(super) fn new(
        path: AccountPath,
        agent_incarnation: Option<Incarnation>,
        now: Timestamp,
        op: OpId,
    ) -> Self {
        Self {
            path,
            agent_incarnation,
            limits: Amounts::none(),
            warn: None,
            pause: None,
            period: Period::Lifetime,
            period_started_at: now,
            used: Amounts::none(),
            reserved: Amounts::none(),
            raised: Amounts::none(),
            denied: BTreeMap::new(),
            notified: Notified::default(),
            buckets: Vec::new(),
            created_at: now,
            updated_at: now,
            op,
        }
    }

    /// Whether it limits anything.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        !self.limits.is_empty()
    }

    /// Whether what it limits is each run's, and it is charged nothing itself.
    pub(super) fn is_of_each_run(&self) -> bool {
        self.period == Period::Run && !matches!(self.path, AccountPath::Run(_))
    }

    /// The account as it is at this instant: in a new period nothing was used. It never goes back.
    pub(super) fn enter(&mut self, now: Timestamp) {
        let started_at = self.period.started_at(now, self.created_at);
        if started_at > self.period_started_at {
            self.period_started_at = started_at;
            self.raised = Amounts::none();
            self.denied.clear();
            self.notified = Notified::default();
            if self.period.bucket(now).is_none() {
                self.used = Amounts::none();
            }
        }
        if let Some(current) = self.period.bucket(now) {
            let oldest = current.saturating_sub(ROLLING_BUCKETS);
            self.buckets.retain(|bucket| bucket.index >= oldest);
            self.used = Amounts::none();
            for bucket in &self.buckets {
                self.used.add(&bucket.used);
            }
        }
    }

    /// The same as it reads at this instant.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        let mut account = self.clone();
        account.enter(now);
        account
    }

    /// So much was used.
    pub(super) fn charge(&mut self, flows: &Amounts, now: Timestamp) {
        let flows = flows.flows();
        self.used.add(&flows);
        let Some(index) = self.period.bucket(now) else {
            return;
        };
        match self.buckets.iter_mut().find(|bucket| bucket.index == index) {
            Some(bucket) => bucket.used.add(&flows),
            None if flows.is_zero() => {}
            None => self.buckets.push(Bucket { index, used: flows }),
        }
    }

    /// When its period ends; none where it never does.
    #[must_use]
    pub fn period_ends_at(&self) -> Option<Timestamp> {
        self.period.ends_at(self.period_started_at)
    }

    /// What is judged of one dimension; none where it is not limited.
    #[must_use]
    pub fn line(&self, dimension: Dimension, options: &BudgetOptions) -> Option<Line> {
        let limit = self.limits.named(dimension)?;
        let raised = self.raised.named(dimension);
        let said = match (raised, self.denied.contains_key(&dimension)) {
            (Some(_), _) => Said::Raised,
            (None, true) => Said::Denied,
            (None, false) => Said::Nothing,
        };
        Some(Line {
            dimension,
            used: self.used.get(dimension),
            reserved: self.reserved.get(dimension),
            limit: raised.unwrap_or(limit),
            warn: self.warn.unwrap_or(options.warn),
            pause: self.pause.unwrap_or(options.pause),
            said,
        })
    }

    /// Another limit of it stands from now on: what was said of the former is forgotten.
    pub(super) fn relimit(&mut self, dimension: Dimension, limit: Option<u64>) {
        match limit {
            Some(limit) => self.limits.set(dimension, limit),
            None => self.limits.remove(dimension),
        }
        self.raised.remove(dimension);
        self.denied.remove(&dimension);
        self.notified.forget(dimension);
    }

    /// Whether this is the first time in the period that a warning is told.
    pub(super) fn is_first_warning(&mut self, dimension: Dimension) -> bool {
        note(&mut self.notified.warned, dimension)
    }

    /// The same of a denial.
    pub(super) fn is_first_denial(&mut self, dimension: Dimension) -> bool {
        note(&mut self.notified.denied, dimension)
    }

    /// The agent it is of, if one.
    pub(super) fn agent(&self) -> Option<(AgentName, Incarnation)> {
        match (&self.path, self.agent_incarnation) {
            (AccountPath::Agent(name), Some(incarnation)) => Some((name.clone(), incarnation)),
            _ => None,
        }
    }

    /// What its events are about.
    #[must_use]
    pub fn about(&self) -> About {
        About {
            subject: Subject::Account(self.path.clone()),
            agent: self.agent(),
        }
    }
}

fn note(told: &mut Vec<Dimension>, dimension: Dimension) -> bool {
    let is_first = !told.contains(&dimension);
    if is_first {
        told.push(dimension);
    }
    is_first
}

indexes! {
    /// What finds accounts.
    pub enum AccountIndex {
        /// All of them, by their paths.
        Path = own "path",
    }
}

impl Record for Account {
    type Scope = Tenant;
    type Id = AccountPath;
    type Index = AccountIndex;
    const KIND: RecordKind = RecordKind::of("account");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> AccountPath {
        self.path.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<AccountIndex>> {
        vec![IndexEntry::new(
            AccountIndex::Path,
            [IndexValue::name(&self.path.to_string())],
        )]
    }
}
