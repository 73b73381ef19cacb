//! A value in force, made of a value in clear.

use jiff::Timestamp;

use crate::place::Place;
use crate::ring::Ring;
use crate::row::Live;
use crate::secrets::unreadable;
use crate::{Origin, Random, Secret, SecretCategory, SecretError, VALUE_MIN};

/// What is to be sealed, and what is to be known of it in any state of the vault.
pub(crate) struct Sealing<'a> {
    pub(crate) value: &'a Secret,
    pub(crate) category: SecretCategory,
    pub(crate) origins: &'a [Origin],
    pub(crate) note: &'a str,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) times_known: bool,
}

impl Ring {
    /// Seals a generation for its place. `Unreadable` when the ring itself does not open.
    pub(crate) fn live(
        &self,
        place: &Place,
        generation: u64,
        sealing: &Sealing<'_>,
        random: &dyn Random,
    ) -> Result<Live, SecretError> {
        let Sealing {
            value,
            category,
            origins,
            note,
            created_at,
            updated_at,
            times_known,
        } = *sealing;
        let body = self.seal(place, generation, category, origins, value, random);
        let print = self.fingerprint(value.expose());
        let (Ok(body), Ok(fingerprint)) = (body, print) else {
            return Err(unreadable(place));
        };
        Ok(Live {
            body,
            fingerprint,
            note: note.to_owned(),
            unscrubbed: value.expose().len() < VALUE_MIN,
            created_at,
            updated_at,
            times_known,
        })
    }
}
