//! Rows as a reader sees them: with what an applied import staged in them, without what one that is not applied did.

use std::ops::Deref;

use dormouse_filesystem::{Issue, PAGE_MAX, Records, ScopedBatch, Segment, Tenant, Versioned};

use super::Secrets;
use super::open::of_row;
use crate::place::Place;
use crate::ring::{OpenImport, RingRow};
use crate::row::SecretRow;
use crate::{Call, SecretError};

/// A row as it is seen.
#[derive(Clone)]
pub(crate) struct Row {
    raw: Versioned<SecretRow>,
    seen: Option<SecretRow>,
}

impl Row {
    pub(crate) fn of(raw: Versioned<SecretRow>, import: Option<&OpenImport>) -> Self {
        let seen = raw.staged.is_some().then(|| raw.seen(import));
        Self { raw, seen }
    }

    /// The row as it is stored: what a write proves that it read.
    pub(crate) fn raw(&self) -> &Versioned<SecretRow> {
        &self.raw
    }
}

impl Deref for Row {
    type Target = SecretRow;

    fn deref(&self) -> &SecretRow {
        self.seen.as_ref().unwrap_or(&self.raw)
    }
}

/// Rows of a range, and those that cannot be believed.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    pub(crate) issues: Vec<Issue>,
}

/// The state of a tenant's import that rows were read under.
pub(crate) struct Under(Option<Versioned<RingRow>>);

impl Under {
    pub(crate) fn import(&self) -> Option<&OpenImport> {
        self.0.as_ref().and_then(|ring| ring.import.as_ref())
    }
}

impl Secrets {
    /// How the tenant's import stands now.
    pub(crate) async fn under(&self) -> Result<Under, SecretError> {
        Ok(Under(self.rings().get(&RingRow::the_id()).await?))
    }

    /// Whether nothing happened to it since: what was read in between is of one moment.
    pub(crate) async fn is_still(&self, under: &Under) -> Result<bool, SecretError> {
        Ok(self.under().await?.is(under))
    }

    /// The row, if there is one; one that cannot be believed is unreadable.
    pub(crate) async fn row(
        &self,
        place: &Place,
        import: Option<&OpenImport>,
    ) -> Result<Option<Row>, SecretError> {
        let read = self
            .rows()
            .get(place)
            .await
            .map_err(|error| of_row(error, place))?;
        Ok(read.map(|raw| Row::of(raw, import)))
    }

    /// Every row of a range, page by page.
    pub(crate) async fn all_of(
        &self,
        range: &[Segment],
        import: Option<&OpenImport>,
    ) -> Result<Rows, SecretError> {
        let (mut all, mut after) = (Rows::default(), None);
        // Ends with the last page: a scope has few rows.
        loop {
            let page = self.rows().range(range, after.as_ref(), PAGE_MAX).await?;
            all.rows
                .extend(page.rows.into_iter().map(|raw| Row::of(raw, import)));
            all.issues.extend(page.issues);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Whether a write may go on: one import at a time, and nothing else beside it. One whose time is over is ended.
    pub(crate) async fn no_import(
        &self,
        call: &Call,
        import: Option<&OpenImport>,
    ) -> Result<Going, SecretError> {
        match import {
            None => Ok(Going::On),
            Some(import) if import.is_over(call.now) => {
                self.settle_import(call).await?;
                Ok(Going::Again)
            }
            Some(_) => Err(SecretError::ImportOpen),
        }
    }
}

/// What a write does when no import is in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Going {
    /// It goes on.
    On,
    /// It reads again.
    Again,
}

impl Under {
    pub(crate) fn of(ring: Option<Versioned<RingRow>>) -> Self {
        Self(ring)
    }

    /// The ring it was read from.
    pub(crate) fn ring(&self) -> Option<&Versioned<RingRow>> {
        self.0.as_ref()
    }

    /// Makes it a precondition of a commit.
    pub(crate) fn stage(&self, rings: &Records<RingRow>, batch: &mut ScopedBatch<Tenant>) {
        if let Some(ring) = &self.0 {
            rings.stage_check(batch, ring);
        }
    }

    /// Whether both were read of one state.
    pub(crate) fn is(&self, other: &Under) -> bool {
        let version = |under: &Under| under.0.as_ref().map(Versioned::version);
        version(self) == version(other)
    }
}
