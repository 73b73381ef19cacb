//! Leases: what a holder may do, and what one who holds no more may not.

use std::time::Duration;

use dormouse_engine::command::CommandSpec;
use dormouse_engine::lease::Progress;
use dormouse_engine::limits::LEASE_SELF_STOP;
use dormouse_engine::run::StopReason;
use dormouse_engine::task::NewTask;
use dormouse_engine::{Clock, CommandError, Subject};

use super::house::{House, NoOrphans, facts, operator, success, tenant_id};

super::on_every_store! {
    a_heartbeat_moves_the_expiry_and_tells_nobody;
    a_stopped_run_is_not_renewed_past_its_deadline;
    a_stop_of_another_process_leaves_the_holder_its_grace;
    a_holder_that_was_replaced_changes_nothing;
}

super::on_every_store_of_one_process! {
    an_expired_lease_refuses_the_end_until_it_is_renewed;
}

async fn an_expired_lease_refuses_the_end_until_it_is_renewed(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let runs = &house.tenant.runs;
    house.clock.advance(90);
    let expired = runs.finish(&claimed, &success(), &facts()).await.unwrap_err();
    assert!(matches!(expired, CommandError::LeaseExpired { .. }), "{expired}");
    assert_eq!(
        house.event_types().await,
        ["agent.created", "task.created", "run.started"]
    );
    // Nobody else can have taken it in a store of one process: the lid of the laptop was closed.
    runs.heartbeat(&claimed, None).await.unwrap();
    runs.finish(&claimed, &success(), &facts()).await.unwrap();
}

async fn a_heartbeat_moves_the_expiry_and_tells_nobody(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let runs = &house.tenant.runs;
    let before = runs.get(claimed.run.id).await.unwrap();
    let events = house.events().await;
    for _ in 0..10 {
        house.clock.advance(20);
        let progress = Progress {
            at: house.clock.now(),
            segments_completed: 1,
            segment_current: None,
        };
        let pulse = runs.heartbeat(&claimed, Some(&progress)).await.unwrap();
        assert_eq!(pulse.expires_at.duration_since(house.clock.now()).as_secs(), 90);
        assert_eq!(claimed.guard.expires_at(), pulse.expires_at);
    }
    assert_eq!(runs.get(claimed.run.id).await.unwrap().run, before.run);
    assert_eq!(house.events().await, events);
}

async fn a_stopped_run_is_not_renewed_past_its_deadline(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let runs = &house.tenant.runs;
    runs.stopping(&claimed, &StopReason::Shutdown).await.unwrap();
    let deadline = runs.get(claimed.run.id).await.unwrap().run.stop_deadline.unwrap();
    let pulse = runs.heartbeat(&claimed, None).await.unwrap();
    assert_eq!(
        (pulse.expires_at, pulse.stop),
        (deadline, Some(StopReason::Shutdown))
    );
    house.clock.advance(56);
    let refused = runs.heartbeat(&claimed, None).await.unwrap_err();
    assert!(matches!(refused, CommandError::LeaseExpired { .. }), "{refused}");
    let refused = runs.finish(&claimed, &success(), &facts()).await.unwrap_err();
    assert!(matches!(refused, CommandError::LeaseExpired { .. }), "{refused}");
}

/// The holder hears of it with its next heartbeat. Only then its worker's grace begins, and what it did by then is kept.
async fn a_stop_of_another_process_leaves_the_holder_its_grace(house: House) {
    let agent = house.agent("alice").await;
    let mut command = CommandSpec::new(vec!["true".to_owned()]);
    command.grace_ms = Some(30_000);
    let task = NewTask {
        command: Some(command),
        ..NewTask::new(agent, "count the sheep")
    };
    let task = house.task(task).await;
    let claimed = house.claim(&task).await;
    let runs = &house.tenant.runs;
    runs.started(&claimed, None).await.unwrap();
    let other = house.neighbour().await.tenant(&tenant_id()).await.unwrap();
    other.tasks.cancel(&operator(), task.id, None).await.unwrap();
    house.clock.advance(20);
    let pulse = runs.heartbeat(&claimed, None).await.unwrap();
    assert!(matches!(pulse.stop, Some(StopReason::Cancel { .. })), "{pulse:?}");
    // All of the grace, and what it takes to be killed and drained, with a clock that is ahead.
    house.clock.advance(30 + 15 + 4);
    let finished = runs.finish(&claimed, &success(), &facts()).await.unwrap();
    assert_eq!(finished.outcome.outcome, success());
    assert_eq!(finished.outcome.facts, Some(facts()));
    assert_eq!(finished.task.unwrap().state.word(), "done");
}

async fn a_holder_that_was_replaced_changes_nothing(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let other = house.successor().await;
    other.recover(&NoOrphans).await.unwrap();
    let events = house.events().await;
    let after = house.tenant.tasks.get(task.id).await.unwrap();
    let runs = &house.tenant.runs;

    let subject = Subject::Run(claimed.run.id);
    let heartbeat = runs.heartbeat(&claimed, None).await.unwrap_err();
    assert!(
        matches!(&heartbeat, CommandError::Fenced { subject: s } if *s == subject),
        "{heartbeat}"
    );
    let stopping = runs.stopping(&claimed, &StopReason::Shutdown).await.unwrap_err();
    assert!(matches!(stopping, CommandError::Fenced { .. }), "{stopping}");
    runs.started(&claimed, None).await.unwrap_err();
    runs.finish(&claimed, &success(), &facts()).await.unwrap_err();
    assert_eq!(house.events().await, events);
    assert_eq!(house.tenant.tasks.get(task.id).await.unwrap(), after);

    // The task is claimed again, under a token that is higher.
    let again = house.claim(&task).await;
    assert!(again.guard.token() > claimed.guard.token());
    runs.heartbeat(&claimed, None).await.unwrap_err();
    runs.finish(&again, &success(), &facts()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_holder_without_heartbeat_is_told_to_stop_by_a_clock_that_does_not_jump() {
    let house = House::in_memory().await;
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    assert!(claimed.guard.has_runway() && !claimed.guard.must_stop());
    tokio::time::advance(LEASE_SELF_STOP).await;
    assert!(claimed.guard.must_stop());
    house.tenant.runs.heartbeat(&claimed, None).await.unwrap();
    assert!(!claimed.guard.must_stop());
    tokio::time::advance(Duration::from_secs(76)).await;
    assert!(!claimed.guard.has_runway());
}
