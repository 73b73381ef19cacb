//! A migration that is only foretold: what would become of each row, and nothing is written.

use super::judge::{Judged, Rooms};
use super::plan::{Plan, readable, shown, sorted, source_of};
use super::{
    LEGACY_LAYOUT_MAX, Legacy, LegacyOwner, MigrateError, Migrated, MigrationRow, Quarantined, Unplaced,
};
use crate::secrets::Secrets;
use crate::{SecretError, SecretRef, VaultEvent};

/// What a migration would come to now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foretold {
    /// They would be written.
    pub written: Vec<SecretRef>,
    /// They are there already, or were deleted: nothing would be written.
    pub there: Vec<SecretRef>,
    /// They would be set aside, or a call before did it.
    pub quarantined: Vec<Unplaceable>,
    /// Keys that a call before set aside and that are in quarantine no more: they would not be taken up again.
    pub gone: Vec<String>,
    /// Keys without a value that could be read.
    pub unreadable: Vec<String>,
}

/// A row that would be set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplaceable {
    /// Its key, NUL printed as `\0`.
    pub key: String,
    /// Why it cannot be placed.
    pub reason: Unplaced,
}

impl Secrets {
    /// What [`migrate`](Self::migrate) would do with these rows now. Nothing is written, no vault is made.
    ///
    /// # Errors
    /// `UnknownTag`, `NewerLayout`; `Secret(Sealed | Locked)`; as any read.
    pub async fn foretell_migration(
        &self,
        legacy: &Legacy,
        owner: &LegacyOwner,
    ) -> Result<Foretold, MigrateError> {
        if legacy.layout > LEGACY_LAYOUT_MAX {
            return Err(MigrateError::NewerLayout { found: legacy.layout });
        }
        let rows = sorted(legacy, owner)?;
        self.register(&rows).await;
        let ring = match self.keys(VaultEvent::Value).await {
            Ok(keys) => keys.ring(self.tenant())?,
            // There is no vault yet, so there are no secrets.
            Err(SecretError::Key(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let (mut foretold, rows, done) = match &ring {
            Some(ring) => {
                let source = source_of(ring, legacy, owner)?;
                let plan = Plan { rows, source };
                let (before, done) = self.done_before(&plan).await?;
                (Foretold::from(before), plan.rows, done)
            }
            None => (Foretold::default(), rows, 0),
        };
        let mut rooms = Rooms::default();
        for (row, at) in &rows[done..] {
            let judged = match at {
                Ok(at) => self.judge(ring.as_ref(), row, at, &mut rooms).await?,
                Err(_) if readable(row).is_none() => Judged::Unreadable,
                Err(reason) => Judged::Aside(*reason),
            };
            let key = || shown(&row.key);
            match judged {
                Judged::Write(new) => foretold.written.push(new.place.to_ref()),
                Judged::There => foretold.there.extend(at.clone().ok()),
                Judged::Aside(reason) => foretold.quarantined.push(Unplaceable { key: key(), reason }),
                Judged::Unreadable => foretold.unreadable.push(key()),
            }
        }
        Ok(foretold)
    }

    /// What calls before did of this source, and with how many of its rows.
    async fn done_before(&self, plan: &Plan<'_>) -> Result<(Migrated, usize), MigrateError> {
        let id = MigrationRow::id_of(&plan.source);
        let read = self.migrations().get(&id).await?;
        let done = read.map_or(0, |read| usize::try_from(read.done).unwrap_or(usize::MAX));
        let done = done.min(plan.rows.len());
        let mut before = Migrated::default();
        self.tell_done(plan, 0..done, &mut before).await?;
        Ok((before, done))
    }
}

impl From<Migrated> for Foretold {
    fn from(done: Migrated) -> Self {
        let unplaceable = |aside: Quarantined| Unplaceable {
            key: aside.key,
            reason: aside.reason,
        };
        Self {
            written: done.written,
            there: done.there,
            quarantined: done.quarantined.into_iter().map(unplaceable).collect(),
            gone: done.gone,
            unreadable: done.unreadable,
        }
    }
}
