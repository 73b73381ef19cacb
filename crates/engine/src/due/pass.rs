//! One pass over what is due: what is left alone in it, what came of it, and when it is broken off.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{DUE_LEFT_MAX, DUE_LOOK, DUE_UNANSWERED_MAX};
use crate::{CommandError, TenantId};

/// A row whose time is up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DueRow {
    what: &'static str,
    tenant: TenantId,
    id: String,
}

impl DueRow {
    /// Of this name, whose, and which.
    pub(crate) fn of(what: &'static str, tenant: &TenantId, id: &impl fmt::Display) -> Self {
        Self {
            what,
            tenant: tenant.clone(),
            id: id.to_string(),
        }
    }
}

/// The rows that could not be served of late, and when that was tried. A loop keeps it from pass to pass, so that they
/// are left alone for [`DUE_LOOK`], however often it looks.
#[derive(Debug, Default)]
pub(crate) struct LeftLately(HashMap<DueRow, Instant>);

impl LeftLately {
    /// How long it is until the first of them is to be tried again.
    pub(crate) fn again_in(&self) -> Duration {
        let first = self.0.values().min();
        first.map_or(DUE_LOOK, |at| DUE_LOOK.saturating_sub(at.elapsed()))
    }

    fn forget_old(&mut self) {
        self.0.retain(|_, at| at.elapsed() < DUE_LOOK);
    }

    /// Those beyond [`DUE_LEFT_MAX`] are tried in each pass.
    fn note(&mut self, row: DueRow) {
        if self.0.len() < DUE_LEFT_MAX {
            self.0.insert(row, Instant::now());
        }
    }
}

/// A pass under way.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    lately: &'a mut LeftLately,
    /// How many cannot be served.
    left: usize,
    /// The first error of the store.
    trouble: Option<CommandError>,
    /// Since when the store has answered nothing.
    unanswered_since: Option<Instant>,
}

impl<'a> Pass<'a> {
    /// One that leaves alone what was left lately.
    pub(crate) fn new(lately: &'a mut LeftLately) -> Self {
        lately.forget_old();
        Self {
            lately,
            left: 0,
            trouble: None,
            unanswered_since: None,
        }
    }

    /// Whether a row is not to be tried: it was lately, or the store has answered nothing for so long that the rest is
    /// for the next pass.
    pub(crate) fn skips(&mut self, row: &DueRow) -> bool {
        let was_left = self.lately.0.contains_key(row);
        self.left += usize::from(was_left);
        was_left || self.is_broken_off()
    }

    /// Each row that is tried in vain takes all the tries of a command, and there may be thousands.
    fn is_broken_off(&self) -> bool {
        self.unanswered_since
            .is_some_and(|since| since.elapsed() >= DUE_UNANSWERED_MAX)
    }

    /// Whether a row was served.
    pub(crate) fn note(&mut self, row: DueRow, was_served: Result<bool, CommandError>) -> bool {
        let error = match was_served {
            Ok(was_served) => {
                self.unanswered_since = None;
                return was_served;
            }
            Err(error) => error,
        };
        if is_of_store(&error) {
            if matches!(error, CommandError::Unavailable(_)) {
                self.unanswered_since.get_or_insert_with(Instant::now);
            }
            self.trouble.get_or_insert(error);
        } else {
            let DueRow { what, tenant, id } = &row;
            tracing::warn!(%tenant, %id, %error, "the time of a {what} is up, and it is left as it is");
            self.left += 1;
            self.lately.note(row);
        }
        false
    }

    /// How many rows cannot be served, unless the store had trouble.
    pub(crate) fn told(self) -> Result<usize, CommandError> {
        match self.trouble {
            None => Ok(self.left),
            Some(error) => Err(error),
        }
    }
}

/// Whether the store did not answer, so that the same again may go well; every other error is of the row, and stays.
pub(crate) fn is_of_store(error: &CommandError) -> bool {
    matches!(
        error,
        CommandError::Contended { .. } | CommandError::Unavailable(_) | CommandError::Indeterminate { .. }
    )
}
