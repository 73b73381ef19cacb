//! What an agent leaves behind: set aside when it ends, and given to the one that lives now when somebody says so.

use dormouse_filesystem::{PAGE_MAX, RecordError, Versioned};

use super::open::unreadable;
use super::put::replaced;
use super::rows::Going;
use super::{Keys, Secrets};
use crate::attempts::{ATTEMPTS, is_conflict};
use crate::place::{Place, range_of};
use crate::row::{QUARANTINE_FOR, SecretRow};
use crate::sealing::Sealing;
use crate::{AgentAt, Call, Change, SecretError, SecretName};

/// Rows of one commit.
const PAGE: usize = 100;

/// What becomes of the secrets of an agent that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnAgentDelete {
    /// They are set aside for 7 days.
    Quarantine,
    /// They go with it.
    Destroy,
}

impl Secrets {
    /// Sets aside, or destroys, the secrets of an incarnation that ended; in any state of the vault. It may be
    /// repeated, and cut anywhere: a row that it did not reach serves nobody, since no living agent has that
    /// incarnation. Returns how many rows it changed.
    ///
    /// # Errors
    /// As any write.
    pub async fn agent_ended(
        &self,
        call: &Call,
        agent: &AgentAt,
        what: OnAgentDelete,
    ) -> Result<u64, SecretError> {
        let range = range_of(Some(agent));
        let (mut count, mut after) = (0, None);
        // Ends with the last page: an incarnation that ended gets no new rows.
        loop {
            let page = self.rows().range(&range, after.as_ref(), PAGE).await?;
            count += self.set_aside(call, agent, &page.rows, what).await?;
            after = page.next;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    async fn set_aside(
        &self,
        call: &Call,
        agent: &AgentAt,
        rows: &[Versioned<SecretRow>],
        what: OnAgentDelete,
    ) -> Result<u64, SecretError> {
        let mut batch = self.namespace().batch();
        let mut count = 0;
        for row in rows {
            match what {
                OnAgentDelete::Quarantine if row.live.is_some() && row.quarantined_until.is_none() => {
                    let until = Some(call.now + QUARANTINE_FOR);
                    let aside = SecretRow {
                        quarantined_until: until,
                        ..SecretRow::clone(row)
                    };
                    self.rows().stage_replace(&mut batch, row, &aside).await?;
                    count += 1;
                }
                OnAgentDelete::Quarantine if row.live.is_some() => {}
                OnAgentDelete::Quarantine | OnAgentDelete::Destroy => {
                    self.rows().stage_remove(&mut batch, row).await?;
                    self.stage_unused(&mut batch, &row.place).await?;
                    count += 1;
                }
            }
        }
        if count > 0 {
            let (agent, incarnation) = (agent.id.clone(), agent.incarnation);
            call.journal.tenant(
                &mut batch,
                &Change::Quarantined {
                    agent,
                    incarnation,
                    count,
                },
            );
            self.namespace().commit(batch).await.map_err(RecordError::from)?;
        }
        Ok(count)
    }

    /// Seals the secrets of an ended incarnation anew for the living agent of that id. A name that it has by now
    /// stays as it is, and its old row where it was. Returns the names it has again.
    ///
    /// # Errors
    /// `Sealed`, `Locked`, `Unreadable` for the first row that does not open, `Conflict` for one that others changed
    /// each time; those before it are restored.
    pub async fn restore(
        &self,
        call: &Call,
        ended: &AgentAt,
        living: &AgentAt,
    ) -> Result<Vec<SecretName>, SecretError> {
        let page = self.rows().range(&range_of(Some(ended)), None, PAGE_MAX).await?;
        let mut names = Vec::new();
        for row in page.rows {
            let place = Place::Agent(living.clone(), row.place.name().clone());
            if self.restore_row(call, &row.place, &place).await? {
                names.push(place.name().clone());
            }
        }
        Ok(names)
    }

    /// Says whether there was something to restore.
    async fn restore_row(&self, call: &Call, from: &Place, to: &Place) -> Result<bool, SecretError> {
        for _ in 0..ATTEMPTS {
            match self.restore_one(call, from, to).await {
                Err(SecretError::Conflict { .. }) => {}
                done => return done,
            }
        }
        Err(SecretError::Conflict { at: to.to_ref() })
    }

    async fn restore_one(&self, call: &Call, from: &Place, place: &Place) -> Result<bool, SecretError> {
        // Before the row: what a rekey has sealed anew since then is read again.
        let keys: Keys = self.keys(crate::VaultEvent::Value).await?;
        let row = self.row(from, None).await?;
        let Some((row, live)) = row.as_ref().and_then(|row| Some((row.raw(), row.live.as_ref()?))) else {
            return Ok(false);
        };
        if self.no_import(call, keys.import()).await? == Going::Again {
            return Err(SecretError::Conflict { at: place.to_ref() });
        }
        let there = self.row(place, None).await?;
        if there.as_ref().is_some_and(|there| there.live.is_some()) {
            return Ok(false);
        }
        let mut batch = self.namespace().batch();
        let ring = self.ring_for_put(&keys, &mut batch)?;
        let Ok(value) = ring.open(from, &live.body) else {
            let error = unreadable(from);
            return Err(match self.may_open_now(&keys, &error).await? {
                true => SecretError::Conflict { at: place.to_ref() },
                false => error,
            });
        };
        self.registrar().opened(place.name(), &value);
        let generation = 1 + row
            .generation
            .max(there.as_ref().map_or(0, |there| there.generation));
        let sealing = Sealing {
            value: &value,
            category: live.body.category,
            origins: &live.body.origins,
            note: &live.note,
            created_at: live.created_at,
            updated_at: live.updated_at,
            times_known: live.times_known,
        };
        let live = ring.live(place, generation, &sealing, self.vault().random())?;
        let new = replaced(place, there.as_deref(), generation, live, call.now);
        match &there {
            Some(there) => self.rows().stage_replace(&mut batch, there.raw(), &new).await?,
            None => self.rows().stage_create(&mut batch, &new)?,
        }
        self.rows().stage_remove(&mut batch, row).await?;
        self.stage_unused(&mut batch, from).await?;
        let agent = place.agent().expect("it is an agent's").id.clone();
        let names = vec![place.name().clone()];
        call.journal
            .tenant(&mut batch, &Change::Restored { agent, names });
        match self.namespace().commit(batch).await.map_err(RecordError::from) {
            Ok(_) => Ok(true),
            Err(error) if is_conflict(&error) => Err(SecretError::Conflict { at: place.to_ref() }),
            Err(error) => Err(error.into()),
        }
    }
}
