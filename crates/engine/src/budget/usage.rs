//! What an account used, day by day: written in the commit that charges it, so that each amount counts once.

use std::fmt;
use std::str::FromStr;

use dormouse_filesystem::{
    Class, IndexEntry, IndexValue, Record, RecordId, RecordKind, Segment, Tenant, indexes,
};
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{AccountPath, Amounts};

/// A day of an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsageId {
    /// The account.
    pub path: AccountPath,
    /// The day, in UTC.
    pub day: Date,
}

impl UsageId {
    /// The day of this instant.
    #[must_use]
    pub fn at(path: AccountPath, at: Timestamp) -> Self {
        let day = at.to_zoned_datetime(TimeZone::UTC).date();
        Self { path, day }
    }
}

impl fmt::Display for UsageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.path, self.day)
    }
}

impl RecordId for UsageId {
    fn segments(&self) -> Vec<Segment> {
        let mut segments = self.path.segments();
        segments.push(crate::id::segment(&self.day.to_string()));
        segments
    }

    fn from_segments(segments: &[&str]) -> Option<Self> {
        let (day, path) = segments.split_last()?;
        Some(Self {
            path: AccountPath::from_segments(path)?,
            day: Date::from_str(day).ok()?,
        })
    }
}

/// What an account used on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// The account.
    pub path: AccountPath,
    /// The day, in UTC.
    pub day: Date,
    /// What was used.
    pub used: Amounts,
    /// What of it is not known, and taken for what was expected.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub estimated: Amounts,
    /// Holds that were closed.
    pub closed: u64,
}

impl Usage {
    pub(super) fn new(id: &UsageId) -> Self {
        Self {
            path: id.path.clone(),
            day: id.day,
            used: Amounts::none(),
            estimated: Amounts::none(),
            closed: 0,
        }
    }

    /// When the day was over.
    #[must_use]
    pub fn over_at(&self) -> Timestamp {
        let next = self.day.tomorrow().unwrap_or(Date::MAX);
        let midnight = next.to_datetime(jiff::civil::Time::midnight());
        TimeZone::UTC.to_timestamp(midnight).unwrap_or(Timestamp::MAX)
    }
}

indexes! {
    /// What finds usage.
    pub enum UsageIndex {
        /// By account and day.
        Day = own "day",
        /// By when the day was over, over all tenants.
        Retire = system "retire",
    }
}

impl Record for Usage {
    type Scope = Tenant;
    type Id = UsageId;
    type Index = UsageIndex;
    const KIND: RecordKind = RecordKind::of("usage");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Advisory;

    fn id(&self) -> UsageId {
        UsageId {
            path: self.path.clone(),
            day: self.day,
        }
    }

    fn index_entries(&self) -> Vec<IndexEntry<UsageIndex>> {
        let path = IndexValue::name(&self.path.to_string());
        let day = IndexValue::name(&self.day.to_string());
        vec![
            IndexEntry::new(UsageIndex::Day, [path, day]),
            IndexEntry::new(UsageIndex::Retire, [IndexValue::instant(self.over_at())]),
        ]
    }
}
