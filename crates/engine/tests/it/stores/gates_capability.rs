//! Capabilities: one use, one call, one holder.

use std::sync::Arc;

use dormouse_engine::Tenant;
use dormouse_engine::agent::AgentConfig;
use dormouse_engine::capability::{Action, CapabilityEnd, CapabilityError, CapabilityState};
use dormouse_engine::gate::{Call, Gate};
use dormouse_engine::recovery::Recovery;
use dormouse_engine::run::{ClaimOptions, Claimed};
use dormouse_engine::task::NewTask;
use dormouse_filesystem::RecordStore;
use dormouse_state::EndReason;

use super::gates::{Asker, approve, call_of, events, open, try_open};
use super::hooked::Hooked;
use super::house::{House, NoOrphans, name, operator};

super::on_every_store! {
    of_two_claimers_one_has_it_and_a_second_use_is_closed;
    /// SG-77
    a_replaced_holder_is_fenced_and_what_is_anothers_is_missing;
    /// SG-78, with `the_time_in_which_nobody_could_use_it_is_not_counted`.
    its_time_ends_by_one_write_and_reads_write_none;
    the_time_in_which_nobody_could_use_it_is_not_counted;
    a_holder_that_vanished_gives_back_what_it_claimed_and_leaves_unknown_what_was_under_way;
    a_revoked_approval_asks_again_and_names_the_former_gate;
    what_is_claimed_is_not_dispatched_once_its_session_has_ended_and_what_is_under_way_goes_on;
}

async fn the_time_in_which_nobody_could_use_it_is_not_counted(house: House) {
    let asker = Asker::new(&house).await;
    let early = approved(&house, &asker, "1").await;
    let asked = open(&house, &asker.approval("2", "{}")).await;
    house.live_on(&asker.claimed, 1800).await;
    let runs = &house.tenant.runs;
    runs.started(&asker.claimed, None).await.unwrap();
    runs.park(&asker.claimed, asked.id, std::time::Duration::from_secs(1800))
        .await
        .unwrap();
    house.clock.advance(7200);
    approve(&house, &asked).await;
    house.clock.advance(7200);
    assert_eq!(house.engine.expire_due().await.unwrap().capabilities, 0);
    let task = house.tenant.tasks.get(asker.claimed.task.id).await.unwrap();
    let resumed = house.claim(&task).await;
    assert_eq!(resumed.run.id, asker.claimed.run.id);
    let left = async |gate: &Gate| {
        let row = house.tenant.capabilities.get(gate.id).await.unwrap().unwrap();
        let now = dormouse_engine::Clock::now(&*house.clock);
        row.expires_at.duration_since(now).as_secs()
    };
    assert_eq!((left(&early).await, left(&asked).await), (1800, 3600));
    house.live_on(&resumed, 1799).await;
    let capabilities = &house.tenant.capabilities;
    capabilities
        .claim(early.id, early.digest, &resumed)
        .await
        .unwrap();
    capabilities.abort(early.id, &resumed, true).await.unwrap();
    house.live_on(&resumed, 1).await;
    assert_eq!(house.engine.expire_due().await.unwrap().capabilities, 1);
    let end = CapabilityEnd::Expired;
    assert_eq!(state(&house, &early).await, CapabilityState::Closed { end });
    assert_eq!(state(&house, &asked).await, CapabilityState::Active);
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
    assert_ne!(one.is_ok(), other.is_ok(), "one of two claimers has it");
    let refused = [one.err(), other.err()].into_iter().flatten().next().unwrap();
    assert!(matches!(refused, CapabilityError::Claimed { .. }), "{refused}");
    // It was dropped, and nothing was done.
    let dispatch = claim().await.unwrap().dispatch(&asker.claimed).await.unwrap();
    drop(dispatch);
    let under_way = claim().await.unwrap_err();
    assert!(
        matches!(under_way, CapabilityError::Refused { reason: "under_way" }),
        "it may have been done: {under_way}"
    );
}

async fn a_replaced_holder_is_fenced_and_what_is_anothers_is_missing(house: House) {
    let asker = Asker::new(&house).await;
    let gate = approved(&house, &asker, "1").await;
    let before = house.tenant.capabilities.get(gate.id).await.unwrap().unwrap();
    let unchanged = async || {
        let after = house.tenant.capabilities.get(gate.id).await.unwrap().unwrap();
        assert_eq!((after.version(), &*after), (before.version(), &*before));
    };
    let is_missing = async |tenant: &Tenant, holder: &Claimed| {
        let missing = tenant
            .capabilities
            .claim(gate.id, gate.digest, holder)
            .await
            .unwrap_err();
        assert!(matches!(missing, CapabilityError::Unknown { .. }), "{missing}");
    };
    let of_another_origin = Asker::next(&house).await;
    is_missing(&house.tenant, &of_another_origin.claimed).await;
    let bob = house.agent("bob").await;
    let of_another_agent = house.claim(&house.task(NewTask::new(bob, "count")).await).await;
    is_missing(&house.tenant, &of_another_agent).await;
    let other = house.engine.tenant(&"other".parse().unwrap()).await.unwrap();
    other
        .agents
        .create(&operator(), &name("alice"), AgentConfig::default())
        .await
        .unwrap();
    let task = other
        .tasks
        .create(&operator(), NewTask::new(name("alice"), "count"))
        .await
        .unwrap();
    let options = ClaimOptions::default();
    let of_another_tenant = other.runs.claim(&operator(), task.id, options).await.unwrap();
    is_missing(&other, &of_another_tenant).await;
    unchanged().await;

    house.successor().await.recover(&NoOrphans).await.unwrap();
    let capabilities = &house.tenant.capabilities;
    let lost = capabilities.get(gate.id).await.unwrap().unwrap();
    let fenced = capabilities
        .claim(gate.id, gate.digest, &asker.claimed)
        .await
        .unwrap_err();
    assert!(
        matches!(&fenced, CapabilityError::Command(error) if error.code() == "fenced"),
        "{fenced}"
    );
    let after = capabilities.get(gate.id).await.unwrap().unwrap();
    assert_eq!((after.version(), &*after), (lost.version(), &*lost));
    let task = house.tenant.tasks.get(asker.claimed.task.id).await.unwrap();
    let of_no_session = house.claim(&task).await;
    let before = capabilities.get(gate.id).await.unwrap().unwrap();
    is_missing(&house.tenant, &of_no_session).await;
    let after = capabilities.get(gate.id).await.unwrap().unwrap();
    assert_eq!((after.version(), &*after), (before.version(), &*before));
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

/// The end of a session, between what was read for a claim and its commit.
#[tokio::test]
async fn an_approval_is_not_claimed_when_its_session_ends_meanwhile() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let asker = Asker::new(&house).await;
    let gate = approved(&house, &asker, "1").await;
    let (sessions, session) = (house.tenant.sessions.clone(), asker.session);
    store.before_commit(async move {
        let ended = sessions.end(&operator(), session, EndReason::Observed).await;
        assert!(ended.unwrap().applied().is_some());
    });
    let capabilities = &house.tenant.capabilities;
    for _ in 0..2 {
        let refused = capabilities
            .claim(gate.id, gate.digest, &asker.claimed)
            .await
            .unwrap_err();
        assert!(matches!(refused, CapabilityError::Unknown { .. }), "{refused}");
    }
    assert_eq!(state(&house, &gate).await, CapabilityState::Active);
}

async fn end_session(house: &House, asker: &Asker) {
    let sessions = &house.tenant.sessions;
    let ended = sessions
        .end(&operator(), asker.session, EndReason::Observed)
        .await;
    assert!(ended.unwrap().applied().is_some());
}

async fn what_is_claimed_is_not_dispatched_once_its_session_has_ended_and_what_is_under_way_goes_on(
    house: House,
) {
    let asker = Asker::new(&house).await;
    let (claimed, under_way) = (
        approved(&house, &asker, "1").await,
        approved(&house, &asker, "2").await,
    );
    let capabilities = &house.tenant.capabilities;
    let redeem = |gate: &Gate| capabilities.redeem(gate.id, Bash("{}"), &asker.claimed);
    let one = redeem(&claimed).await.unwrap();
    let dispatch = redeem(&under_way).await.unwrap().dispatch(&asker.claimed).await;
    end_session(&house, &asker).await;
    let refused = one.dispatch(&asker.claimed).await.unwrap_err();
    assert!(matches!(refused, CapabilityError::Unknown { .. }), "{refused}");
    let sessions = &house.tenant.sessions;
    assert_eq!(sessions.reopen(&operator(), asker.session).await.unwrap(), 2);
    let refused = capabilities.begin_dispatch(claimed.id, &asker.claimed).await;
    assert!(
        matches!(refused, Err(CapabilityError::Unknown { .. })),
        "it was approved in another life: {refused:?}"
    );
    assert!(matches!(
        state(&house, &claimed).await,
        CapabilityState::Claimed { .. }
    ));
    capabilities
        .begin_dispatch(under_way.id, &asker.claimed)
        .await
        .unwrap();
    let end = CapabilityEnd::Done;
    dispatch.unwrap().finish(&asker.claimed, end).await.unwrap();
}

/// The end of a session, between what was read for the beginning of an effect and its commit.
#[tokio::test]
async fn nothing_is_dispatched_when_its_session_ends_meanwhile() {
    let store = Hooked::new();
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let asker = Asker::new(&house).await;
    let gate = approved(&house, &asker, "1").await;
    let capabilities = &house.tenant.capabilities;
    capabilities
        .claim(gate.id, gate.digest, &asker.claimed)
        .await
        .unwrap();
    let (sessions, session) = (house.tenant.sessions.clone(), asker.session);
    store.before_commit(async move {
        let ended = sessions.end(&operator(), session, EndReason::Observed).await;
        assert!(ended.unwrap().applied().is_some());
    });
    let refused = capabilities
        .begin_dispatch(gate.id, &asker.claimed)
        .await
        .unwrap_err();
    assert!(matches!(refused, CapabilityError::Unknown { .. }), "{refused}");
    assert!(matches!(
        state(&house, &gate).await,
        CapabilityState::Claimed { .. }
    ));
}
