//! Putting a value: sealed as the next generation, while the one it replaces stays for redaction.

use dormouse_filesystem::{RecordError, ScopedBatch, Tenant, Versioned};
use jiff::Timestamp;

use super::open::unreadable;
use super::rows::{Going, Row};
use super::{Keys, PER_SCOPE_MAX, Secrets};
use crate::attempts::{ATTEMPTS, is_conflict};
use crate::place::{Place, range_of};
use crate::reserved::{self, Reservation};
use crate::ring::{HasRing, Ring};
use crate::row::{Body, Live, RETIRED_FOR, RETIRED_MAX, Retired, SecretRow};
use crate::seal::Unopened;
use crate::sealing::Sealing;
use crate::vault::{VaultDecision, VaultEvent, decide_vault};
use crate::{
    AgentAt, Call, Change, NOTE_MAX, ORIGINS_MAX, PutMeta, Secret, SecretCategory, SecretError, SecretMeta,
    SecretName, SecretRef, Short, VALUE_MAX, VALUE_MIN, marker,
};

/// What must be true of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// There is none.
    Absent,
    /// There is this generation.
    Generation(u64),
}

/// What a put came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It is stored.
    Put(SecretMeta),
    /// All was equal: nothing was written.
    Unchanged(SecretMeta),
}

impl Done {
    /// What is known of the secret now.
    #[must_use]
    pub fn meta(&self) -> &SecretMeta {
        match self {
            Self::Put(meta) | Self::Unchanged(meta) => meta,
        }
    }
}

/// What a put asks for, checked.
struct Wanted<'a> {
    value: &'a Secret,
    category: SecretCategory,
    meta: &'a PutMeta,
}

impl Secrets {
    /// Seals the value as the next generation of this secret and retires the one before. A value, category, origins
    /// and note that are all equal write nothing. Where there is no vault yet, the vault's own key file makes one.
    ///
    /// # Errors
    /// Of the name: `Reserved`, `CodeLoading`; of the value: `TooShort`, `TooLong`, `NotText`, `ContainsMarker`;
    /// `Exists`, `Conflict`, `Full`; `NotFound` for an agent that does not live; `Sealed`, `Locked`. After
    /// `Indeterminate` the same put may be repeated.
    pub async fn put(
        &self,
        call: &Call,
        at: &SecretRef,
        value: &Secret,
        category: SecretCategory,
        meta: &PutMeta,
        expect: Expect,
    ) -> Result<Done, SecretError> {
        check_name(&at.name)?;
        check_value(value.expose(), category, meta.short)?;
        check_meta(meta)?;
        let place = self.place(at).await?;
        // Who gave it may log it.
        self.registrar().opened(&at.name, value);
        let wanted = Wanted {
            value,
            category,
            meta,
        };
        for _ in 0..ATTEMPTS {
            if let Some(done) = self.put_once(call, &place, &wanted, expect).await? {
                return Ok(done);
            }
        }
        Err(SecretError::Conflict { at: at.clone() })
    }

    async fn put_once(
        &self,
        call: &Call,
        place: &Place,
        wanted: &Wanted<'_>,
        expect: Expect,
    ) -> Result<Option<Done>, SecretError> {
        let keys = self.keys_for_put(call).await?;
        if self.no_import(call, keys.import()).await? == Going::Again {
            return Ok(None);
        }
        let mut batch = self.namespace().batch();
        let ring = self.ring_for_put(&keys, &mut batch)?;
        let row = self.row(place, None).await?;
        check_expected(place, row.as_deref(), expect)?;
        if let Some(live) = row.as_ref().and_then(|row| row.live.as_ref())
            && matches!(ring.open(place, &live.body), Err(Unopened::TooNew(_)))
        {
            // What a newer build sealed is not this one's to replace.
            return Err(unreadable(place));
        }
        let now = call.now;
        if let Some(live) = row.as_ref().and_then(|row| row.usable())
            && is_equal(&ring, place, live, wanted)
        {
            if live.note == wanted.meta.note {
                let meta = row
                    .as_ref()
                    .and_then(|row| row.meta())
                    .expect("it has a live value");
                return Ok(Some(Done::Unchanged(meta)));
            }
            let read = row.as_ref().expect("it has a live value").raw();
            let new = noted(read, live, &wanted.meta.note, now);
            return self.commit_put(call, batch, Some(read), new).await;
        }
        if row.as_ref().is_none_or(|row| row.live.is_none()) {
            self.check_room(place.agent(), 1).await?;
        }
        let new = next(&ring, self, place, row.as_deref(), wanted, now)?;
        self.commit_put(call, batch, row.as_ref().map(Row::raw), new)
            .await
    }

    async fn commit_put(
        &self,
        call: &Call,
        mut batch: ScopedBatch<Tenant>,
        read: Option<&Versioned<SecretRow>>,
        new: SecretRow,
    ) -> Result<Option<Done>, SecretError> {
        match read {
            Some(read) => self.rows().stage_replace(&mut batch, read, &new).await?,
            None => self.rows().stage_create(&mut batch, &new)?,
        }
        let change = Change::Put {
            at: new.place.to_ref(),
            generation: new.generation,
        };
        call.journal.tenant(&mut batch, &change);
        match self.namespace().commit(batch).await.map_err(RecordError::from) {
            Ok(_) => Ok(Some(Done::Put(new.meta().expect("it was put")))),
            Err(error) if is_conflict(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The keys; where there is no vault, one is made of the vault's own key file.
    pub(crate) async fn keys_for_put(&self, call: &Call) -> Result<Keys, SecretError> {
        let seen = self.vault().look().await?;
        if decide_vault(seen.state, VaultEvent::Put) == VaultDecision::EnableThenApply {
            self.vault().enable_by_itself(call).await?;
        }
        self.keys(VaultEvent::Put).await
    }

    /// The ring that seals, for whatever is not part of an import.
    pub(crate) fn ring_for_put(
        &self,
        keys: &Keys,
        batch: &mut ScopedBatch<Tenant>,
    ) -> Result<Ring, SecretError> {
        match keys.import() {
            Some(_) => Err(SecretError::ImportOpen),
            None => self.checked_ring(keys, batch),
        }
    }

    /// The ring that seals: its version becomes a precondition, so who missed a rekey or an import is refused.
    pub(crate) fn checked_ring(
        &self,
        keys: &Keys,
        batch: &mut ScopedBatch<Tenant>,
    ) -> Result<Ring, SecretError> {
        match &keys.ring {
            HasRing::Yes(row) => {
                self.rings().stage_check(batch, row);
                Ok(keys.ring(self.tenant())?.expect("the tenant has one"))
            }
            HasRing::No => {
                let ring = Ring::make(self.tenant(), &keys.open, self.vault().random());
                self.rings().stage_create(batch, &ring.row)?;
                Ok(ring)
            }
        }
    }

    /// The tenant's ring; where it has none, one is made.
    pub(crate) async fn ring_at_all(&self, call: &Call) -> Result<Ring, SecretError> {
        for _ in 0..ATTEMPTS {
            let keys = self.keys_for_put(call).await?;
            if let Some(ring) = keys.ring(self.tenant())? {
                return Ok(ring);
            }
            let mut batch = self.namespace().batch();
            let _ = self.checked_ring(&keys, &mut batch)?;
            match self.namespace().commit(batch).await.map_err(RecordError::from) {
                Err(error) if !is_conflict(&error) => return Err(error.into()),
                Ok(_) | Err(_) => {}
            }
        }
        Err(SecretError::contended())
    }

    /// How many secrets a scope has, those that cannot be believed too.
    pub(crate) async fn used_in(&self, agent: Option<&AgentAt>) -> Result<usize, SecretError> {
        let rows = self.all_of(&range_of(agent), None).await?;
        let live = rows.rows.iter().filter(|row| row.live.is_some()).count();
        Ok(live + rows.issues.len())
    }

    /// Whether the scope has room for so many more.
    pub(crate) async fn check_room(&self, agent: Option<&AgentAt>, new: usize) -> Result<(), SecretError> {
        if self.used_in(agent).await? + new > PER_SCOPE_MAX {
            return Err(SecretError::Full { max: PER_SCOPE_MAX });
        }
        Ok(())
    }
}

/// Whether a secret may have this name, for those who ask before there is a value.
///
/// # Errors
/// `Reserved` for what is set for workers, `CodeLoading` for what makes a program run other code.
pub fn check_name(name: &SecretName) -> Result<(), SecretError> {
    match reserved::of(name) {
        None => Ok(()),
        Some(Reservation::Set) => Err(SecretError::Reserved { name: name.clone() }),
        Some(Reservation::LoadsCode) => Err(SecretError::CodeLoading { name: name.clone() }),
    }
}

pub(crate) fn check_value(value: &[u8], category: SecretCategory, short: Short) -> Result<(), SecretError> {
    if value.is_empty() || (value.len() < VALUE_MIN && short == Short::Refuse) {
        return Err(SecretError::TooShort);
    }
    if value.len() > VALUE_MAX {
        return Err(SecretError::TooLong);
    }
    if value
        .windows(marker::START.len())
        .any(|window| window == marker::START.as_bytes())
    {
        return Err(SecretError::ContainsMarker);
    }
    let is_text = std::str::from_utf8(value).is_ok() && !value.contains(&0);
    match category {
        SecretCategory::Tool if !is_text => Err(SecretError::NotText),
        SecretCategory::Tool | SecretCategory::System => Ok(()),
    }
}

pub(crate) fn check_meta(meta: &PutMeta) -> Result<(), SecretError> {
    if meta.note.len() > NOTE_MAX || meta.note.chars().any(char::is_control) {
        return Err(SecretError::MetaTooLong { what: "the note" });
    }
    if meta.origins.len() > ORIGINS_MAX {
        return Err(SecretError::MetaTooLong {
            what: "the list of origins",
        });
    }
    Ok(())
}

fn check_expected(place: &Place, row: Option<&SecretRow>, expect: Expect) -> Result<(), SecretError> {
    let live = row.and_then(|row| row.live.as_ref());
    match (expect, live) {
        (Expect::Any, _) | (Expect::Absent, None) => Ok(()),
        (Expect::Absent, Some(_)) => Err(SecretError::Exists { at: place.to_ref() }),
        (Expect::Generation(expected), Some(live)) if live.body.generation == expected => Ok(()),
        (Expect::Generation(_), _) => Err(SecretError::Conflict { at: place.to_ref() }),
    }
}

/// Whether value, category and origins are those in force.
fn is_equal(ring: &Ring, place: &Place, live: &Live, wanted: &Wanted<'_>) -> bool {
    live.body.category == wanted.category
        && live.body.origins == wanted.meta.origins
        && ring
            .open(place, &live.body)
            .is_ok_and(|value| value == *wanted.value)
}

fn noted(row: &SecretRow, live: &Live, note: &str, now: Timestamp) -> SecretRow {
    let live = Live {
        note: note.to_owned(),
        updated_at: now,
        ..live.clone()
    };
    SecretRow {
        live: Some(live),
        ..row.clone()
    }
}

/// The row with the next generation in force.
fn next(
    ring: &Ring,
    secrets: &Secrets,
    place: &Place,
    row: Option<&SecretRow>,
    wanted: &Wanted<'_>,
    now: Timestamp,
) -> Result<SecretRow, SecretError> {
    let generation = row.map_or(0, |row| row.generation) + 1;
    let before = row.and_then(|row| row.live.as_ref());
    let sealing = Sealing {
        value: wanted.value,
        category: wanted.category,
        origins: &wanted.meta.origins,
        note: &wanted.meta.note,
        created_at: before.map_or(now, |live| live.created_at),
        updated_at: now,
        times_known: before.is_none_or(|live| live.times_known),
    };
    let live = ring.live(place, generation, &sealing, secrets.vault().random())?;
    Ok(replaced(place, row, generation, live, now))
}

/// The row with another value in force; the one before is retired.
pub(crate) fn replaced(
    place: &Place,
    row: Option<&SecretRow>,
    generation: u64,
    live: Live,
    now: Timestamp,
) -> SecretRow {
    let retire = |body: Body| Retired {
        body,
        until: now + RETIRED_FOR,
    };
    let newest = row
        .and_then(|row| row.live.as_ref())
        .map(|live| retire(live.body.clone()));
    let older = row.iter().flat_map(|row| row.retired.iter().cloned());
    let mut retired: Vec<Retired> = newest.into_iter().chain(older).collect();
    retired.retain(|retired| retired.until > now);
    retired.truncate(RETIRED_MAX);
    SecretRow {
        place: place.clone(),
        generation,
        live: Some(live),
        retired,
        staged: None,
        deleted_at: None,
        quarantined_until: None,
    }
}
