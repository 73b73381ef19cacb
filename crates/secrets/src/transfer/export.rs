//! Exporting all live secrets of a tenant and its living agents.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use dormouse_filesystem::RecordError;
use rustix::fs::{CWD, Mode, OFlags};
use zeroize::Zeroizing;

use super::{ExportTo, age, blocking, form};
use crate::attempts::ATTEMPTS;
use crate::secrets::{Filter, Secrets, Under, place_of_issue};
use crate::vault::VaultEvent;
use crate::{Call, Change, SecretError, SecretRef};

/// An export that was not made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Built without age: nothing is exported, and nothing in clear instead.
    #[error("this build cannot encrypt exports")]
    NoAge,
    /// Not a public key, or none at all.
    #[error("a recipient is a public key, age1…")]
    Recipient,
    /// The file is there already, or cannot be made.
    #[error("the file cannot be made: {0}")]
    File(#[source] std::io::Error),
    /// As of the secrets; `Unreadable` names all that do not open, or cannot be believed.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl From<RecordError> for ExportError {
    fn from(error: RecordError) -> Self {
        Self::Secret(error.into())
    }
}

impl Secrets {
    /// All live secrets, encrypted with age. A secret that does not open is an error, never left out.
    ///
    /// # Errors
    /// `NoAge`, `Recipient`; `Secret(Sealed | Locked | Unreadable)`.
    pub async fn export(&self, call: &Call, to: &ExportTo) -> Result<Vec<u8>, ExportError> {
        age::check(to)?;
        let (lines, count) = self.lines(call).await?;
        let to = to.copied();
        let encrypted = blocking(move || age::encrypt(&lines, &to)).await?;
        self.tell_exported(call, false, count).await?;
        Ok(encrypted)
    }

    /// All live secrets in clear, into a new file that its owner alone reads.
    ///
    /// # Errors
    /// `File` when there is one of that name; `Secret(Sealed | Locked | Unreadable)`.
    pub async fn export_in_clear(&self, call: &Call, path: PathBuf) -> Result<(), ExportError> {
        let (lines, count) = self.lines(call).await?;
        // Told first: what was told and not written harms nobody.
        self.tell_exported(call, true, count).await?;
        let written = tokio::task::spawn_blocking(move || {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR)?;
            let mut file = File::from(file);
            file.write_all(&lines)?;
            file.sync_all()
        });
        written
            .await
            .unwrap_or_else(|ended| Err(std::io::Error::other(ended)))
            .map_err(ExportError::File)
    }

    /// The lines, of one moment as to imports.
    async fn lines(&self, call: &Call) -> Result<(Zeroizing<Vec<u8>>, u64), ExportError> {
        for _ in 0..ATTEMPTS {
            let under = self.under().await?;
            let lines = self.lines_under(call, &under).await;
            // What did not open may have been sealed anew since the keys were read.
            if self.is_still(&under).await? {
                return lines;
            }
        }
        Err(SecretError::contended().into())
    }

    async fn lines_under(
        &self,
        call: &Call,
        under: &Under,
    ) -> Result<(Zeroizing<Vec<u8>>, u64), ExportError> {
        let ring = match self.keys(VaultEvent::Value).await {
            Ok(keys) => keys.ring(self.tenant())?,
            // Without a vault there is nothing to export.
            Err(SecretError::Key(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let (mut entries, mut unreadable) = (Vec::new(), self.not_believed(under).await?);
        for meta in self.list(&Filter::All).await? {
            let place = self.place(&meta.at).await?;
            let Some(row) = self.live_row(&place, under.import()).await? else {
                continue;
            };
            let live = row.usable().expect("only rows with a value in force");
            match self.open_live(ring.as_ref(), &place, live) {
                Some(value) => entries.push(form::Entry {
                    line: 0,
                    at: meta.at,
                    category: live.body.category,
                    value,
                    origins: live.body.origins.clone(),
                    note: live.note.clone(),
                    created_at: live.created_at,
                    updated_at: live.updated_at,
                    times_known: live.times_known,
                }),
                None => unreadable.push(meta.at),
            }
        }
        if !unreadable.is_empty() {
            return Err(SecretError::Unreadable { refs: unreadable }.into());
        }
        let count = u64::try_from(entries.len()).expect("entries are few");
        Ok((form::write(self.tenant(), call.now, entries), count))
    }

    /// What a list leaves out: an export is a backup, and lacks nothing without a word.
    async fn not_believed(&self, under: &Under) -> Result<Vec<SecretRef>, SecretError> {
        let mut refs = Vec::new();
        let issues = self.all_of(&[], under.import()).await?.issues;
        for place in issues.iter().filter_map(place_of_issue) {
            let is_in_force = match place.agent() {
                Some(agent) => self.living(&agent.id).await?.as_ref() == Some(agent),
                None => true,
            };
            if is_in_force {
                refs.push(place.to_ref());
            }
        }
        Ok(refs)
    }

    async fn tell_exported(&self, call: &Call, plaintext: bool, count: u64) -> Result<(), ExportError> {
        let mut batch = self.namespace().batch();
        call.journal
            .tenant(&mut batch, &Change::Exported { plaintext, count });
        if batch.writes() {
            self.namespace().commit(batch).await.map_err(RecordError::from)?;
        }
        Ok(())
    }
}
