//! Rekey: a tenant's ring under the root key of today with a new data key, then its rows sealed anew, page by page.

use dormouse_filesystem::{
    Issue, Namespace, Query, RecordError, RecordId, Records, Segment, System, SystemIndex, Versioned,
};

use super::open::{of_row, unreadable};
use super::{Keys, Secrets};
use crate::attempts::{ATTEMPTS, is_conflict, is_passing};
use crate::migrate::{QuarantineRow, quarantine_bound};
use crate::place::Place;
use crate::ring::{HasRing, Ring, RingIndex, RingRow};
use crate::row::{Body, SecretRow};
use crate::vault::{RETIRING_MIN, Retiring, Vault, VaultEvent};
use crate::{Call, Change, SecretError, SecretRef};

/// Rows that are sealed anew in one commit: 100 of 32 KiB with their retired ones would not fit one, so it is fewer.
const PAGE: usize = 4;

/// What a rekey of one tenant came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rekeyed {
    /// Rows sealed anew.
    pub resealed: u64,
    /// Rows that do not open, or cannot be believed: skipped, their key kept while they name it.
    pub unreadable: Vec<SecretRef>,
}

impl Secrets {
    /// Rewraps the tenant's ring and seals its rows anew. Cut anywhere, the same call goes on: rows under the current
    /// key are done. Reads work throughout.
    ///
    /// # Errors
    /// `Sealed`, `Locked`; `KeysUnreadable` when the ring does not open, and none of its rows does; as any write.
    pub async fn rekey(&self, call: &Call) -> Result<Rekeyed, SecretError> {
        let is_renewed = self.renew_ring().await?;
        let (mut done, mut after) = (Rekeyed::default(), None);
        // Ends with the last page: rows that are put meanwhile are under the new key already.
        loop {
            let page = self.rows().range(&[], after.as_ref(), PAGE).await?;
            for row in &page.rows {
                self.reseal(call, row, &mut done).await?;
            }
            let places = page.issues.iter().filter_map(place_of_issue);
            done.unreadable.extend(places.map(|place| place.to_ref()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        self.reseal_aside().await?;
        self.drop_keys(&done).await?;
        // A look at what is left, which finds it as it was, is no change.
        if is_renewed || done.resealed > 0 {
            self.tell_resealed(call, &done).await?;
        }
        Ok(done)
    }

    async fn tell_resealed(&self, call: &Call, done: &Rekeyed) -> Result<(), SecretError> {
        let mut batch = self.namespace().batch();
        let change = Change::Resealed {
            count: done.resealed,
            unreadable: done.unreadable.clone(),
        };
        call.journal.tenant(&mut batch, &change);
        if batch.writes() {
            self.namespace().commit(batch).await.map_err(RecordError::from)?;
        }
        Ok(())
    }

    /// Puts the ring under the root key of today, once. Says whether it did.
    async fn renew_ring(&self) -> Result<bool, SecretError> {
        for _ in 0..ATTEMPTS {
            let keys = self.keys(VaultEvent::Keys).await?;
            let HasRing::Yes(read) = &keys.ring else {
                return Ok(false);
            };
            if read.root == keys.open.root_id {
                return Ok(false);
            }
            let ring = keys.ring(self.tenant())?.expect("the tenant has one");
            let Ok(new) = ring.renewed(self.vault().random()) else {
                return Err(SecretError::KeysUnreadable {
                    tenant: self.tenant().to_owned(),
                });
            };
            match self.rings().replace(read, &new).await {
                Ok(_) => return Ok(true),
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SecretError::contended())
    }

    async fn reseal(
        &self,
        call: &Call,
        row: &Versioned<SecretRow>,
        done: &mut Rekeyed,
    ) -> Result<(), SecretError> {
        let mut row = row.clone();
        for _ in 0..ATTEMPTS {
            let keys: Keys = self.keys(VaultEvent::Keys).await?;
            let mut batch = self.namespace().batch();
            let ring = self.checked_ring(&keys, &mut batch)?;
            let new = match self.resealed(&ring, &row, call.now) {
                Ok(Some(new)) => Some(new),
                Ok(None) => return Ok(()),
                Err(_) => None,
            };
            if let Some(new) = &new {
                self.rows().stage_replace(&mut batch, &row, new).await?;
                match self.namespace().commit(batch).await.map_err(RecordError::from) {
                    Ok(_) => {
                        done.resealed += 1;
                        return Ok(());
                    }
                    Err(error) if is_conflict(&error) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let now = self.rows().get(&row.place).await;
            match now.map_err(|error| of_row(error, &row.place))? {
                // Nobody sealed it anew between its read and that of the keys: it is the row that does not open.
                Some(now) if new.is_none() && now.version() == row.version() => {
                    done.unreadable.push(row.place.to_ref());
                    return Ok(());
                }
                Some(now) => row = now,
                // It was deleted meanwhile, and stays so.
                None => return Ok(()),
            }
        }
        Err(SecretError::Conflict {
            at: row.place.to_ref(),
        })
    }

    /// Seals anew what migrations set aside. What does not open is left to its end, and its key kept until then.
    async fn reseal_aside(&self) -> Result<(), SecretError> {
        for row in self.all_quarantined().await?.rows {
            let keys: Keys = self.keys(VaultEvent::Keys).await?;
            let mut batch = self.namespace().batch();
            let ring = self.checked_ring(&keys, &mut batch)?;
            let bound = quarantine_bound(self.tenant(), &row.id);
            let opened = ring.open_bound(&bound, row.key_id, &row.sealed);
            let Ok(value) = opened else { continue };
            if row.key_id == ring.row.current {
                continue;
            }
            let sealed = ring.seal_bound(&bound, &value, self.vault().random());
            let Ok((key_id, sealed)) = sealed else { continue };
            let new = QuarantineRow {
                key_id,
                sealed,
                ..QuarantineRow::clone(&row)
            };
            self.set_aside_rows()
                .stage_replace(&mut batch, &row, &new)
                .await?;
            match self.namespace().commit(batch).await.map_err(RecordError::from) {
                Err(error) if !is_conflict(&error) => return Err(error.into()),
                // Placed or gone meanwhile; if it was the ring, its key is kept, and the next call goes on.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// The row under the current key; `None` when it is.
    fn resealed(
        &self,
        ring: &Ring,
        row: &SecretRow,
        now: jiff::Timestamp,
    ) -> Result<Option<SecretRow>, SecretError> {
        let current = ring.row.current;
        let anew = |place: &Place, body: &Body| -> Result<Body, SecretError> {
            let value = ring.open(place, body).map_err(|_| unreadable(place))?;
            let (category, origins) = (body.category, &body.origins);
            let random = self.vault().random();
            let sealed = ring.seal(place, body.generation, category, origins, &value, random);
            sealed.map_err(|_| unreadable(place))
        };
        let mut new = row.clone();
        new.retired.retain(|retired| retired.until > now);
        if let Some(live) = new.live.as_mut().filter(|live| live.body.key_id != current) {
            live.body = anew(&row.place, &live.body)?;
        }
        for retired in new
            .retired
            .iter_mut()
            .filter(|retired| retired.body.key_id != current)
        {
            retired.body = anew(&row.place, &retired.body)?;
        }
        if let Some(staged) = new
            .staged
            .as_mut()
            .filter(|staged| staged.live.body.key_id != current)
        {
            staged.live.body = anew(&row.place, &staged.live.body)?;
        }
        Ok((new != *row).then_some(new))
    }

    /// Drops the keys that no row names any more. A key named by a row that did not open is kept.
    async fn drop_keys(&self, done: &Rekeyed) -> Result<(), SecretError> {
        if !done.unreadable.is_empty() {
            return Ok(());
        }
        let keys = self.keys(VaultEvent::Keys).await?;
        let HasRing::Yes(read) = &keys.ring else {
            return Ok(());
        };
        let mut new = RingRow::clone(read);
        new.keys.retain(|key| key.id == read.current);
        if new == **read {
            return Ok(());
        }
        let all = self.all_of(&[], None).await?;
        let is_old = |body: &Body| body.key_id != read.current;
        let names_old = |row: &SecretRow| {
            row.live.as_ref().is_some_and(|live| is_old(&live.body))
                || row.retired.iter().any(|retired| is_old(&retired.body))
                || row
                    .staged
                    .as_ref()
                    .is_some_and(|staged| is_old(&staged.live.body))
        };
        let aside = self.all_quarantined().await?;
        let is_aside_old = aside.rows.iter().any(|row| row.key_id != read.current);
        if is_aside_old || all.rows.iter().any(|row| names_old(row.raw())) {
            return Ok(());
        }
        // What cannot be read now, as what a newer build wrote, may name any key.
        if !all.issues.is_empty() || !aside.issues.is_empty() {
            return Ok(());
        }
        match self.rings().replace(read, &new).await {
            Err(error) if !is_conflict(&error) => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl Vault {
    /// The tenants with which a rekey is not done: their ring is not under the root key of today, or has a key beside
    /// the one that seals. The caller [rekeys](Secrets::rekey) each of them and then [ends it](Self::end_rekey).
    ///
    /// # Errors
    /// `State`; as any read.
    pub async fn tenants_to_rekey(&self, system: &Namespace<System>) -> Result<Vec<Segment>, SecretError> {
        let (row, _) = self.unlocked(VaultEvent::Keys).await?;
        let is_behind = |ring: &RingRow| ring.root != row.root || ring.keys.len() > 1;
        tenants_whose_ring(system, is_behind).await
    }

    /// Forgets the old root key, when no ring is under it any more and a minute has passed since the rekey began. A key
    /// that a tenant keeps for rows that do not open is under the root key of today, and keeps nothing else. Says
    /// whether it was done.
    ///
    /// # Errors
    /// `State`; as any read and any write.
    pub async fn end_rekey(&self, call: &Call, system: &Namespace<System>) -> Result<bool, SecretError> {
        let (row, _) = self.unlocked(VaultEvent::Keys).await?;
        let is_over = |retiring: &Retiring| retiring.since + RETIRING_MIN <= call.now;
        if !row.retiring.as_ref().is_some_and(is_over) {
            return Ok(false);
        }
        let behind = tenants_whose_ring(system, |ring| ring.root != row.root).await?;
        if !behind.is_empty() {
            return Ok(false);
        }
        Ok(self.finish_rekey(call, &row).await?)
    }
}

/// Which row cannot be believed.
pub(crate) fn place_of_issue(issue: &Issue) -> Option<Place> {
    let segments: Vec<&str> = issue.id.split('/').collect();
    Place::from_segments(&segments)
}

/// The tenants whose ring is so, or cannot be believed.
async fn tenants_whose_ring(
    system: &Namespace<System>,
    is_so: impl Fn(&RingRow) -> bool,
) -> Result<Vec<Segment>, SecretError> {
    let (mut found, mut after) = (Vec::new(), None);
    // Ends with the last page: rings are as many as tenants.
    loop {
        let query = Query::of(RingIndex::All).after(after).limit(1_000);
        let page = SystemIndex::<RingRow>::new(system).find(&query).await?;
        for row in page.rows {
            let tenant = row.owner.into_iter().next().expect("a ring has a tenant");
            let rings = Records::<RingRow>::new(&system.tenant(&tenant));
            match rings.get(&RingRow::the_id()).await {
                Ok(ring) if ring.as_deref().is_none_or(|ring| !is_so(ring)) => {}
                Ok(_) => found.push(tenant),
                Err(error) if is_passing(&error) => return Err(error.into()),
                Err(_) => found.push(tenant),
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}
