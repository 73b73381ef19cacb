//! Using a lease: the value is opened in memory, the use committed, and only then handed out.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::{Cause, Holder, LeaseDecision, LeaseEvent, LeaseId, LeaseRow, LeaseStatus, Uses, decide_lease};
use crate::attempts::ATTEMPTS;
use crate::secrets::{Secrets, unreadable};
use crate::vault::VaultEvent;
use crate::{Call, Change, LeaseError, Redaction, Secret, SecretError, SecretName};

/// How long a value of an unlimited lease may be shown before it must be used again.
pub const UNLIMITED_FRESH: SignedDuration = SignedDuration::from_secs(60);

/// A value that was handed out.
pub struct Lease {
    name: SecretName,
    value: Secret,
    generation: u64,
    until: Timestamp,
}

/// The value may not be shown any more: use the lease again, or ask for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value could be shown until {until}")]
pub struct LeaseExpired {
    /// Until when it could.
    pub until: Timestamp,
}

impl Lease {
    /// The value, while it may be shown.
    ///
    /// # Errors
    /// [`LeaseExpired`] at the lease's expiry, of an unlimited one after [`UNLIMITED_FRESH`].
    pub fn expose(&self, now: Timestamp) -> Result<&Secret, LeaseExpired> {
        if now < self.until {
            Ok(&self.value)
        } else {
            Err(LeaseExpired { until: self.until })
        }
    }

    /// Which generation it is.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What a redaction set takes so that the value never leaves with a text; `None` for a value so short that it
    /// was accepted as unscrubbed.
    #[must_use]
    pub fn redaction(&self) -> Option<Redaction> {
        Redaction::new(self.name.clone(), self.value.duplicate()).ok()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({}, generation {}, ***)", self.name, self.generation)
    }
}

/// What an update of a lease came to.
enum Told {
    HandOut,
    Refuse(LeaseError),
}

impl Secrets {
    /// Uses a lease. Killed between the commit and the return, the use is spent and nobody saw the value. An
    /// unlimited lease writes nothing.
    ///
    /// # Errors
    /// `Unknown` for another's as for none; `Consumed`, `Revoked`, `Expired`; `Secret(NotFound)` once for a deleted
    /// secret, which revokes it; `Secret(Unreadable | Sealed | Locked)`, which leave it as it is. `Indeterminate`
    /// hands out nothing.
    pub async fn use_lease(&self, call: &Call, id: LeaseId, by: &Holder) -> Result<Lease, LeaseError> {
        let row = self.own_lease(id, by).await?;
        match decide_lease(row.status, row.use_at(call.now)) {
            LeaseDecision::HandOut(_) | LeaseDecision::HandOutUnwritten => {}
            LeaseDecision::Become(..) => return Err(self.told(call, id, LeaseEvent::UseLate).await?),
            LeaseDecision::Refuse(_) | LeaseDecision::Ignore(_) | LeaseDecision::Remove => {
                return Err(row.refusal());
            }
        }
        let (value, generation) = match self.value_of(&row).await {
            Ok(opened) => opened,
            Err(SecretError::NotFound { at }) => {
                return Err(match self.told(call, id, LeaseEvent::UseDeleted).await? {
                    LeaseError::Revoked {
                        cause: Cause::Deleted,
                    } => SecretError::NotFound { at }.into(),
                    other => other,
                });
            }
            Err(error) => return Err(error.into()),
        };
        let until = match row.uses {
            Uses::Unlimited => row.expires_at.min(call.now + UNLIMITED_FRESH),
            Uses::Once | Uses::Times(_) => {
                self.spend(call, id).await?;
                row.expires_at
            }
        };
        self.note_use(&row.place, generation, call.now);
        Ok(Lease {
            name: row.place.name().clone(),
            value,
            generation,
            until,
        })
    }

    pub(super) async fn own_lease(
        &self,
        id: LeaseId,
        by: &Holder,
    ) -> Result<dormouse_filesystem::Versioned<LeaseRow>, LeaseError> {
        let row = self.leases().get(&id).await?;
        row.filter(|row| row.holder == *by).ok_or(LeaseError::Unknown)
    }

    async fn value_of(&self, row: &LeaseRow) -> Result<(Secret, u64), SecretError> {
        let at = || row.place.to_ref();
        for _ in 0..ATTEMPTS {
            let keys = self.keys(VaultEvent::Value).await?;
            let secret = self.live_row(&row.place, keys.import()).await?;
            let secret = secret.ok_or_else(|| SecretError::NotFound { at: at() })?;
            let live = secret.usable().expect("only rows with a value in force");
            let ring = keys.ring(self.tenant())?;
            if let Some(value) = self.open_live(ring.as_ref(), &row.place, live) {
                return Ok((value, live.body.generation));
            }
            let error = unreadable(&row.place);
            if !self.may_open_now(&keys, &error).await? {
                return Err(error);
            }
        }
        Err(SecretError::Conflict { at: at() })
    }

    /// Counts one use, by whatever the row is at the commit.
    async fn spend(&self, call: &Call, id: LeaseId) -> Result<(), LeaseError> {
        let now = call.now;
        let update = move |row: &LeaseRow, _: &mut _| {
            Ok::<_, LeaseError>(match decide_lease(row.status, row.use_at(now)) {
                LeaseDecision::HandOut(LeaseStatus::Active) => (
                    LeaseRow {
                        used: row.used + 1,
                        ..row.clone()
                    },
                    Told::HandOut,
                ),
                LeaseDecision::HandOut(status) => {
                    let spent = LeaseRow {
                        used: row.used + 1,
                        ..row.ended(status, None, now)
                    };
                    (spent, Told::HandOut)
                }
                LeaseDecision::Become(status, cause) => {
                    let ended = row.ended(status, cause, now);
                    let told = Told::Refuse(ended.refusal());
                    (ended, told)
                }
                LeaseDecision::HandOutUnwritten => (row.clone(), Told::HandOut),
                LeaseDecision::Refuse(_) | LeaseDecision::Ignore(_) | LeaseDecision::Remove => {
                    (row.clone(), Told::Refuse(row.refusal()))
                }
            })
        };
        let changed = self
            .leases()
            .update(&id, update)
            .await?
            .ok_or(LeaseError::Unknown)?;
        match changed.outcome {
            Told::HandOut => Ok(()),
            Told::Refuse(error) => Err(error),
        }
    }

    /// Lets an event happen that hands out nothing; what the user is told.
    pub(super) async fn told(
        &self,
        call: &Call,
        id: LeaseId,
        event: LeaseEvent,
    ) -> Result<LeaseError, LeaseError> {
        let (now, journal) = (call.now, std::sync::Arc::clone(&call.journal));
        let update = move |row: &LeaseRow, batch: &mut _| {
            let LeaseDecision::Become(status, cause) = decide_lease(row.status, event) else {
                return Ok::<_, LeaseError>((row.clone(), row.refusal()));
            };
            let ended = row.ended(status, cause, now);
            if let Some(cause) = cause {
                let at = Some(row.place.to_ref());
                journal.tenant(
                    batch,
                    &Change::LeaseRevoked {
                        lease: row.id,
                        at,
                        cause,
                    },
                );
            }
            let refusal = ended.refusal();
            Ok((ended, refusal))
        };
        let changed = self.leases().update(&id, update).await?;
        Ok(changed.map_or(LeaseError::Unknown, |changed| changed.outcome))
    }
}
