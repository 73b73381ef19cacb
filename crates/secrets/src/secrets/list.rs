//! Listing: metadata, in any state of the vault.

use std::collections::BTreeMap;

use dormouse_filesystem::{Issue, Segment};

use super::Secrets;
use super::open::not_found;
use super::rows::{Row, Under};
use crate::attempts::ATTEMPTS;
use crate::place::{Place, name_of, range_of};
use crate::ring::OpenImport;
use crate::row::SecretRow;
use crate::vault::{VaultEvent, VaultState};
use crate::{AgentAt, AgentId, SecretCategory, SecretError, SecretMeta, SecretName, SecretRef};

/// Which secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All of the tenant and its living agents.
    All,
    /// The tenant's.
    Shared,
    /// One agent's.
    Agent(AgentId),
}

/// How many secrets there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsStatus {
    /// How the vault is.
    pub vault: VaultState,
    /// Secrets of the tenant.
    pub shared: usize,
    /// Secrets of living agents.
    pub of_agents: usize,
    /// Those of both that are too short to be scrubbed.
    pub unscrubbed: usize,
    /// Spawns that were refused because a secret of their set did not open, since this [`Secrets`] was made, its clones
    /// counted in.
    pub refused_spawns: u64,
}

/// Whether an agent gets a secret into its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usable {
    /// It does.
    Yes,
    /// It serves consumers inside the program alone.
    SystemOnly,
    /// It does not open, or cannot be believed.
    Unreadable,
    /// The vault is not unlocked: nobody knows.
    NotUnlocked,
}

/// A name that an agent sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The row that wins.
    pub at: SecretRef,
    /// Its category; `None` when the row cannot be believed.
    pub category: Option<SecretCategory>,
    /// Whether it hides one of the tenant of that name.
    pub shadows: bool,
    /// Whether it comes into the environment.
    pub usable: Usable,
}

impl Secrets {
    /// What is known of the secrets, by scope and name. Rows that cannot be believed are left out.
    ///
    /// # Errors
    /// As any read.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<SecretMeta>, SecretError> {
        for _ in 0..ATTEMPTS {
            let under = self.under().await?;
            let rows = self.rows_of(filter, under.import()).await?;
            if !self.is_still(&under).await? {
                continue;
            }
            let days = self.used_days(&range_of_all(filter, &rows)).await?;
            let usable = rows.iter().filter(|row| row.usable().is_some());
            let known = usable.filter_map(|row| {
                Some(SecretMeta {
                    used_on: days.of(&row.place),
                    ..row.meta()?
                })
            });
            let mut found: Vec<SecretMeta> = known.collect();
            found.sort_by(|left, right| left.at.cmp(&right.at));
            return Ok(found);
        }
        Err(SecretError::contended())
    }

    async fn rows_of(&self, filter: &Filter, import: Option<&OpenImport>) -> Result<Vec<Row>, SecretError> {
        Ok(match filter {
            Filter::Shared => self.all_of(&range_of(None), import).await?.rows,
            Filter::Agent(id) => match self.living(id).await? {
                Some(agent) => self.all_of(&range_of(Some(&agent)), import).await?.rows,
                None => Vec::new(),
            },
            Filter::All => self.of_the_living(import).await?,
        })
    }

    async fn of_the_living(&self, import: Option<&OpenImport>) -> Result<Vec<Row>, SecretError> {
        let mut rows = self.all_of(&[], import).await?.rows;
        let mut lives: BTreeMap<AgentAt, bool> = BTreeMap::new();
        for agent in rows.iter().filter_map(|row| row.place.agent()) {
            if !lives.contains_key(agent) {
                let living = self.living(&agent.id).await?;
                lives.insert(agent.clone(), living.as_ref() == Some(agent));
            }
        }
        rows.retain(|row| row.place.agent().is_none_or(|agent| lives[agent]));
        Ok(rows)
    }

    /// What is known of one secret.
    ///
    /// # Errors
    /// `NotFound`, `Unreadable`; as any read.
    pub async fn info(&self, at: &SecretRef) -> Result<SecretMeta, SecretError> {
        let place = self.place(at).await?;
        let under = self.under().await?;
        let row = self.row(&place, under.import()).await?;
        let row = row.filter(|row| row.usable().is_some());
        let known = row.and_then(|row| row.meta()).ok_or_else(|| not_found(at))?;
        Ok(SecretMeta {
            used_on: self.used_day(&place).await?,
            ..known
        })
    }

    /// How many there are, and how the vault is.
    ///
    /// # Errors
    /// As any read.
    pub async fn status(&self) -> Result<SecretsStatus, SecretError> {
        let vault = self.vault().state().await?;
        let all = self.list(&Filter::All).await?;
        let shared = all
            .iter()
            .filter(|meta| meta.at.scope == crate::SecretScope::InstanceShared)
            .count();
        let unscrubbed = all.iter().filter(|meta| meta.unscrubbed).count();
        Ok(SecretsStatus {
            vault,
            shared,
            of_agents: all.len() - shared,
            unscrubbed,
            refused_spawns: self.refused_spawns(),
        })
    }

    /// The names that an agent sees, sorted: which row wins, what it hides, and whether it can be used. An agent that
    /// does not live sees none.
    ///
    /// # Errors
    /// As any read.
    pub async fn effective(&self, agent: &AgentId) -> Result<Vec<Effective>, SecretError> {
        let Some(agent) = self.living(agent).await? else {
            return Ok(Vec::new());
        };
        for _ in 0..ATTEMPTS {
            let under = self.under().await?;
            let found = self.effective_under(&agent, &under).await?;
            if self.is_still(&under).await? {
                return Ok(found);
            }
        }
        Err(SecretError::contended())
    }

    async fn effective_under(&self, agent: &AgentAt, under: &Under) -> Result<Vec<Effective>, SecretError> {
        let keys = match self.keys(VaultEvent::Value).await {
            Ok(keys) => Some(keys.ring(self.tenant())?),
            Err(SecretError::Sealed | SecretError::Locked) => None,
            Err(SecretError::Key(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let usable = |row: &SecretRow| match (&keys, row.usable()) {
            (_, None) => Usable::Unreadable,
            (_, Some(live)) if live.body.category == SecretCategory::System => Usable::SystemOnly,
            (None, Some(_)) => Usable::NotUnlocked,
            (Some(None), Some(_)) => Usable::Unreadable,
            (Some(Some(ring)), Some(live)) => match ring.open(&row.place, &live.body) {
                Ok(_) => Usable::Yes,
                Err(_) => Usable::Unreadable,
            },
        };
        let mut found: BTreeMap<SecretName, Effective> = BTreeMap::new();
        for owner in [None, Some(agent)] {
            let rows = self.all_of(&range_of(owner), under.import()).await?;
            let mut add = |place: Place, category, usable| {
                let shadows = owner.is_some() && found.contains_key(place.name());
                let row = Effective {
                    at: place.to_ref(),
                    category,
                    shadows,
                    usable,
                };
                found.insert(place.name().clone(), row);
            };
            for row in rows.rows.iter().filter(|row| row.usable().is_some()) {
                let category = row.live.as_ref().map(|live| live.body.category);
                add(row.place.clone(), category, usable(row));
            }
            for name in rows.issues.iter().filter_map(name_of_issue) {
                let place = owner.map_or_else(
                    || Place::Shared(name.clone()),
                    |agent| Place::Agent(agent.clone(), name.clone()),
                );
                add(place, None, Usable::Unreadable);
            }
        }
        Ok(found.into_values().collect())
    }
}

/// Where these rows are: those of an agent are in one range.
fn range_of_all(filter: &Filter, rows: &[Row]) -> Vec<Segment> {
    match filter {
        Filter::All => Vec::new(),
        Filter::Shared => range_of(None),
        Filter::Agent(_) => range_of(rows.first().and_then(|row| row.place.agent())),
    }
}

/// The name of a row that cannot be believed.
pub(crate) fn name_of_issue(issue: &Issue) -> Option<SecretName> {
    name_of(issue.id.rsplit('/').next()?)
}
