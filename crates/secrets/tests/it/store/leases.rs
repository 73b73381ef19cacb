//! Leases: granted, used, spent, over, taken back.

use dormouse_filesystem::wrapper::{FaultKind, Operation};
use dormouse_secrets::{
    Cause, Deletion, Holder, LeaseError, LeaseId, LeaseOptions, LeaseStatus, Purpose, SecretCategory,
    SecretError, Uses, due,
};
use jiff::SignedDuration;

use super::environment::holder;
use super::house::{DAY, House, at};
use super::on_every_store;

on_every_store! {
    /// SE-36
    what_cannot_be_leased_leaves_no_record_and_foreign_ids_are_like_unknown_ones;
    of_a_hundred_users_one_gets_the_only_use;
    /// SE-38
    a_counted_lease_ends_with_its_uses_and_an_unlimited_one_writes_nothing;
    /// SE-39
    an_expired_lease_is_written_once_and_a_clock_set_back_revives_nothing;
    /// SE-40
    an_unreadable_row_or_a_lock_leaves_a_lease_and_a_deleted_secret_ends_it;
    a_use_whose_answer_is_lost_hands_out_nothing;
    the_end_of_a_run_ends_what_it_holds;
    a_lease_is_gone_a_day_after_its_end;
}

async fn granted(house: &House, uses: Uses) -> LeaseId {
    house.put("shared:G", "value of G", SecretCategory::Tool).await;
    let options = LeaseOptions {
        uses,
        ttl: SignedDuration::from_mins(15),
    };
    house
        .secrets
        .lease(
            &house.call(0),
            &at("shared:G"),
            &Purpose::Reference,
            &holder(),
            options,
        )
        .await
        .unwrap()
        .id()
}

fn row_of(id: LeaseId) -> String {
    format!("t/acme/r/secret_lease/{id}")
}

async fn used(house: &House, id: LeaseId, seconds: i64) -> Result<String, LeaseError> {
    let lease = house
        .secrets
        .use_lease(&house.call(seconds), id, &holder())
        .await?;
    Ok(lease
        .expose(house.call(seconds).now)
        .unwrap()
        .expose_text()
        .unwrap()
        .to_owned())
}

async fn status(house: &House, id: LeaseId) -> LeaseStatus {
    let rows = house.secrets.leases_of(&holder()).await.unwrap();
    rows.iter().find(|row| row.id == id).unwrap().status
}

async fn what_cannot_be_leased_leaves_no_record_and_foreign_ids_are_like_unknown_ones(house: House) {
    let house = house.enabled().await;
    let lease = |options| {
        let (secrets, call) = (house.secrets.clone(), house.call(0));
        async move {
            secrets
                .lease(&call, &at("shared:G"), &Purpose::Reference, &holder(), options)
                .await
        }
    };
    let missing = lease(LeaseOptions::default()).await;
    assert!(matches!(
        missing,
        Err(LeaseError::Secret(SecretError::NotFound { .. }))
    ));
    house.put("shared:G", "value of G", SecretCategory::Tool).await;
    for (uses, seconds) in [
        (Uses::Once, 0),
        (Uses::Once, -1),
        (Uses::Once, DAY + 1),
        (Uses::Times(1), 9),
        (Uses::Times(1_001), 9),
    ] {
        let refused = lease(LeaseOptions {
            uses,
            ttl: SignedDuration::from_secs(seconds),
        })
        .await;
        assert!(
            matches!(refused, Err(LeaseError::Invalid { .. })),
            "{uses:?} {seconds}"
        );
    }
    assert!(house.secrets.leases_of(&holder()).await.unwrap().is_empty());
    let id = lease(LeaseOptions::default()).await.unwrap().id();
    let foreign = Holder::Run("run_of_another".to_owned());
    let unknown: LeaseId = "lse_0198c0de7f3a7c11a2b3c4d5e6f70819".parse().unwrap();
    let of = |id, by: Holder| {
        let (secrets, call) = (house.secrets.clone(), house.call(0));
        async move { secrets.use_lease(&call, id, &by).await.unwrap_err().to_string() }
    };
    assert_eq!(of(id, foreign.clone()).await, of(unknown, foreign).await);
    assert_eq!(of(unknown, holder()).await, "there is no such lease");
}

async fn of_a_hundred_users_one_gets_the_only_use(house: House) {
    let house = house.enabled().await;
    let id = granted(&house, Uses::Once).await;
    let (_, other) = house.another(vec![std::sync::Arc::new(house.key(1))]);
    let users = (0..100).map(|at| {
        let secrets = if at % 2 == 0 {
            house.secrets.clone()
        } else {
            other.clone()
        };
        let call = house.call(1);
        async move { secrets.use_lease(&call, id, &holder()).await }
    });
    let answers = futures::future::join_all(users).await;
    let consumed = answers
        .iter()
        .filter(|answer| matches!(answer, Err(LeaseError::Consumed)))
        .count();
    assert_eq!(
        (answers.iter().filter(|answer| answer.is_ok()).count(), consumed),
        (1, 99)
    );
    house
        .secrets
        .revoke_lease(&house.call(2), id, &holder())
        .await
        .unwrap();
    assert_eq!(status(&house, id).await, LeaseStatus::Consumed);
}

async fn a_counted_lease_ends_with_its_uses_and_an_unlimited_one_writes_nothing(house: House) {
    let house = house.enabled().await;
    let id = granted(&house, Uses::Times(2)).await;
    assert_eq!(used(&house, id, 1).await.unwrap(), "value of G");
    assert_eq!(used(&house, id, 2).await.unwrap(), "value of G");
    assert!(matches!(used(&house, id, 3).await, Err(LeaseError::Consumed)));
    let id = granted(&house, Uses::Unlimited).await;
    let before = house.stored(&row_of(id)).await;
    for second in 0..5 {
        used(&house, id, second).await.unwrap();
    }
    assert_eq!(house.stored(&row_of(id)).await, before);
    let lease = house
        .secrets
        .use_lease(&house.call(5), id, &holder())
        .await
        .unwrap();
    house
        .secrets
        .revoke_lease(&house.call(6), id, &holder())
        .await
        .unwrap();
    assert!(lease.expose(house.call(64).now).is_ok());
    assert!(
        lease.expose(house.call(65).now).is_err(),
        "within 60 s it must be used again"
    );
    assert!(matches!(
        used(&house, id, 65).await,
        Err(LeaseError::Revoked { cause: Cause::By })
    ));
}

async fn an_expired_lease_is_written_once_and_a_clock_set_back_revives_nothing(house: House) {
    let house = house.enabled().await;
    let id = granted(&house, Uses::Once).await;
    assert!(matches!(
        used(&house, id, 900).await,
        Err(LeaseError::Expired { .. })
    ));
    assert_eq!(status(&house, id).await, LeaseStatus::Expired);
    let once = house.stored(&row_of(id)).await;
    assert!(matches!(
        used(&house, id, 901).await,
        Err(LeaseError::Expired { .. })
    ));
    assert!(
        matches!(used(&house, id, 1).await, Err(LeaseError::Expired { .. })),
        "the clock was set back"
    );
    assert_eq!(house.stored(&row_of(id)).await, once);
}

async fn an_unreadable_row_or_a_lock_leaves_a_lease_and_a_deleted_secret_ends_it(house: House) {
    let house = house.enabled().await;
    let id = granted(&house, Uses::Once).await;
    let row = "t/acme/r/secret/shared/g";
    let original = house.stored(row).await.unwrap();
    house.write(row, &original, b"{".to_vec()).await;
    let refused = used(&house, id, 1).await;
    assert!(matches!(
        refused,
        Err(LeaseError::Secret(SecretError::Unreadable { .. }))
    ));
    house.write(row, &original, original.value.to_vec()).await;
    house.vault.lock(&house.call(2)).await.unwrap();
    assert!(matches!(
        used(&house, id, 2).await,
        Err(LeaseError::Secret(SecretError::Locked))
    ));
    assert_eq!(status(&house, id).await, LeaseStatus::Active);
    house.vault.unlock(&house.call(3), &house.key(1)).await.unwrap();
    house
        .secrets
        .delete(&house.call(4), &at("shared:G"), &Deletion::Force)
        .await
        .unwrap();
    assert!(matches!(
        used(&house, id, 5).await,
        Err(LeaseError::Secret(SecretError::NotFound { .. }))
    ));
    assert_eq!(status(&house, id).await, LeaseStatus::Revoked);
    assert!(matches!(
        used(&house, id, 6).await,
        Err(LeaseError::Revoked {
            cause: Cause::Deleted
        })
    ));
}

async fn a_use_whose_answer_is_lost_hands_out_nothing(house: House) {
    let house = house.enabled().await;
    let id = granted(&house, Uses::Once).await;
    house.store.next(Operation::Commit, FaultKind::LoseAfter);
    assert!(matches!(
        used(&house, id, 1).await,
        Err(LeaseError::Indeterminate)
    ));
    assert!(matches!(used(&house, id, 2).await, Err(LeaseError::Consumed)));
}

async fn the_end_of_a_run_ends_what_it_holds(house: House) {
    let house = house.enabled().await;
    house.put("shared:G", "value of G", SecretCategory::Tool).await;
    let run = Holder::Run("run_1".to_owned());
    let options = LeaseOptions {
        uses: Uses::Unlimited,
        ..LeaseOptions::default()
    };
    let lease = house
        .secrets
        .lease(
            &house.call(0),
            &at("shared:G"),
            &Purpose::Reference,
            &run,
            options,
        )
        .await
        .unwrap();
    let mut batch = house.namespace().batch();
    house
        .secrets
        .stage_run_ended(&house.call(1), &mut batch, "run_1")
        .await
        .unwrap();
    house.namespace().commit(batch).await.unwrap();
    let refused = house.secrets.use_lease(&house.call(2), lease.id(), &run).await;
    assert!(matches!(
        refused,
        Err(LeaseError::Revoked { cause: Cause::Holder })
    ));
}

async fn a_lease_is_gone_a_day_after_its_end(house: House) {
    let house = house.enabled().await;
    let id = granted(&house, Uses::Once).await;
    used(&house, id, 1).await.unwrap();
    assert!(
        due(&house.system, house.call(DAY).now, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let call = house.call(DAY + 2);
    let over = due(&house.system, call.now, 10).await.unwrap();
    assert_eq!(over.len(), 1);
    house.secrets.retire(&call, &over[0].1).await.unwrap();
    assert_eq!(house.stored(&row_of(id)).await, None);
}
