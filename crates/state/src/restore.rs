//! The checks before a stored snapshot is believed.

use crate::{
    Lifecycle, Row,
    gate::PENDING_MAX,
    snapshot::{SCHEMA, SOURCES_MAX, Snapshot},
};

/// Why a snapshot cannot be used. Nothing was changed; keep the stored bytes as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A newer version of the program wrote it: use that one.
    #[error("the snapshot has schema {found}, newer than {SCHEMA}")]
    TooNew {
        /// The schema it was written with.
        found: u32,
    },
    /// It contradicts itself, or holds what no version wrote.
    #[error("the snapshot is corrupt at {field}")]
    Corrupt {
        /// Where.
        field: String,
    },
}

impl Snapshot {
    /// Reads a stored snapshot from JSON, and checks it.
    ///
    /// # Errors
    /// [`RestoreError::TooNew`] before anything else is looked at, then [`RestoreError::Corrupt`] with
    /// the path of the field.
    pub fn from_json(json: &[u8]) -> Result<Snapshot, RestoreError> {
        match serde_json::from_slice::<Snapshot>(json) {
            Ok(snapshot) => snapshot.check().map(|()| snapshot),
            // Why is looked for only now: what is good is read once.
            Err(_) => Err(fault(json)),
        }
    }

    /// Checks what must hold in every state.
    ///
    /// # Errors
    /// [`RestoreError`], with the field that breaks a rule.
    pub fn check(&self) -> Result<(), RestoreError> {
        if self.schema > SCHEMA {
            return Err(RestoreError::TooNew { found: self.schema });
        }
        match self.broken_field() {
            Some(field) => Err(RestoreError::Corrupt {
                field: field.to_owned(),
            }),
            None => Ok(()),
        }
    }

    fn broken_field(&self) -> Option<&'static str> {
        let is_active = self.lifecycle == Lifecycle::Active;
        let is_waiting = self.lifecycle == Lifecycle::WaitingHuman;
        let is_running = self.turn.is_running();
        let row = self.row();
        let rules = [
            ("schema", self.schema == SCHEMA),
            ("incarnation", self.incarnation >= 1),
            ("execution", self.execution.is_some() == is_active),
            ("gates.pending", is_waiting == (self.gates.blocking_count() > 0)),
            ("gates.pending", self.gates.pending.len() <= PENDING_MAX),
            (
                "gates.pending",
                row != Row::Ended || self.gates.pending.is_empty(),
            ),
            // A turn that runs is seen in the row, except that idle and compacting are told apart by it.
            ("turn.phase", is_running == row.is_in_turn()),
            ("turn.number", !is_running || self.turn.number >= 1),
            ("turn.started_at", !is_running || self.turn.started_at.is_some()),
            ("sources", self.sources.len() <= SOURCES_MAX),
        ];
        rules
            .into_iter()
            .find(|(_, holds)| !holds)
            .map(|(field, _)| field)
    }
}

/// Why this is no snapshot of ours: a newer schema first, then the field.
fn fault(json: &[u8]) -> RestoreError {
    #[derive(serde::Deserialize)]
    struct Schema {
        schema: u32,
    }
    let corrupt = |field: String| RestoreError::Corrupt { field };
    match serde_json::from_slice(json) {
        Err(_) => return corrupt("schema".to_owned()),
        Ok(Schema { schema }) if schema > SCHEMA => return RestoreError::TooNew { found: schema },
        Ok(Schema { .. }) => {}
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    match serde_path_to_error::deserialize::<_, Snapshot>(&mut reader) {
        Err(error) => corrupt(error.path().to_string()),
        // All of it was read, so something stands behind it.
        Ok(_) => corrupt("end".to_owned()),
    }
}
