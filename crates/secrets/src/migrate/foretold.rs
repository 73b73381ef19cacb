//! A migration that is only foretold: what would become of each row, and nothing is written.

use super::judge::{Judged, Rooms};
use super::plan::{readable, shown, sorted};
use super::{LEGACY_LAYOUT_MAX, Legacy, LegacyOwner, MigrateError, Unplaced};
use crate::secrets::Secrets;
use crate::{SecretError, SecretRef, VaultEvent};

/// What a migration would come to now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foretold {
    /// They would be written.
    pub written: Vec<SecretRef>,
    /// They are there already, or were deleted: nothing would be written.
    pub there: Vec<SecretRef>,
    /// They would be set aside, if a call before did not.
    pub quarantined: Vec<Unplaceable>,
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
        let (mut foretold, mut rooms) = (Foretold::default(), Rooms::default());
        for (row, at) in &rows {
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
}
