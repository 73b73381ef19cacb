//! Deleting: the value and all it replaced are gone; the number of its generation stays for 90 days.

use dormouse_filesystem::RecordError;

use super::Secrets;
use super::open::not_found;
use super::rows::Going;
use crate::attempts::{ATTEMPTS, is_conflict};
use crate::row::SecretRow;
use crate::vault::{VaultDecision, VaultEvent, decide_vault};
use crate::{Call, Change, KeyError, SecretError, SecretRef};

/// What of a secret that something names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// It is deleted unless it is named in these places: configuration, schedules.
    Unless(Vec<String>),
    /// It is deleted whatever names it.
    Force,
}

impl Secrets {
    /// Destroys the value and its retired generations.
    ///
    /// # Errors
    /// `NotFound`, `Referenced`; `Sealed`, `Locked`; `Conflict` when others were first, each time.
    pub async fn delete(&self, call: &Call, at: &SecretRef, deletion: &Deletion) -> Result<(), SecretError> {
        let seen = self.vault().look().await?;
        match decide_vault(seen.state, VaultEvent::Value) {
            VaultDecision::Apply => {}
            VaultDecision::NotFound => return Err(not_found(at)),
            _ => return Err(KeyError::State { now: seen.state }.into()),
        }
        let place = self.place(at).await?;
        for _ in 0..ATTEMPTS {
            let under = self.under().await?;
            if self.no_import(call, under.import()).await? == Going::Again {
                continue;
            }
            let row = self.row(&place, None).await?.filter(|row| row.usable().is_some());
            let row = row.ok_or_else(|| not_found(at))?;
            match deletion {
                Deletion::Unless(by) if !by.is_empty() => {
                    return Err(SecretError::Referenced {
                        at: at.clone(),
                        by: by.clone(),
                    });
                }
                Deletion::Unless(_) | Deletion::Force => {}
            }
            let tombstone = SecretRow {
                live: None,
                retired: Vec::new(),
                deleted_at: Some(call.now),
                ..SecretRow::clone(&row)
            };
            let mut batch = self.namespace().batch();
            under.stage(self.rings(), &mut batch);
            self.rows()
                .stage_replace(&mut batch, row.raw(), &tombstone)
                .await?;
            self.stage_unused(&mut batch, &place).await?;
            let change = Change::Deleted {
                at: at.clone(),
                generation: row.generation,
            };
            call.journal.tenant(&mut batch, &change);
            match self.namespace().commit(batch).await.map_err(RecordError::from) {
                Ok(_) => return Ok(()),
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SecretError::Conflict { at: at.clone() })
    }
}
