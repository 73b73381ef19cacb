//! An import in more commits than one: staged unseen, set in force by one commit, folded in.

use std::collections::BTreeMap;

use dormouse_filesystem::{RecordError, ScopedBatch, Tenant, Versioned};

use super::form::Entry;
use super::import::{Fate, stays};
use super::{Existing, Imported};
use crate::attempts::{ATTEMPTS, is_conflict, is_passing};
use crate::place::Place;
use crate::ring::{OpenImport, RingRow};
use crate::row::{SecretRow, Staged};
use crate::secrets::{Going, Secrets};
use crate::{AgentAt, Call, Change, ImportError, SecretError, VaultEvent};

/// Rows of one commit, at most.
const PAGE: usize = 100;
/// Bytes of rows of one commit, about: a commit takes 1 MiB.
const PAGE_BYTES: usize = 384 * 1024;

/// Where a pass over the entries ended.
enum Pass {
    /// All of them.
    Done(Imported),
    /// Others were first: the import stands elsewhere now.
    Moved,
}

impl Secrets {
    pub(super) async fn import_staged(
        &self,
        call: &Call,
        lines: &[u8],
        entries: &[Entry],
        existing: Existing,
    ) -> Result<Imported, ImportError> {
        let ring = self.ring_at_all(call).await?;
        let head = format!("import {existing:?}");
        let id = ring.digest([head.as_bytes(), lines].into_iter());
        let id = id.map_err(|_| SecretError::KeysUnreadable {
            tenant: self.tenant().to_owned(),
        })?;
        for _ in 0..ATTEMPTS {
            let keys = self.keys(VaultEvent::Put).await?;
            let open = keys.import().cloned();
            match open {
                Some(import) if import.id == id && import.applied_at.is_some() => {
                    self.fold(&import).await?;
                    // All of it is there: the pass that follows says so.
                }
                // Others are ending it, or were cut while they did: then it begins anew.
                Some(import) if import.id == id && import.ending => self.unstage(&import).await?,
                Some(import) if import.id == id => {
                    match self.stage_all(call, &import, entries, existing).await {
                        Ok(Pass::Done(done)) => {
                            if let Some(applied) = self.apply(call, &import, &done).await? {
                                // It is in force since that commit. What cannot be folded in now, the
                                // sweep folds in.
                                let _ = self.fold(&applied).await;
                                return Ok(done);
                            }
                        }
                        Ok(Pass::Moved) => {}
                        Err(error) if may_go_on(&error) => return Err(error),
                        Err(error) => {
                            // The answer is why it ends. Where ending it fails too, it is left to others.
                            let _ = self.unstage(&import).await;
                            return Err(error);
                        }
                    }
                }
                other => {
                    if self.no_import(call, other.as_ref()).await? == Going::Again {
                        continue;
                    }
                    let done = self.looked_over(entries, existing).await?;
                    if done.written.is_empty() {
                        return Ok(done);
                    }
                    self.begin(call, &id).await?;
                }
            }
        }
        Err(SecretError::contended().into())
    }

    /// What would become of all entries; nothing is written.
    async fn looked_over(&self, entries: &[Entry], existing: Existing) -> Result<Imported, ImportError> {
        let keys = self.keys(VaultEvent::Put).await?;
        let mut batch = self.namespace().batch();
        let ring = self.ring_for_put(&keys, &mut batch)?;
        let (mut done, mut refused) = (Imported::default(), Vec::new());
        let mut new: BTreeMap<Option<AgentAt>, usize> = BTreeMap::new();
        for entry in entries {
            let place = self.place(&entry.at).await?;
            let read = self.row(&place, None).await?;
            match stays(&ring, &place, read.as_deref(), entry, existing) {
                Some(Fate::Unchanged) => done.unchanged.push(entry.at.clone()),
                Some(Fate::Kept) => done.kept.push(entry.at.clone()),
                Some(Fate::Exists) => refused.push(entry.at.clone()),
                Some(Fate::Written(_)) | None => {
                    if read.as_ref().is_none_or(|read| read.live.is_none()) {
                        *new.entry(place.agent().cloned()).or_insert(0) += 1;
                    }
                    done.written.push(entry.at.clone());
                }
            }
        }
        if !refused.is_empty() {
            return Err(ImportError::Exists { refs: refused });
        }
        self.check_rooms(new).await?;
        Ok(done)
    }

    /// Takes the tenant's secrets for this import; false when others were first.
    async fn begin(&self, call: &Call, id: &str) -> Result<bool, SecretError> {
        let keys = self.keys(VaultEvent::Put).await?;
        self.replace_import(keys.under().ring(), |import| {
            import.is_none().then(|| {
                Some(OpenImport {
                    id: id.to_owned(),
                    began_at: call.now,
                    applied_at: None,
                    ending: false,
                })
            })
        })
        .await
    }

    /// Writes the ring with another state of its import, if `change` gives one.
    async fn replace_import(
        &self,
        ring: Option<&Versioned<RingRow>>,
        change: impl FnOnce(&Option<OpenImport>) -> Option<Option<OpenImport>>,
    ) -> Result<bool, SecretError> {
        let Some(ring) = ring else { return Ok(false) };
        let Some(import) = change(&ring.import) else {
            return Ok(false);
        };
        let new = RingRow {
            import,
            ..RingRow::clone(ring)
        };
        match self.rings().replace(ring, &new).await {
            Ok(_) => Ok(true),
            Err(error) if is_conflict(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn stage_all(
        &self,
        call: &Call,
        import: &OpenImport,
        entries: &[Entry],
        existing: Existing,
    ) -> Result<Pass, ImportError> {
        let id = import.id.as_str();
        let mut done = Imported::default();
        let (mut next, mut tries) = (0, 0);
        while next < entries.len() {
            let keys = self.keys(VaultEvent::Put).await?;
            if keys.import() != Some(import) {
                return Ok(Pass::Moved);
            }
            let mut batch = self.namespace().batch();
            let ring = self.checked_ring(&keys, &mut batch)?;
            let (mut page, mut bytes, mut to) = (Imported::default(), 0, next);
            for entry in entries[next..].iter().take(PAGE) {
                let place = self.place(&entry.at).await?;
                let read = self.rows().get(&place).await?;
                let is_staged = |row: &Versioned<SecretRow>| {
                    row.staged.as_ref().is_some_and(|staged| staged.import == id)
                };
                if read.as_ref().is_some_and(is_staged) {
                    page.written.push(entry.at.clone());
                    to += 1;
                    continue;
                }
                match self.fate(call, &ring, &place, read.as_deref(), entry, existing)? {
                    Fate::Unchanged => page.unchanged.push(entry.at.clone()),
                    Fate::Kept => page.kept.push(entry.at.clone()),
                    Fate::Exists => {
                        let refs = vec![entry.at.clone()];
                        return Err(ImportError::Exists { refs });
                    }
                    Fate::Written(new) => {
                        let row = with_staged(&place, read.as_deref(), id, *new);
                        let size = size_of(&row);
                        if bytes + size > PAGE_BYTES && to > next {
                            break;
                        }
                        bytes += size;
                        self.stage_row(&mut batch, read.as_ref(), &row).await?;
                        page.written.push(entry.at.clone());
                    }
                }
                to += 1;
            }
            match self.namespace().commit(batch).await.map_err(RecordError::from) {
                Ok(_) => {
                    next = to;
                    tries = 0;
                    done.written.extend(page.written);
                    done.unchanged.extend(page.unchanged);
                    done.kept.extend(page.kept);
                }
                Err(error) if is_conflict(&error) && tries < ATTEMPTS => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Pass::Done(done))
    }

    async fn stage_row(
        &self,
        batch: &mut ScopedBatch<Tenant>,
        read: Option<&Versioned<SecretRow>>,
        row: &SecretRow,
    ) -> Result<(), RecordError> {
        match read {
            Some(read) => self.rows().stage_replace(batch, read, row).await,
            None => self.rows().stage_create(batch, row),
        }
    }

    /// The one commit that sets everything staged in force; `None` when the import stands elsewhere: ended by others, or
    /// applied by them, or another of the same export.
    async fn apply(
        &self,
        call: &Call,
        import: &OpenImport,
        done: &Imported,
    ) -> Result<Option<OpenImport>, SecretError> {
        for _ in 0..ATTEMPTS {
            let keys = self.keys(VaultEvent::Put).await?;
            let under = keys.under();
            let Some(ring) = under.ring().filter(|_| under.import() == Some(import)) else {
                return Ok(None);
            };
            let applied = OpenImport {
                applied_at: Some(call.now),
                ..import.clone()
            };
            let new = RingRow {
                import: Some(applied.clone()),
                ..RingRow::clone(ring)
            };
            let mut batch = self.namespace().batch();
            self.rings().stage_replace(&mut batch, ring, &new).await?;
            let (written, unchanged) = (done.written.len() as u64, done.unchanged.len() as u64);
            call.journal
                .tenant(&mut batch, &Change::Imported { written, unchanged });
            match self.namespace().commit(batch).await.map_err(RecordError::from) {
                Ok(_) => return Ok(Some(applied)),
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SecretError::contended())
    }

    /// Ends the import that is there: folds one in that was applied, and takes back one whose time is over. No vault
    /// has to be open for it.
    pub(crate) async fn settle_import(&self, call: &Call) -> Result<(), SecretError> {
        let under = self.under().await?;
        match under.import() {
            None => Ok(()),
            Some(import) if import.applied_at.is_some() => self.fold(import).await,
            Some(import) if import.is_over(call.now) => self.unstage(import).await,
            Some(_) => Err(SecretError::ImportOpen),
        }
    }

    /// Makes what was applied the rows' own, page by page, and ends the import.
    async fn fold(&self, applied: &OpenImport) -> Result<(), SecretError> {
        self.settle(applied, |row| Some(row.seen(Some(applied)))).await
    }

    /// Takes back what was staged, and ends the import. First it says so in the ring: from then on nobody stages for
    /// it or applies it, whoever it was that began it.
    async fn unstage(&self, import: &OpenImport) -> Result<(), SecretError> {
        let ending = OpenImport {
            ending: true,
            ..import.clone()
        };
        for _ in 0..ATTEMPTS {
            let under = self.under().await?;
            if under.import() == Some(&ending) {
                return self.settle(&ending, unstaged).await;
            }
            if under.import() != Some(import) {
                return Ok(());
            }
            self.replace_import(under.ring(), |_| Some(Some(ending.clone())))
                .await?;
        }
        Err(SecretError::contended())
    }

    /// Writes what `then` makes of each row with something staged, `None` to remove it; then the import is over. It
    /// stops when the import is not this one any more: whoever changed it goes on.
    async fn settle(
        &self,
        import: &OpenImport,
        then: impl Fn(&SecretRow) -> Option<SecretRow>,
    ) -> Result<(), SecretError> {
        let (mut after, mut tries) = (None, 0);
        // Ends with the last page: behind it nothing is staged by others, as an import that is applied or ending takes
        // nothing more, and each page proves that it still is.
        loop {
            let under = self.under().await?;
            if under.import() != Some(import) {
                return Ok(());
            }
            let page = self.rows().range(&[], after.as_ref(), PAGE).await?;
            let mut next = page.next;
            let mut batch = self.namespace().batch();
            under.stage(self.rings(), &mut batch);
            let (mut count, mut bytes) = (0, 0);
            for row in page.rows.iter().filter(|row| row.staged.is_some()) {
                bytes += size_of(row);
                if bytes > PAGE_BYTES && count > 0 {
                    // The rest is read again: what was done has nothing staged any more.
                    next = after.clone();
                    break;
                }
                count += 1;
                match then(row) {
                    Some(new) => self.rows().stage_replace(&mut batch, row, &new).await?,
                    None => self.rows().stage_remove(&mut batch, row).await?,
                }
            }
            let is_cut = bytes > PAGE_BYTES && count > 0;
            if count > 0 {
                match self.namespace().commit(batch).await.map_err(RecordError::from) {
                    Ok(_) => tries = 0,
                    Err(error) if is_conflict(&error) && tries < ATTEMPTS => {
                        tries += 1;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            if next.is_none() && !is_cut {
                break;
            }
            after = next;
        }
        for _ in 0..ATTEMPTS {
            let under = self.under().await?;
            if under.import() != Some(import) || self.replace_import(under.ring(), |_| Some(None)).await? {
                return Ok(());
            }
        }
        Err(SecretError::contended())
    }
}

/// The row as if nothing had been staged in it.
fn unstaged(row: &SecretRow) -> Option<SecretRow> {
    let row = row.seen(None);
    let is_new = row.generation == 0 && row.live.is_none();
    (!is_new).then_some(row)
}

/// Whether the same import may end well when it is called again: then it stays open for that. Any other error is one
/// that it would meet again, and the tenant is not to wait for it.
fn may_go_on(error: &ImportError) -> bool {
    match error {
        ImportError::Secret(SecretError::Sealed | SecretError::Locked | SecretError::Indeterminate) => true,
        ImportError::Secret(SecretError::Store(error)) => is_passing(error),
        ImportError::Secret(_)
        | ImportError::Version { .. }
        | ImportError::Malformed { .. }
        | ImportError::Truncated
        | ImportError::Decrypt
        | ImportError::TooLarge { .. }
        | ImportError::OverCommit
        | ImportError::Exists { .. }
        | ImportError::NoAge => false,
    }
}

/// The row as it is, with what the import makes of it beside.
fn with_staged(place: &Place, read: Option<&SecretRow>, id: &str, new: SecretRow) -> SecretRow {
    let staged = Staged {
        import: id.to_owned(),
        live: new.live.expect("an import gives a value"),
    };
    let row = read.cloned().unwrap_or_else(|| SecretRow {
        place: place.clone(),
        generation: 0,
        live: None,
        retired: Vec::new(),
        staged: None,
        deleted_at: None,
        quarantined_until: None,
    });
    SecretRow {
        staged: Some(staged),
        ..row
    }
}

/// About how many bytes the row has where it is stored.
fn size_of(row: &SecretRow) -> usize {
    let bodies = row
        .live
        .iter()
        .map(|live| &live.body)
        .chain(row.retired.iter().map(|retired| &retired.body))
        .chain(row.staged.iter().map(|staged| &staged.live.body));
    bodies
        .map(|body| body.sealed.as_slice().len() * 4 / 3 + 512)
        .sum::<usize>()
        + 512
}
