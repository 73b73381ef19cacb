//! Capabilities: one use, one call, one holder.

use dormouse_engine::capability::{Action, CapabilityEnd, CapabilityError, CapabilityState};
use dormouse_engine::gate::{Call, Gate};
use dormouse_engine::recovery::Recovery;

use super::gates::{Asker, approve, call_of, events, open, try_open};
use super::house::{House, facts, operator, success};

super::on_every_store! {
    of_two_claimers_one_has_it_and_a_second_use_is_closed;
    a_replaced_holder_is_fenced_and_what_is_anothers_is_missing;
    its_time_ends_by_one_write_and_reads_write_none;
    a_holder_that_vanished_gives_back_what_it_claimed_and_leaves_unknown_what_was_under_way;
    a_revoked_approval_asks_again_and_names_the_former_gate;
}

/// Running a command, once it is approved.
#[derive(Debug)]
struct Bash(&'static str);

impl Action for Bash {
    fn call(&self) -> Call {
        call_of(self.0)
    }
}

async fn approved(house: &House, asker: &Asker, call: &str) -> Gate {
    let gate = open(house, &asker.approval(call, "{}")).await;
    approve(house, &gate).await
}

async fn state(house: &House, gate: &Gate) -> CapabilityState {
    house
        .tenant
        .capabilities
        .get(gate.id)
        .await
        .unwrap()
        .unwrap()
        .state
}

async fn of_two_claimers_one_has_it_and_a_second_use_is_closed(house: House) {
    let asker = Asker::new(&house).await;
    let gate = approved(&house, &asker, "1").await;
    let capabilities = &house.tenant.capabilities;
    let redeemed = capabilities
        .redeem(gate.id, Bash("{}"), &asker.claimed)
        .await
        .unwrap();
    assert!(matches!(
        state(&house, &gate).await,
        CapabilityState::Claimed { .. }
    ));
    redeemed.abort(&asker.claimed).await.unwrap();
    assert_eq!(state(&house, &gate).await, CapabilityState::Active);

    let redeemed = capabilities
        .redeem(gate.id, Bash("{ }"), &asker.claimed)
        .await
        .unwrap();
    let dispatch = redeemed.dispatch(&asker.claimed).await.unwrap();
    assert!(matches!(
        state(&house, &gate).await,
        CapabilityState::Dispatching { .. }
    ));
    let revoked = capabilities.revoke(&operator(), gate.id).await.unwrap_err();
    assert!(
        matches!(revoked, CapabilityError::Refused { reason: "under_way" }),
        "{revoked}"
    );
    dispatch
        .finish(&asker.claimed, CapabilityEnd::Done)
        .await
        .unwrap();
    capabilities
        .finish(gate.id, &asker.claimed, CapabilityEnd::Done)
        .await
        .unwrap();
    let again = capabilities
        .redeem(gate.id, Bash("{}"), &asker.claimed)
        .await
        .unwrap_err();
    assert!(
        matches!(again, CapabilityError::Closed { state: "consumed" }),
        "{again}"
    );
    let closed = events(&house, "capability.closed").await;
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0].data["end"], "done");

    let gate = approved(&house, &asker, "2").await;
    let claim = || capabilities.redeem(gate.id, Bash("{}"), &asker.claimed);
    let (one, other) = tokio::join!(claim(), claim());
    assert!(one.is_ok() && other.is_ok(), "the same holder repeats itself");
}

async fn a_replaced_holder_is_fenced_and_what_is_anothers_is_missing(house: House) {
    let asker = Asker::new(&house).await;
    let gate = approved(&house, &asker, "1").await;
    let stranger = Asker::next(&house).await;
    let capabilities = &house.tenant.capabilities;
    let before = capabilities.get(gate.id).await.unwrap().unwrap().version();
    let missing = capabilities
        .claim(gate.id, gate.digest, &stranger.claimed)
        .await
        .unwrap_err();
    assert!(matches!(missing, CapabilityError::Unknown { .. }), "{missing}");
    let other = house.engine.tenant(&"other".parse().unwrap()).await.unwrap();
    assert!(other.capabilities.get(gate.id).await.unwrap().is_none());

    house
        .tenant
        .runs
        .finish(&asker.claimed, &success(), &facts())
        .await
        .unwrap();
    let fenced = capabilities
        .claim(gate.id, gate.digest, &asker.claimed)
        .await
        .unwrap_err();
    assert!(
        matches!(&fenced, CapabilityError::Command(error) if error.code() == "fenced"),
        "{fenced}"
    );
    assert_eq!(
        capabilities.get(gate.id).await.unwrap().unwrap().version(),
        before
    );
}

async fn its_time_ends_by_one_write_and_reads_write_none(house: House) {
    let asker = Asker::new(&house).await;
    let gate = approved(&house, &asker, "1").await;
    house.live_on(&asker.claimed, 3600).await;
    let before = house.event_count().await;
    assert_eq!(state(&house, &gate).await, CapabilityState::Active);
    assert_eq!(house.event_count().await, before);
    let capabilities = &house.tenant.capabilities;
    for _ in 0..2 {
        let closed = capabilities
            .claim(gate.id, gate.digest, &asker.claimed)
            .await
            .unwrap_err();
        assert!(
            matches!(closed, CapabilityError::Closed { state: "expired" }),
            "{closed}"
        );
    }
    assert_eq!(events(&house, "capability.closed").await.len(), 1);
    let other = approved(&house, &asker, "2").await;
    house.clock.advance(3600);
    assert_eq!(house.engine.expire_due().await.unwrap().capabilities, 1);
    assert_eq!(house.engine.expire_due().await.unwrap().capabilities, 0);
    let end = CapabilityEnd::Expired;
    assert_eq!(state(&house, &other).await, CapabilityState::Closed { end });
}

async fn a_holder_that_vanished_gives_back_what_it_claimed_and_leaves_unknown_what_was_under_way(
    house: House,
) {
    let asker = Asker::new(&house).await;
    let claimed = approved(&house, &asker, "1").await;
    let dispatching = approved(&house, &asker, "2").await;
    let capabilities = &house.tenant.capabilities;
    for gate in [&claimed, &dispatching] {
        capabilities
            .claim(gate.id, gate.digest, &asker.claimed)
            .await
            .unwrap();
    }
    capabilities
        .begin_dispatch(dispatching.id, &asker.claimed)
        .await
        .unwrap();
    let house = house.reopened().await;
    let Recovery { ended, .. } = house.recover().await;
    assert_eq!(ended.len(), 1);
    assert_eq!(state(&house, &claimed).await, CapabilityState::Active);
    let end = CapabilityEnd::Unknown;
    assert_eq!(state(&house, &dispatching).await, CapabilityState::Closed { end });
    let again = NewGateOf::the_same(&asker, "2");
    let opened = try_open(&house, &again).await.unwrap();
    assert_eq!(opened.gate.previous, Some(dispatching.id));
}

/// The same call, asked outside the session that its lost run ended.
struct NewGateOf;

impl NewGateOf {
    fn the_same(asker: &Asker, call: &str) -> dormouse_engine::gate::NewGate {
        dormouse_engine::gate::NewGate {
            session: None,
            caller: None,
            ..asker.approval(call, "{}")
        }
    }
}

async fn a_revoked_approval_asks_again_and_names_the_former_gate(house: House) {
    let asker = Asker::new(&house).await;
    let gate = approved(&house, &asker, "1").await;
    house
        .tenant
        .capabilities
        .revoke(&operator(), gate.id)
        .await
        .unwrap();
    let opened = try_open(&house, &asker.approval("1", "{}")).await.unwrap();
    assert_eq!(
        (opened.gate.previous, opened.gate.word()),
        (Some(gate.id), "pending")
    );
}
