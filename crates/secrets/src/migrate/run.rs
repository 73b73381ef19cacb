//! A migration: checked whole, then page by page, each page one commit with how far it is.

use std::sync::Arc;

use dormouse_filesystem::{RecordError, ScopedBatch, Tenant, Versioned};

use super::judge::{Judged, New, Rooms};
use super::plan::{Plan, Planned, name_in_logs, quarantine_id, readable, shown, sorted, source_of};
use super::quarantine::known;
use super::{
    LEGACY_LAYOUT_MAX, Legacy, LegacyOwner, LegacyRow, MigrationRow, QuarantineRow, Quarantined, Unplaced,
    quarantine_bound,
};
use crate::attempts::{ATTEMPTS, is_conflict};
use crate::ring::Ring;
use crate::row::{QUARANTINE_FOR, SecretRow};
use crate::sealing::Sealing;
use crate::secrets::{Going, Secrets, replaced};
use crate::transfer::blocking;
use crate::{Call, Change, SecretError, SecretRef, VaultEvent};

/// Rows of one commit, at most.
const PAGE: usize = 100;
/// Bytes of values of one commit, about: sealed and spelled out they are half as many again.
const PAGE_BYTES: usize = 256 * 1024;

/// What a migration came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Written.
    pub written: Vec<SecretRef>,
    /// There already, taken over before, or deleted since: nothing was written.
    pub there: Vec<SecretRef>,
    /// Set aside for 7 days, by this call or one before.
    pub quarantined: Vec<Quarantined>,
    /// Keys that a call before set aside: since then somebody placed them, or their 7 days were over. This call did not
    /// take them up again.
    pub gone: Vec<String>,
    /// Keys without a value that could be read, or with one longer than [`VALUE_MAX`](crate::VALUE_MAX): they are in the source alone.
    pub unreadable: Vec<String>,
}

/// A migration of which nothing was done: source and store are as before.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A key of a kind that this build does not know.
    #[error("the key {key} is of an unknown kind; nothing was migrated")]
    UnknownTag {
        /// Which.
        key: String,
    },
    /// A newer build wrote the source.
    #[error("the layout {found} is newer than this build; upgrade dormouse")]
    NewerLayout {
        /// The one it says it has.
        found: u32,
    },
    /// As of the secrets. Pages before it are done; the same call goes on.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl From<RecordError> for MigrateError {
    fn from(error: RecordError) -> Self {
        Self::Secret(error.into())
    }
}

enum Fate {
    Written(Box<SecretRow>),
    There,
    Aside(Unplaced),
    Unreadable,
}

impl Secrets {
    /// Takes over the rows of an older store; the caller has read them, and they stay where they are. What cannot be
    /// placed is set aside for 7 days, sealed; what exists is never overwritten. Cut anywhere, the same call goes on;
    /// called again, it writes nothing. Where there is no vault yet, the vault's own key file makes one.
    ///
    /// # Errors
    /// `UnknownTag`, `NewerLayout`; `Secret(Sealed | Locked | ImportOpen)`; as any write.
    pub async fn migrate(
        &self,
        call: &Call,
        legacy: &Legacy,
        owner: &LegacyOwner,
    ) -> Result<Migrated, MigrateError> {
        if legacy.layout > LEGACY_LAYOUT_MAX {
            return Err(MigrateError::NewerLayout { found: legacy.layout });
        }
        let rows = sorted(legacy, owner)?;
        self.register(&rows).await;
        let ring = self.ring_at_all(call).await?;
        let source = source_of(&ring, legacy, owner)?;
        let plan = Plan { rows, source };
        let mut done = Migrated::default();
        let mut next = 0;
        while next < plan.rows.len() {
            next = self.page_of(call, &plan, next, &mut done).await?;
        }
        Ok(done)
    }

    /// From here on no log has the values of the source.
    pub(super) async fn register(&self, rows: &[Planned<'_>]) {
        let values = rows.iter().filter_map(|(row, at)| {
            let value = readable(row)?.duplicate();
            Some((name_in_logs(row, at), value))
        });
        let (values, registrar): (Vec<_>, _) = (values.collect(), Arc::clone(self.registrar()));
        blocking(move || {
            for (name, value) in &values {
                registrar.opened(name, value);
            }
        })
        .await;
    }

    /// Does the rows from `from` on that fit one commit, and says which is next.
    async fn page_of(
        &self,
        call: &Call,
        plan: &Plan<'_>,
        from: usize,
        done: &mut Migrated,
    ) -> Result<usize, MigrateError> {
        for _ in 0..ATTEMPTS {
            let id = MigrationRow::id_of(&plan.source);
            let read = self.migrations().get(&id).await?;
            let until = read
                .as_ref()
                .map_or(0, |read| usize::try_from(read.done).unwrap_or(usize::MAX));
            if until > from {
                let until = until.min(plan.rows.len());
                self.tell_done(plan, from..until, done).await?;
                return Ok(until);
            }
            if let Some((next, page)) = self.try_page(call, plan, from, read.as_ref()).await? {
                done.written.extend(page.written);
                done.there.extend(page.there);
                done.quarantined.extend(page.quarantined);
                done.gone.extend(page.gone);
                done.unreadable.extend(page.unreadable);
                return Ok(next);
            }
        }
        Err(SecretError::contended().into())
    }

    /// What an earlier call did.
    pub(super) async fn tell_done(
        &self,
        plan: &Plan<'_>,
        rows: std::ops::Range<usize>,
        done: &mut Migrated,
    ) -> Result<(), MigrateError> {
        for (row, at) in &plan.rows[rows] {
            let aside = self
                .set_aside_rows()
                .get(&quarantine_id(&plan.source, row))
                .await?;
            let is_there = match (&aside, at) {
                (None, Ok(at)) => self.has_row(at).await?,
                (Some(_), _) | (None, Err(_)) => false,
            };
            match (aside, at) {
                (Some(aside), _) => done.quarantined.push(aside.into_inner().told()),
                (None, _) if readable(row).is_none() => done.unreadable.push(shown(&row.key)),
                (None, Ok(at)) if is_there => done.there.push(at.clone()),
                (None, Ok(_) | Err(_)) => done.gone.push(shown(&row.key)),
            }
        }
        Ok(())
    }

    /// Whether there is a row of this secret, deleted or not.
    async fn has_row(&self, at: &SecretRef) -> Result<bool, MigrateError> {
        let place = match self.place(at).await {
            Err(SecretError::NotFound { .. }) => return Ok(false),
            place => place?,
        };
        match self.row(&place, None).await {
            // One that cannot be believed is there.
            Err(SecretError::Unreadable { .. }) => Ok(true),
            row => Ok(row?.is_some()),
        }
    }

    async fn try_page(
        &self,
        call: &Call,
        plan: &Plan<'_>,
        from: usize,
        read: Option<&Versioned<MigrationRow>>,
    ) -> Result<Option<(usize, Migrated)>, MigrateError> {
        let keys = self.keys(VaultEvent::Put).await?;
        let mut batch = self.namespace().batch();
        if self.no_import(call, keys.import()).await? == Going::Again {
            return Ok(None);
        }
        let ring = self.ring_for_put(&keys, &mut batch)?;
        let (mut done, mut next, mut bytes) = (Migrated::default(), from, 0);
        let mut rooms = Rooms::default();
        for (row, at) in plan.rows[from..].iter().take(PAGE) {
            bytes += row.value.as_ref().map_or(0, |value| value.expose().len());
            if bytes > PAGE_BYTES && next > from {
                break;
            }
            next += 1;
            let fate = match at {
                Ok(at) => self.fate_of(call, &ring, row, at, &mut rooms).await?,
                Err(_) if readable(row).is_none() => Fate::Unreadable,
                Err(reason) => Fate::Aside(*reason),
            };
            match fate {
                Fate::Written(new) => {
                    self.rows().stage_create(&mut batch, &new)?;
                    done.written.push(new.place.to_ref());
                }
                Fate::There => done.there.extend(at.clone().ok()),
                Fate::Unreadable => done.unreadable.push(shown(&row.key)),
                Fate::Aside(reason) => {
                    let aside = self.aside(call, &ring, plan, row, reason)?;
                    if self.set_aside_rows().get(&aside.id).await?.is_none() {
                        self.set_aside_rows().stage_create(&mut batch, &aside)?;
                    }
                    done.quarantined.push(aside.told());
                }
            }
        }
        self.stage_progress(&mut batch, plan, next, read).await?;
        if !done.written.is_empty() {
            let written = done.written.len() as u64;
            let unchanged = done.there.len() as u64;
            call.journal
                .tenant(&mut batch, &Change::Imported { written, unchanged });
        }
        match self.namespace().commit(batch).await.map_err(RecordError::from) {
            Ok(_) => Ok(Some((next, done))),
            Err(error) if is_conflict(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn stage_progress(
        &self,
        batch: &mut ScopedBatch<Tenant>,
        plan: &Plan<'_>,
        next: usize,
        read: Option<&Versioned<MigrationRow>>,
    ) -> Result<(), MigrateError> {
        let progress = MigrationRow {
            source: plan.source.clone(),
            done: next as u64,
            rows: plan.rows.len() as u64,
        };
        match read {
            Some(read) => self.migrations().stage_replace(batch, read, &progress).await?,
            None => self.migrations().stage_create(batch, &progress)?,
        }
        Ok(())
    }

    async fn fate_of(
        &self,
        call: &Call,
        ring: &Ring,
        row: &LegacyRow,
        at: &SecretRef,
        rooms: &mut Rooms,
    ) -> Result<Fate, MigrateError> {
        Ok(match self.judge(Some(ring), row, at, rooms).await? {
            Judged::Write(new) => {
                let row = self.taken_over(call, ring, row, &new)?;
                Fate::Written(Box::new(row))
            }
            Judged::There => Fate::There,
            Judged::Aside(reason) => Fate::Aside(reason),
            Judged::Unreadable => Fate::Unreadable,
        })
    }

    fn taken_over(
        &self,
        call: &Call,
        ring: &Ring,
        row: &LegacyRow,
        new: &New<'_>,
    ) -> Result<SecretRow, SecretError> {
        let times = row.meta.as_ref().map(|meta| (meta.created_at, meta.updated_at));
        let (created_at, updated_at) = times.unwrap_or((call.now, call.now));
        let sealing = Sealing {
            value: new.value,
            category: new.category,
            origins: &new.meta.origins,
            note: &new.meta.note,
            created_at,
            updated_at,
            times_known: times.is_some(),
        };
        let live = ring.live(&new.place, 1, &sealing, self.vault().random())?;
        Ok(replaced(&new.place, None, 1, live, call.now))
    }

    fn aside(
        &self,
        call: &Call,
        ring: &Ring,
        plan: &Plan<'_>,
        row: &LegacyRow,
        reason: Unplaced,
    ) -> Result<QuarantineRow, SecretError> {
        let id = quarantine_id(&plan.source, row);
        let value = readable(row).expect("what has no value is not set aside");
        let bound = quarantine_bound(self.tenant(), &id);
        let sealed = ring.seal_bound(&bound, value, self.vault().random());
        let (key_id, sealed) = sealed.map_err(|_| SecretError::Key(Box::new(crate::KeyError::WrongKey)))?;
        let (category, created_at, updated_at) = known(row.meta.as_ref());
        Ok(QuarantineRow {
            id,
            key: shown(&row.key),
            reason,
            key_id,
            sealed,
            category,
            created_at,
            updated_at,
            until: call.now + QUARANTINE_FOR,
        })
    }
}
