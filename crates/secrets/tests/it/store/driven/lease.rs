//! The table of a lease.

use dormouse_filesystem::Entry;
use dormouse_secrets::{
    Deletion, Due, Holder, LeaseDecision, LeaseError, LeaseEvent, LeaseId, LeaseOptions, LeaseRow,
    LeaseStatus, Left, Purpose, SecretCategory, SecretError, Uses, due,
};
use jiff::SignedDuration;

use super::super::house::{DAY, House, at};
use super::super::tables;
use super::{edit, row};

/// When a lease of these tests expires, in seconds.
const EXPIRY: i64 = 900;

/// What was done to a lease.
#[derive(Debug)]
enum Answer {
    /// A use handed out the value.
    Used,
    /// A use got nothing.
    Refused(LeaseError),
    /// What is no use was done.
    Done,
}

/// A lease on a secret of its own, of a holder of its own.
struct Cell<'a> {
    house: &'a House,
    number: usize,
    id: LeaseId,
    holder: Holder,
}

impl<'a> Cell<'a> {
    async fn new(house: &'a House, number: usize, status: LeaseStatus, event: LeaseEvent) -> Self {
        let reference = format!("shared:K_{number}");
        house
            .put(&reference, "the value of K", SecretCategory::Tool)
            .await;
        let uses = match event {
            LeaseEvent::Use(Left::More) => Uses::Times(3),
            LeaseEvent::Use(Left::Unlimited) => Uses::Unlimited,
            LeaseEvent::Use(Left::Last)
            | LeaseEvent::UseLate
            | LeaseEvent::UseDeleted
            | LeaseEvent::UseUnreadable
            | LeaseEvent::Revoke
            | LeaseEvent::HolderEnded
            | LeaseEvent::Elapsed => Uses::Once,
        };
        let ttl = SignedDuration::from_secs(EXPIRY);
        let holder = Holder::Run(format!("run_{number}"));
        let (call, options) = (house.call(0), LeaseOptions { uses, ttl });
        let granted = house
            .secrets
            .lease(&call, &at(&reference), &Purpose::Reference, &holder, options)
            .await
            .unwrap();
        let id = granted.id();
        let cell = Self {
            house,
            number,
            id,
            holder,
        };
        cell.brought_to(status, uses).await;
        let there = row::<LeaseRow>(&cell.stored().await.unwrap());
        assert_eq!(there.status, status);
        cell
    }

    async fn brought_to(&self, status: LeaseStatus, uses: Uses) {
        match (status, uses) {
            (LeaseStatus::Active, _) => {}
            (LeaseStatus::Consumed, Uses::Once) => self.used(1).await.unwrap(),
            // No verb spends a lease that has uses left.
            (LeaseStatus::Consumed, Uses::Times(_) | Uses::Unlimited) => {
                edit(self.house, &self.key(), |row| {
                    row["status"] = "consumed".into();
                    row["ended_at"] = row["granted_at"].clone();
                })
                .await;
            }
            (LeaseStatus::Revoked, _) => self.revoked(1).await,
            (LeaseStatus::Expired, _) => {
                let late = self.used(EXPIRY).await;
                assert!(matches!(late, Err(LeaseError::Expired { .. })), "{late:?}");
            }
        }
    }

    fn key(&self) -> String {
        format!("t/acme/r/secret_lease/{}", self.id)
    }

    async fn stored(&self) -> Option<Entry> {
        self.house.stored(&self.key()).await
    }

    async fn used(&self, seconds: i64) -> Result<(), LeaseError> {
        let call = self.house.call(seconds);
        let lease = self.house.secrets.use_lease(&call, self.id, &self.holder).await?;
        let value = lease.expose(call.now).unwrap();
        assert_eq!(value.expose_text(), Some("the value of K"));
        Ok(())
    }

    async fn answer_of_use(&self, seconds: i64) -> Answer {
        self.used(seconds)
            .await
            .map_or_else(Answer::Refused, |()| Answer::Used)
    }

    async fn revoked(&self, seconds: i64) {
        let call = self.house.call(seconds);
        let revoked = self.house.secrets.revoke_lease(&call, self.id, &self.holder);
        revoked.await.unwrap();
    }

    async fn holder_ended(&self) {
        let mut batch = self.house.namespace().batch();
        let (secrets, call) = (&self.house.secrets, self.house.call(2));
        let run = format!("run_{}", self.number);
        secrets.stage_run_ended(&call, &mut batch, &run).await.unwrap();
        if batch.writes() {
            self.house.namespace().commit(batch).await.unwrap();
        }
    }

    /// The vault is locked, then open and the row damaged: each of them is one.
    async fn use_unreadable(&self) -> Answer {
        let house = self.house;
        house.vault.lock(&house.call(2)).await.unwrap();
        let locked = self.answer_of_use(2).await;
        house.vault.unlock(&house.call(2), &house.key(1)).await.unwrap();
        let key = format!("t/acme/r/secret/shared/k_{}", self.number);
        let original = house.stored(&key).await.unwrap();
        house.write(&key, &original, b"{".to_vec()).await;
        let damaged = self.answer_of_use(2).await;
        house.write(&key, &original, original.value.to_vec()).await;
        let (Answer::Refused(locked), Answer::Refused(damaged)) = (locked, damaged) else {
            panic!("a value was handed out")
        };
        assert_eq!(reason(&locked), reason(&damaged));
        Answer::Refused(damaged)
    }

    /// A day goes by since its end; since its beginning, if it has none.
    async fn elapsed(&self) {
        let ended = row::<LeaseRow>(&self.stored().await.unwrap()).ended_at;
        let from = ended.unwrap_or(self.house.call(0).now);
        let after = |seconds: i64| from + SignedDuration::from_secs(seconds);
        let over = Due::Lease(self.id);
        let is_due = async |seconds| {
            let due = due(&self.house.system, after(seconds), 1000).await.unwrap();
            due.iter().any(|(_, due)| *due == over)
        };
        assert!(!is_due(DAY - 1).await, "not before");
        assert_eq!(is_due(DAY + 1).await, ended.is_some());
        let call = dormouse_secrets::Call::at(after(DAY + 1));
        self.house.secrets.retire(&call, &over).await.unwrap();
    }

    async fn act(&self, event: LeaseEvent) -> Answer {
        let house = self.house;
        match event {
            LeaseEvent::Use(_) => self.answer_of_use(2).await,
            LeaseEvent::UseLate => self.answer_of_use(EXPIRY + 1).await,
            LeaseEvent::UseDeleted => {
                let (call, secret) = (house.call(2), at(&format!("shared:K_{}", self.number)));
                house
                    .secrets
                    .delete(&call, &secret, &Deletion::Force)
                    .await
                    .unwrap();
                self.answer_of_use(2).await
            }
            LeaseEvent::UseUnreadable => self.use_unreadable().await,
            LeaseEvent::Revoke => {
                self.revoked(2).await;
                Answer::Done
            }
            LeaseEvent::HolderEnded => {
                self.holder_ended().await;
                Answer::Done
            }
            LeaseEvent::Elapsed => {
                self.elapsed().await;
                Answer::Done
            }
        }
    }

    async fn decided(&self, event: LeaseEvent) -> LeaseDecision {
        let before = self.stored().await.unwrap();
        let answer = self.act(event).await;
        let Some(after) = self.stored().await else {
            return LeaseDecision::Remove;
        };
        let is_as_before = after.version == before.version;
        let (was, is) = (row::<LeaseRow>(&before), row::<LeaseRow>(&after));
        let ends = is.status != was.status;
        assert_eq!(ends, is.ended_at != was.ended_at, "its end has a time");
        match answer {
            Answer::Used if is_as_before => LeaseDecision::HandOutUnwritten,
            Answer::Used => {
                assert_eq!(is.used, was.used + 1);
                LeaseDecision::HandOut(is.status)
            }
            Answer::Refused(error) if ends => {
                told_why(event, &error);
                LeaseDecision::Become(is.status, is.cause)
            }
            Answer::Done if ends => LeaseDecision::Become(is.status, is.cause),
            Answer::Refused(error) => {
                assert!(is_as_before, "{event:?} writes nothing");
                LeaseDecision::Refuse(reason(&error))
            }
            Answer::Done => {
                assert!(is_as_before, "{event:?} writes nothing");
                let is_active = is.status == LeaseStatus::Active;
                LeaseDecision::Ignore(if is_active { "active" } else { "terminal" })
            }
        }
    }
}

/// What the one is told whose use ends the lease.
fn told_why(event: LeaseEvent, error: &LeaseError) {
    let is_late = event == LeaseEvent::UseLate && matches!(error, LeaseError::Expired { .. });
    let is_gone = matches!(error, LeaseError::Secret(SecretError::NotFound { .. }));
    let is_deleted = event == LeaseEvent::UseDeleted && is_gone;
    assert!(is_late || is_deleted, "{event:?}: {error:?}");
}

/// The word of a refusal.
pub(super) fn reason(error: &LeaseError) -> &'static str {
    match error {
        LeaseError::Consumed => "consumed",
        LeaseError::Revoked { .. } => "revoked",
        LeaseError::Expired { .. } => "expired",
        LeaseError::Secret(SecretError::Unreadable { .. } | SecretError::Locked) => "unreadable",
        other => panic!("{other:?}"),
    }
}

pub(super) async fn every_cell_of_a_leases_table_is_what_its_verbs_do(house: House) {
    let house = house.enabled().await;
    let (mut driven, mut number) = (String::new(), 0);
    for status in LeaseStatus::ALL {
        for event in LeaseEvent::ALL {
            number += 1;
            let cell = Cell::new(&house, number, status, event).await;
            driven += &tables::line(status, event, cell.decided(event).await);
        }
    }
    tables::holds("lease", &driven);
}
