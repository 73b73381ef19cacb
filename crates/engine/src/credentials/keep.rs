//! Keeping the vault of a store over all its tenants: its start, new keys, and the end of what is over.

use dormouse_filesystem::Segment;
use dormouse_secrets::{Call, KeyError, Keyring, SecretError, SecretRef, VaultState, due};

use super::journal::of_no_tenant;
use crate::Principal;
use crate::engine::{Engine, Tenant};
use crate::limits::PAGE_MAX;

/// Pages of what is over that are taken away at once; the rest waits for the next time.
const ROUNDS_MAX: usize = 100;

/// What new keys came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rekey {
    /// Slots whose keys open the vault no more.
    pub dropped: Vec<u32>,
    /// Secrets that were sealed anew.
    pub resealed: u64,
    /// Secrets that do not open: they were left, and so was the key they name.
    pub unreadable: Vec<SecretRef>,
}

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
    /// # Errors
    /// `Key(WrongKey)` when this key does not open the vault; `Sealed`, `Locked`; as any write. Of a tenant that fails:
    /// the others are done all the same, and the first failure is the answer.
    pub async fn rekey(&self, by: &Principal, keyring: &dyn Keyring) -> Result<Rekey, SecretError> {
        let mut done = Rekey::default();
        match self.vault().begin_rekey(&self.call_of_vault(by), keyring).await {
            Ok(dropped) => done.dropped = dropped,
            Err(KeyError::Rekeying) => {}
            Err(error) => return Err(error.into()),
        }
        self.go_on_rekeying(by, &mut done).await?;
        Ok(done)
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
        if is_open && self.vault().is_rekeying().await? {
            self.go_on_rekeying(by, &mut Rekey::default()).await?;
        }
        Ok(())
    }

    async fn go_on_rekeying(&self, by: &Principal, done: &mut Rekey) -> Result<(), SecretError> {
        let vault = self.vault();
        let mut failed = Ok(());
        for name in vault.tenants_to_rekey(self.system()).await? {
            let Some(tenant) = self.named(&name) else {
                continue;
            };
            let call = tenant.credentials.call(by);
            match tenant.credentials.secrets().rekey(&call).await {
                Ok(rekeyed) => {
                    done.resealed += rekeyed.resealed;
                    done.unreadable.extend(rekeyed.unreadable);
                }
                // So would all the others.
                Err(error @ (SecretError::Sealed | SecretError::Locked)) => return Err(error),
                Err(error) => {
                    tracing::warn!(tenant = %name, %error, "a tenant has no new keys yet");
                    failed = failed.and(Err(error));
                }
            }
        }
        // Not before each of them is done: until then it is known that a rekey has to go on.
        failed?;
        vault
            .end_rekey(&self.call_of_vault(by), self.system())
            .await
            .map(drop)
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
