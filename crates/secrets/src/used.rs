//! On which day a secret was used last. Whoever hands out a value notes it in memory; who keeps the store writes it later,
//! beside the secret's row, once a day at most. So no spawn and no lease waits for it or fails by it, and what was noted
//! and not written is lost with the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dormouse_filesystem::{
    Class, IndexEntry, NoIndexes, PAGE_MAX, Record, RecordError, RecordKind, ScopedBatch, Segment, Tenant,
    Versioned,
};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use crate::SecretError;
use crate::attempts::{ATTEMPTS, is_conflict};
use crate::place::Place;
use crate::secrets::{Secrets, of_row};

/// Most uses that are noted and not written: those of further secrets are noted when there is room again.
pub const USED_NOTED_MAX: usize = 10_000;
/// Days of one commit.
const PAGE: usize = 100;

/// The day, beside the secret's row. Without it nobody knows when the secret was used, which harms nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsedRow {
    place: Place,
    used_on: Date,
}

impl Record for UsedRow {
    type Scope = Tenant;
    type Id = Place;
    type Index = NoIndexes;
    const KIND: RecordKind = RecordKind::of("secret_used");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Advisory;

    fn id(&self) -> Place {
        self.place.clone()
    }

    fn index_entries(&self) -> Vec<IndexEntry<NoIndexes>> {
        Vec::new()
    }
}

/// A use: on which day, of which generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    day: Date,
    generation: u64,
}

/// What one process noted.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// Not written yet.
    waiting: BTreeMap<Place, Use>,
    /// Those that need no other write that day. A secret that was deleted and set again has another generation.
    written: BTreeMap<Place, Use>,
}

impl Uses {
    fn note(&self, place: &Place, new: Use) {
        let mut noted = self.lock();
        let is_written = |written: &Use| written.day >= new.day && written.generation == new.generation;
        if noted.written.get(place).is_some_and(is_written) {
            return;
        }
        if noted.waiting.len() < USED_NOTED_MAX || noted.waiting.contains_key(place) {
            noted.waiting.insert(place.clone(), new);
        }
    }

    /// On which day it was used, as far as that is not written.
    fn waits(&self, place: &Place) -> Option<Date> {
        self.lock().waiting.get(place).map(|waiting| waiting.day)
    }

    fn waiting(&self) -> Vec<(Place, Use)> {
        let noted = self.lock();
        noted
            .waiting
            .iter()
            .map(|(place, of)| (place.clone(), *of))
            .collect()
    }

    fn wrote(&self, page: &[(Place, Use)]) {
        let mut noted = self.lock();
        for (place, of) in page {
            // One of a later day may have come meanwhile.
            if noted.waiting.get(place) == Some(of) {
                noted.waiting.remove(place);
            }
            if noted.written.len() >= USED_NOTED_MAX {
                // They are only read again.
                noted.written.clear();
            }
            noted.written.insert(place.clone(), *of);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Secrets {
    /// A value was handed out. It is remembered, and nothing is read or written.
    pub(crate) fn note_use(&self, place: &Place, generation: u64, now: Timestamp) {
        let day = Offset::UTC.to_datetime(now).date();
        self.uses().note(place, Use { day, generation });
    }

    /// Writes on which days secrets were used, as far as that was noted in this process since the last call: for whoever
    /// keeps the store, now and then and at its end. A secret has one such write a day at most, whoever used it in however
    /// many processes. Returns how many there were.
    ///
    /// # Errors
    /// As any commit. What was not written is tried with the next call.
    pub async fn write_used(&self) -> Result<usize, SecretError> {
        let (waiting, mut count) = (self.uses().waiting(), 0);
        for page in waiting.chunks(PAGE) {
            count += self.write_page(page).await?;
            self.uses().wrote(page);
        }
        Ok(count)
    }

    async fn write_page(&self, page: &[(Place, Use)]) -> Result<usize, SecretError> {
        for _ in 0..ATTEMPTS {
            if let Some(count) = self.try_page_of_uses(page).await? {
                return Ok(count);
            }
        }
        Err(SecretError::contended())
    }

    /// None when others were first.
    async fn try_page_of_uses(&self, page: &[(Place, Use)]) -> Result<Option<usize>, SecretError> {
        let under = self.under().await?;
        let (mut batch, mut count) = (self.namespace().batch(), 0);
        for (place, used) in page {
            // One that is deleted, or cannot be believed, is not used any more.
            let row = believed(self.row(place, under.import()).await)?;
            let Some(row) = row.flatten().filter(|row| row.usable().is_some()) else {
                continue;
            };
            let read = self.used_rows().get(place).await;
            let Some(read) = believed(read.map_err(|error| of_row(error, place)))? else {
                continue;
            };
            let new = UsedRow {
                place: place.clone(),
                used_on: used.day,
            };
            match read {
                Some(read) if read.used_on >= used.day => continue,
                Some(read) => self.used_rows().stage_replace(&mut batch, &read, &new).await?,
                None => self.used_rows().stage_create(&mut batch, &new)?,
            }
            // Nothing is written beside a secret that goes at the same time.
            self.rows().stage_check(&mut batch, row.raw());
            count += 1;
        }
        if count == 0 {
            return Ok(Some(0));
        }
        match self.namespace().commit(batch).await.map_err(RecordError::from) {
            Ok(_) => Ok(Some(count)),
            Err(error) if is_conflict(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the day away with its secret, in the commit in which that goes. One that cannot be believed is left: it is
    /// told to nobody.
    pub(crate) async fn stage_unused(
        &self,
        batch: &mut ScopedBatch<Tenant>,
        place: &Place,
    ) -> Result<(), SecretError> {
        let read = self.used_rows().get(place).await;
        match believed(read.map_err(|error| of_row(error, place)))? {
            Some(Some(read)) => self.used_rows().stage_remove(batch, &read).await?,
            Some(None) => self.used_rows().stage_absent(batch, place)?,
            None => {}
        }
        Ok(())
    }

    /// On which day this secret was used.
    pub(crate) async fn used_day(&self, place: &Place) -> Result<Option<Date>, SecretError> {
        let read = self.used_rows().get(place).await;
        let read = believed(read.map_err(|error| of_row(error, place)))?.flatten();
        let written = read.map(Versioned::into_inner).map(|row| row.used_on);
        Ok(written.max(self.uses().waits(place)))
    }

    /// On which days those of a range were used that have one.
    pub(crate) async fn used_days(&self, range: &[Segment]) -> Result<Days<'_>, SecretError> {
        let (mut written, mut after) = (BTreeMap::new(), None);
        // Ends with the last page: there is a row for each secret, at most.
        loop {
            let page = self.used_rows().range(range, after.as_ref(), PAGE_MAX).await?;
            let rows = page.rows.into_iter().map(Versioned::into_inner);
            written.extend(rows.map(|row| (row.place, row.used_on)));
            after = page.next;
            if after.is_none() {
                return Ok(Days {
                    written,
                    uses: self.uses(),
                });
            }
        }
    }
}

/// Days of a range, those that wait to be written among them.
pub(crate) struct Days<'a> {
    written: BTreeMap<Place, Date>,
    uses: &'a Uses,
}

impl Days<'_> {
    pub(crate) fn of(&self, place: &Place) -> Option<Date> {
        self.written.get(place).copied().max(self.uses.waits(place))
    }
}

/// What was read; none where it cannot be believed.
fn believed<T>(read: Result<T, SecretError>) -> Result<Option<T>, SecretError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(SecretError::Unreadable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
