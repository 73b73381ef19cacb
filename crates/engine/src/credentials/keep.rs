//! Keeping the vault of a store over all its tenants: its start, new keys, and the end of what is over.

use dormouse_filesystem::Segment;
use dormouse_secrets::{Call, KeyError, Keyring, SecretError, SecretRef, VaultState, due};
use jiff::Timestamp;

use super::journal::of_no_tenant;
use crate::engine::{Engine, Tenant};
use crate::limits::PAGE_MAX;
use crate::{Principal, TenantId};

/// Pages of what is over that are taken away at once; the rest waits for the next time.
const ROUNDS_MAX: usize = 100;
/// How often a rekey tries to begin: the one before has to be ended first, and others may begin one meanwhile.
const BEGINS_MAX: usize = 8;

/// What new keys came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rekey {
    /// Slots whose keys open the vault no more.
    pub dropped: Vec<u32>,
    /// Secrets that were sealed anew.
    pub resealed: u64,
    /// Secrets that do not open: they were left, and so was the key they name.
    pub unreadable: Vec<SecretRef>,
    /// Tenants that have no new keys yet, and why. The same again goes on with them.
    pub failed: Vec<(TenantId, String)>,
    /// When the keys were made, if not by this call: a rekey begun before cannot be ended yet, and was gone on with.
    pub went_on: Option<Timestamp>,
}

/// A tenant that has no new keys yet, and why.
type Failed = (TenantId, SecretError);

impl Engine {
    /// Tries the sources of keys: at the start of a process that is to run workers. Where there is no vault, or no key
    /// fits, it is as it was.
    ///
    /// # Errors
    /// As any read and any commit.
    pub async fn start_vault(&self, by: &Principal) -> Result<VaultState, KeyError> {
        self.vault().start(&self.call_of_vault(by)).await
    }

    /// Gives the vault and every tenant new keys, and seals every secret anew. Cut anywhere, the same again goes on; the
    /// old root key is forgotten by a call at least a minute later, or by [`keep_vault`](Self::keep_vault).
    ///
    /// A rekey that was begun before is brought to its end, and then a new one begins. Within its first minute, and while
    /// a tenant fails, it cannot be ended: then it was gone on with, [`went_on`](Rekey::went_on) says so, and no newer keys
    /// were made. A tenant that fails holds up no other: [`failed`](Rekey::failed) names it.
    ///
    /// # Errors
    /// `Key(WrongKey)` when this key does not open the vault, `Key(Rotating)`: nothing was changed. `Sealed`, `Locked`; as
    /// any write: the same again goes on.
    pub async fn rekey(&self, by: &Principal, keyring: &dyn Keyring) -> Result<Rekey, SecretError> {
        let mut done = Rekey::default();
        for _ in 0..BEGINS_MAX {
            match self.vault().begin_rekey(&self.call_of_vault(by), keyring).await {
                Ok(dropped) => {
                    // Those of the one before may have been told to nobody.
                    let dropped = done.dropped.into_iter().chain(dropped).collect();
                    done = Rekey {
                        dropped,
                        ..Rekey::default()
                    };
                    self.go_on_rekeying(by, &mut done).await?;
                    return Ok(done);
                }
                Err(KeyError::Rekeying) => {}
                Err(error) => return Err(error.into()),
            }
            let Some(before) = self.vault().rekey_under_way().await? else {
                // It was ended just now.
                continue;
            };
            if done.went_on == Some(before.since) {
                return Ok(done);
            }
            done = Rekey {
                dropped: before.dropped,
                went_on: Some(before.since),
                ..Rekey::default()
            };
            self.go_on_rekeying(by, &mut done).await?;
        }
        Err(KeyError::Conflict.into())
    }

    /// What is to be done from time to time: a rekey that was cut goes on, and what is over of secrets, leases and
    /// credential sessions goes. Returns how many rows went.
    ///
    /// # Errors
    /// As any read and any commit; who is called again goes on. A tenant or a row that fails stops none of the others:
    /// the first failure is the answer, when all the rest is done.
    pub async fn keep_vault(&self) -> Result<usize, SecretError> {
        let by = Principal::engine();
        let rekeyed = self.keep_rekeying(&by).await;
        let retired = self.retire_secrets(&by).await;
        rekeyed.and(retired)
    }

    async fn keep_rekeying(&self, by: &Principal) -> Result<(), SecretError> {
        let is_open = self.vault().state().await? == VaultState::Unlocked;
        if !is_open || !self.vault().is_rekeying().await? {
            return Ok(());
        }
        let failed = self.rekey_tenants(by, &mut Rekey::default()).await?;
        match failed.into_iter().next() {
            Some((_, error)) => Err(error),
            None => self.end_rekey(by).await,
        }
    }

    async fn go_on_rekeying(&self, by: &Principal, done: &mut Rekey) -> Result<(), SecretError> {
        let failed = self.rekey_tenants(by, done).await?;
        let named = failed
            .iter()
            .map(|(name, error)| (name.clone(), error.to_string()));
        done.failed = named.collect();
        // Every secret is under its new key: nobody is told anything else because of an end that comes later.
        if failed.is_empty()
            && let Err(error) = self.end_rekey(by).await
        {
            tracing::warn!(%error, "the root key before is not forgotten yet");
        }
        Ok(())
    }

    /// Gives new keys to each tenant that has none yet. Returns those that fail.
    async fn rekey_tenants(&self, by: &Principal, done: &mut Rekey) -> Result<Vec<Failed>, SecretError> {
        let mut failed = Vec::new();
        for name in self.vault().tenants_to_rekey(self.system()).await? {
            let Ok(id) = name.as_str().parse::<TenantId>() else {
                continue;
            };
            let tenant = self.tenant_unmade(&id);
            let call = tenant.credentials.call(by);
            match tenant.credentials.secrets().rekey(&call).await {
                Ok(rekeyed) => {
                    done.resealed += rekeyed.resealed;
                    done.unreadable.extend(rekeyed.unreadable);
                }
                // So would all the others.
                Err(error @ (SecretError::Sealed | SecretError::Locked)) => return Err(error),
                Err(error) => {
                    tracing::warn!(tenant = %id, %error, "a tenant has no new keys yet");
                    failed.push((id, error));
                }
            }
        }
        Ok(failed)
    }

    /// Not before each tenant is done: until then it is known that a rekey has to go on.
    async fn end_rekey(&self, by: &Principal) -> Result<(), SecretError> {
        let call = self.call_of_vault(by);
        self.vault().end_rekey(&call, self.system()).await.map(drop)
    }

    async fn retire_secrets(&self, by: &Principal) -> Result<usize, SecretError> {
        let (mut count, mut failed) = (0, Ok(()));
        for _ in 0..ROUNDS_MAX {
            let over = due(self.system(), self.environment().clock.now(), PAGE_MAX).await?;
            let (found, before) = (over.len(), count);
            for (name, row) in over {
                let Some(tenant) = self.named(&name) else {
                    continue;
                };
                let call = tenant.credentials.call(by);
                match tenant.credentials.secrets().retire(&call, &row).await {
                    Ok(()) => count += 1,
                    Err(error) => {
                        tracing::warn!(tenant = %name, ?row, %error, "what is over of secrets is still there");
                        failed = failed.and(Err(error));
                    }
                }
            }
            // Those that failed are found again.
            if found < PAGE_MAX || count == before {
                break;
            }
        }
        failed.map(|()| count)
    }

    /// A tenant by the name in a key.
    fn named(&self, tenant: &Segment) -> Option<Tenant> {
        Some(self.tenant_unmade(&tenant.as_str().parse().ok()?))
    }

    /// A call that changes the vault, which is no tenant's.
    fn call_of_vault(&self, by: &Principal) -> Call {
        self.tenant_unmade(&of_no_tenant()).credentials.call(by)
    }
}
