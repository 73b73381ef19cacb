//! What becomes of one row that leads somewhere: read and decided, before anything is written.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::plan::readable;
use super::{LegacyRow, MigrateError, Unplaced};
use crate::place::Place;
use crate::ring::Ring;
use crate::row::Live;
use crate::secrets::{PER_SCOPE_MAX, Secrets, check_meta, check_name, check_value};
use crate::{AgentAt, PutMeta, Secret, SecretCategory, SecretError, SecretRef, Short};

/// How many secrets scopes have, with those that are about to come.
#[derive(Default)]
pub(super) struct Rooms(BTreeMap<Option<AgentAt>, usize>);

/// A secret that is to be written.
pub(super) struct New<'a> {
    pub(super) place: Place,
    pub(super) value: &'a Secret,
    pub(super) category: SecretCategory,
    pub(super) meta: PutMeta,
}

/// What becomes of a row.
pub(super) enum Judged<'a> {
    Write(Box<New<'a>>),
    There,
    Aside(Unplaced),
    Unreadable,
}

impl Secrets {
    /// Without a ring the tenant has no secrets that open.
    pub(super) async fn judge<'a>(
        &self,
        ring: Option<&Ring>,
        row: &'a LegacyRow,
        at: &SecretRef,
        rooms: &mut Rooms,
    ) -> Result<Judged<'a>, MigrateError> {
        let Some(value) = readable(row) else {
            return Ok(Judged::Unreadable);
        };
        if check_name(&at.name).is_err() {
            return Ok(Judged::Aside(Unplaced::Reserved));
        }
        let (category, meta) = said_of(row);
        if check_value(value.expose(), category, Short::Accept).is_err() || check_meta(&meta).is_err() {
            return Ok(Judged::Aside(Unplaced::Invalid));
        }
        let place = match self.place(at).await {
            Err(SecretError::NotFound { .. }) => return Ok(Judged::Aside(Unplaced::NoAgent)),
            place => place?,
        };
        match self.row(&place, None).await {
            Ok(None) => {}
            Ok(Some(there)) => {
                let is_equal = |live: &Live| {
                    let opened = ring.and_then(|ring| ring.open(&place, &live.body).ok());
                    opened.is_some_and(|there| there == *value)
                };
                return Ok(match &there.live {
                    Some(live) if !is_equal(live) => Judged::Aside(Unplaced::Exists),
                    Some(_) | None => Judged::There,
                });
            }
            Err(SecretError::Unreadable { .. }) => return Ok(Judged::Aside(Unplaced::Exists)),
            Err(error) => return Err(error.into()),
        }
        if !self.takes_room(&place, rooms).await? {
            return Ok(Judged::Aside(Unplaced::Full));
        }
        Ok(Judged::Write(Box::new(New {
            place,
            value,
            category,
            meta,
        })))
    }

    /// Whether the scope has room for one more.
    async fn takes_room(&self, place: &Place, rooms: &mut Rooms) -> Result<bool, MigrateError> {
        let used = match rooms.0.entry(place.agent().cloned()) {
            Entry::Occupied(used) => used.into_mut(),
            Entry::Vacant(room) => room.insert(self.used_in(place.agent()).await?),
        };
        *used += 1;
        Ok(*used <= PER_SCOPE_MAX)
    }
}

/// What the source says of the secret: of one without metadata, that workers get it.
fn said_of(row: &LegacyRow) -> (SecretCategory, PutMeta) {
    let short = Short::Accept;
    match &row.meta {
        None => (
            SecretCategory::Tool,
            PutMeta {
                short,
                ..PutMeta::default()
            },
        ),
        Some(meta) => (
            meta.category,
            PutMeta {
                origins: meta.origins.clone(),
                note: meta.note.clone(),
                short,
            },
        ),
    }
}
