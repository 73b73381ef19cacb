//! What the system's indexes find of all tenants' rows.

use dormouse_filesystem::{IndexValue, Owned, Query, Record, Records, SystemIndex};
use jiff::{SignedDuration, Timestamp};

use crate::engine::Engine;
use crate::limits::PAGE_MAX;
use crate::tenant::{TenantIndex, TenantRow};
use crate::{CommandError, TenantId};

impl Engine {
    /// Every tenant that is served.
    ///
    /// # Errors
    /// As any query.
    pub(crate) async fn active_tenants(&self) -> Result<Vec<TenantId>, CommandError> {
        let rows = Records::<TenantRow>::new(self.system());
        let (mut tenants, mut after) = (Vec::new(), None);
        // Ends with the last page.
        loop {
            let query = Query::of(TenantIndex::State)
                .equals([IndexValue::name("active")])
                .after(after)
                .limit(PAGE_MAX);
            let page = rows.find(&query).await?;
            tenants.extend(page.rows.iter().map(|row| row.name.clone()));
            after = page.next;
            if after.is_none() {
                return Ok(tenants);
            }
        }
    }

    /// All that an index finds; of one that begins with an instant, what it finds up to and with this one.
    ///
    /// # Errors
    /// As any list. What is found may be gone by the time it is read.
    pub(crate) async fn found<R: Record>(
        &self,
        index: R::Index,
        until: Option<Timestamp>,
    ) -> Result<Vec<(TenantId, R::Id)>, CommandError> {
        let rows = SystemIndex::<R>::new(self.system());
        let until = until.and_then(just_after).map(IndexValue::instant);
        let (mut found, mut after) = (Vec::new(), None);
        // Ends with the last page.
        loop {
            let query = Query::of(index)
                .range(None, until.clone())
                .after(after)
                .limit(PAGE_MAX);
            let page = rows.find(&query).await?;
            found.extend(page.rows.into_iter().filter_map(of_tenant));
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }
}

/// Whose row was found; none for an owner that no tenant can be.
pub(crate) fn of_tenant<Id>(row: Owned<Id>) -> Option<(TenantId, Id)> {
    Some((row.owner.first()?.as_str().parse().ok()?, row.id))
}

/// Behind every instant of an index: where what has none stands.
pub(crate) fn never() -> IndexValue {
    IndexValue::number(u64::MAX)
}

/// The first instant after this one; none after the last.
pub(crate) fn just_after(at: Timestamp) -> Option<Timestamp> {
    at.checked_add(SignedDuration::from_nanos(1)).ok()
}
