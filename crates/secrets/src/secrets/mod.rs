//! The secrets of one tenant: the verbs.

mod delete;
mod list;
mod open;
mod put;
mod quarantine;
mod rekey;
mod resolve;
mod retire;
mod rows;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dormouse_filesystem::{Namespace, Records, Tenant};

pub use delete::Deletion;
pub(crate) use list::name_of_issue;
pub use list::{Effective, Filter, SecretsStatus, Usable};
pub(crate) use open::{Keys, is_unbelievable, of_row, unreadable};
pub use put::check_name;
pub use put::{Done, Expect};
pub(crate) use put::{check_meta, check_value, replaced};
pub use quarantine::OnAgentDelete;
pub use rekey::Rekeyed;
pub(crate) use rekey::place_of_issue;
pub(crate) use resolve::Winner;
pub use retire::{Due, due};
pub(crate) use rows::{Going, Row, Under};

use crate::lease::{LeaseRow, SessionRow};
use crate::migrate::{MigrationRow, QuarantineRow};
use crate::place::{Agents, Place};
use crate::ring::RingRow;
use crate::row::SecretRow;
use crate::used::{UsedRow, Uses};
use crate::vault::Vault;
use crate::{Secret, SecretError, SecretName, SecretRef, SecretScope};

/// Most secrets of one scope.
pub const PER_SCOPE_MAX: usize = 256;

/// Is told each value before anybody has it: what scrubs the program's own logs and panics.
pub trait Registrar: fmt::Debug + Send + Sync + 'static {
    /// This value is open in this process from here on.
    fn opened(&self, name: &SecretName, value: &Secret);
}

/// Tells nobody: for programs that write no logs of their own.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRegistrar;

impl Registrar for NoRegistrar {
    fn opened(&self, _name: &SecretName, _value: &Secret) {}
}

/// The secrets of one tenant. A clone is the same.
#[derive(Clone)]
pub struct Secrets(Arc<Inner>);

struct Inner {
    vault: Vault,
    tenant: String,
    rows: Records<SecretRow>,
    rings: Records<RingRow>,
    leases: Records<LeaseRow>,
    sessions: Records<SessionRow>,
    used: Records<UsedRow>,
    aside: Records<QuarantineRow>,
    migrations: Records<MigrationRow>,
    agents: Arc<dyn Agents>,
    registrar: Arc<dyn Registrar>,
    /// What was used and is not written yet.
    uses: Uses,
    /// Spawns that were refused since this was made, because a secret of their set did not open.
    refused_spawns: AtomicU64,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({:?})", self.0.rows.namespace())
    }
}

impl Secrets {
    /// The secrets of this tenant, under this vault.
    #[must_use]
    pub fn new(
        vault: &Vault,
        tenant: &Namespace<Tenant>,
        agents: Arc<dyn Agents>,
        registrar: Arc<dyn Registrar>,
    ) -> Self {
        let name = tenant
            .root()
            .segments()
            .nth(1)
            .expect("a tenant's root is t/<tenant>");
        Self(Arc::new(Inner {
            vault: vault.clone(),
            tenant: name.to_owned(),
            rows: Records::new(tenant),
            rings: Records::new(tenant),
            leases: Records::new(tenant),
            sessions: Records::new(tenant),
            used: Records::new(tenant),
            aside: Records::new(tenant),
            migrations: Records::new(tenant),
            agents,
            registrar,
            uses: Uses::default(),
            refused_spawns: AtomicU64::new(0),
        }))
    }

    /// The vault they are under.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.0.vault
    }

    pub(crate) fn rows(&self) -> &Records<SecretRow> {
        &self.0.rows
    }

    pub(crate) fn rings(&self) -> &Records<RingRow> {
        &self.0.rings
    }

    pub(crate) fn leases(&self) -> &Records<LeaseRow> {
        &self.0.leases
    }

    pub(crate) fn sessions(&self) -> &Records<SessionRow> {
        &self.0.sessions
    }

    pub(crate) fn used_rows(&self) -> &Records<UsedRow> {
        &self.0.used
    }

    pub(crate) fn uses(&self) -> &Uses {
        &self.0.uses
    }

    pub(crate) fn set_aside_rows(&self) -> &Records<QuarantineRow> {
        &self.0.aside
    }

    pub(crate) fn migrations(&self) -> &Records<MigrationRow> {
        &self.0.migrations
    }

    pub(crate) fn tenant(&self) -> &str {
        &self.0.tenant
    }

    pub(crate) fn namespace(&self) -> &Namespace<Tenant> {
        self.0.rows.namespace()
    }

    /// One more spawn was refused, because a secret of its set did not open.
    pub(crate) fn count_refused_spawn(&self) {
        self.0.refused_spawns.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused_spawns(&self) -> u64 {
        self.0.refused_spawns.load(Ordering::Relaxed)
    }

    pub(crate) fn registrar(&self) -> &Arc<dyn Registrar> {
        &self.0.registrar
    }

    /// Where a reference leads: the row of the living agent. None lives, and it is not found.
    pub(crate) async fn place(&self, at: &SecretRef) -> Result<Place, SecretError> {
        match &at.scope {
            SecretScope::InstanceShared => Ok(Place::Shared(at.name.clone())),
            SecretScope::Agent(id) => {
                let agent = self
                    .living(id)
                    .await?
                    .ok_or_else(|| SecretError::NotFound { at: at.clone() })?;
                Ok(Place::Agent(agent, at.name.clone()))
            }
        }
    }

    pub(crate) async fn living(&self, id: &crate::AgentId) -> Result<Option<crate::AgentAt>, SecretError> {
        let living = self.0.agents.living(id).await;
        let living = living.map_err(|error| SecretError::Store(Box::new(error.into())))?;
        Ok(living.map(|incarnation| crate::AgentAt {
            id: id.clone(),
            incarnation,
        }))
    }
}
