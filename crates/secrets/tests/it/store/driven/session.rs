//! The table of a credential session.

use dormouse_filesystem::Entry;
use dormouse_secrets::{
    AgentAt, Due, LeaseDecision, LeaseError, LeaseEvent, LeaseId, LeaseStatus, Left, Need, SESSION_USES_MAX,
    SecretCategory, SessionRow, SpawnError, SpawnFor, due,
};
use jiff::SignedDuration;

use super::super::house::{DAY, HOUR, House, after};
use super::super::tables;
use super::lease::reason;
use super::{edit, row};

/// The one secret, and where it is.
const SECRET: &str = "t/acme/r/secret/shared/g";

/// The session of a run of its own.
struct Cell<'a> {
    house: &'a House,
    agent: AgentAt,
    run: String,
    id: LeaseId,
}

impl<'a> Cell<'a> {
    async fn new(house: &'a House, number: usize, status: LeaseStatus, event: LeaseEvent) -> Self {
        let (agent, run) = (house.live("a", 1), format!("run_{number}"));
        let first = SpawnFor {
            run: run.clone(),
            session: None,
            expires_at: after(HOUR),
        };
        let id = spawned(house, &agent, &first, 0).await.unwrap();
        let cell = Self {
            house,
            agent,
            run,
            id,
        };
        match status {
            LeaseStatus::Active => {}
            LeaseStatus::Consumed => {
                cell.has_used(SESSION_USES_MAX - 1).await;
                cell.used(1).await.unwrap();
            }
            LeaseStatus::Revoked => cell.run_ended(1).await,
            LeaseStatus::Expired => {
                let late = cell.used(HOUR).await;
                assert!(matches!(late, Err(SpawnError::Session(_))), "{late:?}");
            }
        }
        if let LeaseEvent::Use(left) = event {
            let more = if left == Left::Last { 1 } else { 2 };
            cell.has_used(SESSION_USES_MAX - more).await;
        }
        let there = row::<SessionRow>(&cell.stored().await.unwrap());
        assert_eq!(there.status, status);
        cell
    }

    fn key(&self) -> String {
        format!("t/acme/r/secret_session/{}", self.id)
    }

    async fn stored(&self) -> Option<Entry> {
        self.house.stored(&self.key()).await
    }

    /// So many spawns took the set, as if there had been.
    async fn has_used(&self, used: u32) {
        edit(self.house, &self.key(), |row| row["used"] = used.into()).await;
    }

    /// A further spawn of the run.
    async fn used(&self, seconds: i64) -> Result<LeaseId, SpawnError> {
        let further = SpawnFor {
            run: self.run.clone(),
            session: Some(self.id),
            expires_at: after(HOUR),
        };
        spawned(self.house, &self.agent, &further, seconds).await
    }

    async fn run_ended(&self, seconds: i64) {
        let mut batch = self.house.namespace().batch();
        let (secrets, call) = (&self.house.secrets, self.house.call(seconds));
        secrets
            .stage_run_ended(&call, &mut batch, &self.run)
            .await
            .unwrap();
        if batch.writes() {
            self.house.namespace().commit(batch).await.unwrap();
        }
    }

    async fn used_unreadable(&self) -> Result<LeaseId, SpawnError> {
        let house = self.house;
        house.vault.lock(&house.call(2)).await.unwrap();
        let locked = self.used(2).await.unwrap_err();
        house.vault.unlock(&house.call(2), &house.key(1)).await.unwrap();
        let original = house.stored(SECRET).await.unwrap();
        house.write(SECRET, &original, b"{".to_vec()).await;
        let damaged = self.used(2).await.unwrap_err();
        house.write(SECRET, &original, original.value.to_vec()).await;
        assert_eq!(refusal(&locked), refusal(&damaged));
        Err(damaged)
    }

    /// A day goes by since its end; since its beginning, if it has none.
    async fn elapsed(&self) {
        let ended = row::<SessionRow>(&self.stored().await.unwrap()).ended_at;
        let from = ended.unwrap_or(self.house.call(0).now);
        let after = |seconds: i64| from + SignedDuration::from_secs(seconds);
        let over = Due::Session(self.id);
        let is_due = async |seconds| {
            let due = due(&self.house.system, after(seconds), 1000).await.unwrap();
            due.iter().any(|(_, due)| *due == over)
        };
        assert!(!is_due(DAY - 1).await, "not before");
        assert_eq!(is_due(DAY + 1).await, ended.is_some());
        let call = dormouse_secrets::Call::at(after(DAY + 1));
        self.house.secrets.retire(&call, &over).await.unwrap();
    }

    /// The answer of a use; none where it was no use.
    async fn act(&self, event: LeaseEvent) -> Option<Result<LeaseId, SpawnError>> {
        match event {
            LeaseEvent::Use(_) => Some(self.used(2).await),
            LeaseEvent::UseLate => Some(self.used(HOUR + 1).await),
            LeaseEvent::UseUnreadable => Some(self.used_unreadable().await),
            LeaseEvent::HolderEnded => {
                self.run_ended(2).await;
                None
            }
            LeaseEvent::Elapsed => {
                self.elapsed().await;
                None
            }
            LeaseEvent::UseDeleted | LeaseEvent::Revoke => unreachable!("no session meets it"),
        }
    }

    async fn decided(&self, event: LeaseEvent) -> LeaseDecision {
        let before = row::<SessionRow>(&self.stored().await.unwrap());
        let answer = self.act(event).await;
        let Some(after) = self.stored().await else {
            return LeaseDecision::Remove;
        };
        let is = row::<SessionRow>(&after);
        let ends = is.status != before.status;
        assert_eq!(ends, is.ended_at != before.ended_at, "its end has a time");
        match answer {
            Some(Ok(id)) => {
                assert_eq!((id, is.used), (self.id, before.used + 1));
                LeaseDecision::HandOut(is.status)
            }
            Some(Err(error)) if ends => {
                assert_eq!((event, refusal(&error)), (LeaseEvent::UseLate, "expired"));
                LeaseDecision::Become(is.status, is.cause)
            }
            Some(Err(error)) => {
                assert_eq!(is, before, "{event:?} writes nothing");
                LeaseDecision::Refuse(refusal(&error))
            }
            None if ends => LeaseDecision::Become(is.status, is.cause),
            None => {
                assert_eq!(is, before, "{event:?} writes nothing");
                let is_active = is.status == LeaseStatus::Active;
                LeaseDecision::Ignore(if is_active { "active" } else { "terminal" })
            }
        }
    }
}

/// Starts a worker, as the engine's commit does.
async fn spawned(
    house: &House,
    agent: &AgentAt,
    run: &SpawnFor,
    seconds: i64,
) -> Result<LeaseId, SpawnError> {
    let call = house.call(seconds);
    let set = house
        .secrets
        .spawn_set(&call, agent, &Need::All, run, Vec::new())
        .await?;
    assert_eq!(set.names.len(), 1);
    let mut batch = house.namespace().batch();
    set.writes.stage(&mut batch).await.unwrap();
    house.namespace().commit(batch).await.unwrap();
    Ok(set.session)
}

/// The word of a refusal.
fn refusal(error: &SpawnError) -> &'static str {
    match error {
        SpawnError::Session(error) => reason(error),
        SpawnError::Unreadable { .. } | SpawnError::VaultNotUnlocked { .. } => "unreadable",
        other => panic!("{other:?}"),
    }
}

pub(super) async fn every_cell_of_a_sessions_table_is_what_its_verbs_do(house: House) {
    let house = house.enabled().await;
    house
        .put("shared:G", "the value of G", SecretCategory::Tool)
        .await;
    let (mut driven, mut number) = (String::new(), 0);
    for status in LeaseStatus::ALL {
        for event in LeaseEvent::OF_SESSION {
            number += 1;
            let cell = Cell::new(&house, number, status, event).await;
            driven += &tables::line(status, event, cell.decided(event).await);
        }
    }
    tables::holds("session", &driven);
    let unknown = SpawnFor {
        run: "run_1".to_owned(),
        session: Some("lse_0198c0de7f3a7c11a2b3c4d5e6f70819".parse().unwrap()),
        expires_at: after(HOUR),
    };
    let refused = spawned(&house, &house.live("a", 1), &unknown, 1).await;
    let is_unknown = |error: &SpawnError| matches!(error, SpawnError::Session(error) if matches!(**error, LeaseError::Unknown));
    assert!(refused.as_ref().is_err_and(is_unknown), "{refused:?}");
}
