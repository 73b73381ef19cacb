//! Granting a lease: on a secret that is there and opens.

use dormouse_filesystem::{PAGE_MAX, Query, RecordError, Records, Versioned};

use super::{HOLDER_LEASES_MAX, Holder, LeaseId, LeaseIndex, LeaseOptions, LeaseRow, LeaseStatus};
use crate::attempts::ATTEMPTS;
use crate::place::Place;
use crate::secrets::{Secrets, Winner};
use crate::{Call, Change, LeaseError, Purpose, SecretError, SecretRef};

/// A lease that was granted. It gives its value by [`use_lease`](Secrets::use_lease).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Its row.
    pub row: LeaseRow,
}

impl Granted {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> LeaseId {
        self.row.id
    }
}

impl Secrets {
    /// A lease on exactly this secret.
    ///
    /// # Errors
    /// `NotFound`, `PurposeRefused`, `OriginRefused`, `Unreadable`, `Sealed`, `Locked` of the secret: no lease is
    /// recorded. `Invalid` for options out of bounds, `Full` for a holder with too many.
    pub async fn lease(
        &self,
        call: &Call,
        at: &SecretRef,
        purpose: &Purpose,
        holder: &Holder,
        options: LeaseOptions,
    ) -> Result<Granted, LeaseError> {
        options.check()?;
        for _ in 0..ATTEMPTS {
            let keys = self.keys_of_value(at).await?;
            let place = self.place(at).await?;
            let row = self.live_row(&place, keys.import()).await?;
            let row = row.ok_or_else(|| SecretError::NotFound { at: at.clone() })?;
            match self.winner(&keys, row, purpose) {
                Ok(winner) => return self.grant(call, winner, purpose, holder, options).await,
                Err(error) if self.may_open_now(&keys, &error).await? => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SecretError::Conflict { at: at.clone() }.into())
    }

    pub(crate) async fn grant(
        &self,
        call: &Call,
        winner: Winner,
        purpose: &Purpose,
        holder: &Holder,
        options: LeaseOptions,
    ) -> Result<Granted, LeaseError> {
        options.check()?;
        let active = Query::of(LeaseIndex::Active)
            .equals(holder.values())
            .limit(HOLDER_LEASES_MAX);
        let active = self.leases().find(&active).await?;
        if active.rows.len() + active.issues.len() >= HOLDER_LEASES_MAX {
            return Err(LeaseError::Full {
                max: HOLDER_LEASES_MAX,
            });
        }
        let place: Place = winner.row.place.clone();
        let row = LeaseRow {
            id: LeaseId::make(call.now, self.vault().random()),
            place,
            purpose: purpose.clone(),
            holder: holder.clone(),
            uses: options.uses,
            used: 0,
            granted_at: call.now,
            expires_at: call.now + options.ttl,
            status: LeaseStatus::Active,
            cause: None,
            ended_at: None,
        };
        let mut batch = self.namespace().batch();
        self.leases().stage_create(&mut batch, &row)?;
        let change = Change::Leased {
            lease: row.id,
            at: row.place.to_ref(),
            holder: holder.clone(),
        };
        call.journal.tenant(&mut batch, &change);
        self.namespace().commit(batch).await.map_err(RecordError::from)?;
        Ok(Granted { row })
    }

    /// The leases of one holder, from its index range alone.
    ///
    /// # Errors
    /// As any list.
    pub async fn leases_of(&self, holder: &Holder) -> Result<Vec<Versioned<LeaseRow>>, LeaseError> {
        leases_in(self.leases(), holder).await
    }
}

/// What a holder has, and had of late.
pub(super) async fn leases_in(
    leases: &Records<LeaseRow>,
    holder: &Holder,
) -> Result<Vec<Versioned<LeaseRow>>, LeaseError> {
    let (mut rows, mut after) = (Vec::new(), None);
    // Ends with the last page: what a holder had is gone a day after its end.
    loop {
        let page = leases.find(&leases_query(holder).after(after)).await?;
        rows.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return Ok(rows);
        }
    }
}

pub(super) fn leases_query(holder: &Holder) -> Query<LeaseIndex> {
    Query::of(LeaseIndex::Holder)
        .equals(holder.values())
        .limit(PAGE_MAX)
}
