//! Reading what an agent sees, and opening it.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_filesystem::RecordError;

use super::set::{Layer, Seen, Set};
use crate::place::{Place, range_of};
use crate::ring::{OpenImport, Ring};
use crate::row::{Body, SecretRow};
use crate::secrets::Secrets;
use crate::vault::{VaultEvent, VaultState};
use crate::{AgentAt, Call, Change, Redaction, Secret, SecretError, SecretName, SpawnError};

/// What was opened for a run.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) env: Vec<(SecretName, Secret)>,
    pub(super) generations: Vec<(SecretName, u64)>,
    /// Where the variables are from.
    pub(super) places: Vec<Place>,
    pub(super) redactions: Vec<Redaction>,
    pub(super) unopened: usize,
    pub(super) visible: BTreeSet<SecretName>,
}

impl Secrets {
    pub(super) async fn seen(&self, agent: &AgentAt) -> Result<Seen, SpawnError> {
        let under = self.under().await?;
        let own = self.layer(Some(agent), under.import()).await?;
        let shared = self.layer(None, under.import()).await?;
        Ok(Seen { under, own, shared })
    }

    async fn layer(&self, agent: Option<&AgentAt>, import: Option<&OpenImport>) -> Result<Layer, SpawnError> {
        let rows = self.all_of(&range_of(agent), import).await?;
        let unbelievable = rows
            .issues
            .iter()
            .filter_map(crate::secrets::name_of_issue)
            .collect();
        Ok(Layer {
            rows: rows.rows,
            unbelievable,
        })
    }

    /// None when an import or a rekey came between: what was seen is not of one moment.
    pub(super) async fn opened(
        &self,
        call: &Call,
        agent: &AgentAt,
        seen: &Seen,
        set: &Set,
    ) -> Result<Option<Opened>, SpawnError> {
        let ring = match self.keys(VaultEvent::Value).await {
            Ok(keys) if !keys.under().is(&seen.under) => return Ok(None),
            Ok(keys) => keys.ring(self.tenant())?,
            Err(error) => {
                let now = match error {
                    SecretError::Sealed => VaultState::Sealed,
                    SecretError::Locked => VaultState::Locked,
                    SecretError::Key(_) => VaultState::Absent,
                    other => return Err(other.into()),
                };
                return if set.is_empty() {
                    Ok(Some(Opened {
                        visible: seen.names(),
                        ..Opened::default()
                    }))
                } else {
                    Err(SpawnError::VaultNotUnlocked { now })
                };
            }
        };
        let mut opened = Opened {
            visible: seen.names(),
            ..Opened::default()
        };
        let mut values = self.set_values(call, agent, ring.as_ref(), set).await?;
        for row in seen.own.rows.iter().chain(&seen.shared.rows) {
            self.redact(ring.as_ref(), row, &mut opened);
        }
        opened.unopened += seen.own.unbelievable.len() + seen.shared.unbelievable.len();
        for (name, row) in &set.names {
            let row = row.as_ref().expect("what cannot be believed was refused");
            let live = row.usable().expect("what does not open was refused");
            let value = values.remove(name).expect("it was opened");
            opened.generations.push((name.clone(), live.body.generation));
            opened.places.push(row.place.clone());
            opened.env.push((name.clone(), value));
        }
        Ok(Some(opened))
    }

    /// The values of the set; every name that does not open is told at once.
    async fn set_values(
        &self,
        call: &Call,
        agent: &AgentAt,
        ring: Option<&Ring>,
        set: &Set,
    ) -> Result<BTreeMap<SecretName, Secret>, SpawnError> {
        let mut values = BTreeMap::new();
        let mut names = Vec::new();
        for (name, row) in &set.names {
            let live = row.as_ref().and_then(|row| row.usable().map(|live| (row, live)));
            match live.and_then(|(row, live)| self.open_live(ring, &row.place, live)) {
                Some(value) => drop(values.insert(name.clone(), value)),
                None => names.push(name.clone()),
            }
        }
        if names.is_empty() {
            return Ok(values);
        }
        self.count_refused_spawn();
        let mut batch = self.namespace().batch();
        let change = Change::Unreadable {
            agent: agent.id.clone(),
            names: names.clone(),
        };
        call.journal.tenant(&mut batch, &change);
        if batch.writes() {
            self.namespace().commit(batch).await.map_err(RecordError::from)?;
        }
        Err(SpawnError::Unreadable { names })
    }

    /// Everything of the row that the run may leak: the value in force and those it replaced.
    fn redact(&self, ring: Option<&Ring>, row: &SecretRow, opened: &mut Opened) {
        let live = row.usable().map(|live| &live.body);
        let bodies = live
            .into_iter()
            .chain(row.retired.iter().map(|retired| &retired.body));
        let bodies: Vec<&Body> = bodies.collect();
        for body in bodies {
            match ring.and_then(|ring| ring.open(&row.place, body).ok()) {
                Some(value) => {
                    self.registrar().opened(row.place.name(), &value);
                    // A value too short to be scrubbed was accepted as such.
                    opened
                        .redactions
                        .extend(Redaction::new(row.place.name().clone(), value));
                }
                None => opened.unopened += 1,
            }
        }
    }
}
