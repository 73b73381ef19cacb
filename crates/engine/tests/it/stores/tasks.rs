//! Tasks through their service: retries, delays, cancels.

use dormouse_engine::outcome::{CancelledBy, Outcome};
use dormouse_engine::task::{NewTask, Steps, Task, TaskState, Wait};
use dormouse_engine::{CommandError, Reason};
use dormouse_secrets::Scrubbed;
use jiff::SignedDuration;

use super::house::{House, facts, failed, operator, success};

super::on_every_store! {
    a_failure_waits_longer_each_time_and_the_fifth_quarantines;
    a_task_is_due_when_its_time_has_come_and_not_before;
    a_retry_forgets_what_was_counted;
    cancelling_a_ready_task_ends_it_at_once;
    cancelling_a_running_task_stops_its_run_first;
    a_task_that_is_done_is_not_retried;
}

async fn fail_once(house: &House, task: &Task) -> Task {
    let claimed = house.claim(task).await;
    house
        .tenant
        .runs
        .finish(&claimed, &failed(false), &facts())
        .await
        .unwrap();
    house.tenant.tasks.get(task.id).await.unwrap().into_inner()
}

fn until(task: &Task) -> jiff::Timestamp {
    match task.state {
        TaskState::Waiting {
            on: Wait::Until { until },
        } => until,
        ref other => panic!("{other:?}"),
    }
}

async fn a_failure_waits_longer_each_time_and_the_fifth_quarantines(house: House) {
    let task = house.ready_task().await;
    for failures in 1..5_u32 {
        let failed = fail_once(&house, &task).await;
        assert_eq!(failed.failures, failures);
        let delay = until(&failed).duration_since(failed.updated_at);
        let most = SignedDuration::from_secs(10 * (1 << (failures - 1)));
        assert!(delay <= most, "{delay} after failure {failures}");
        house.clock.advance(3600);
        house.tenant.tasks.due(&operator(), task.id).await.unwrap();
    }
    let last = fail_once(&house, &task).await;
    assert_eq!(
        (last.state, last.failures, last.attempts),
        (TaskState::Quarantined, 5, 5)
    );
    assert_eq!(house.event_types().await.last().unwrap(), "task.quarantined");
}

async fn a_task_is_due_when_its_time_has_come_and_not_before(house: House) {
    let alice = house.agent("alice").await;
    let task = house.task(NewTask::new(alice, "sleep")).await;
    let waiting = fail_once(&house, &task).await;
    let tasks = &house.tenant.tasks;
    let left = until(&waiting).duration_since(waiting.updated_at);
    if left > SignedDuration::ZERO {
        assert_eq!(tasks.due(&operator(), task.id).await.unwrap(), waiting);
    }
    house.clock.advance(10);
    assert_eq!(
        tasks.due(&operator(), task.id).await.unwrap().state,
        TaskState::Ready
    );
}

async fn a_retry_forgets_what_was_counted(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    house
        .tenant
        .runs
        .finish(&claimed, &failed(true), &facts())
        .await
        .unwrap();
    let tasks = &house.tenant.tasks;
    assert!(tasks.get(task.id).await.unwrap().ended_at.is_some());
    let again = tasks.retry(&operator(), task.id, Steps::Fresh).await.unwrap();
    assert_eq!(
        (&again.state, again.failures, again.ended_at),
        (&TaskState::Ready, 0, None)
    );
    assert_eq!((again.step_epoch, again.attempts), (1, 1));
    assert_eq!(house.claim(&again).await.run.attempt, 2);
}

async fn cancelling_a_ready_task_ends_it_at_once(house: House) {
    let task = house.ready_task().await;
    let tasks = &house.tenant.tasks;
    let reason = Some(Scrubbed::constant("no longer wanted"));
    let cancelled = tasks.cancel(&operator(), task.id, reason).await.unwrap();
    assert_eq!(cancelled.state, TaskState::Cancelled);
    assert_eq!(tasks.cancel(&operator(), task.id, None).await.unwrap(), cancelled);
    let last = house.events().await.pop().unwrap();
    assert_eq!(last.kind, "task.cancelled");
    assert_eq!(last.data["reason"], "no longer wanted");
}

async fn cancelling_a_running_task_stops_its_run_first(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    house.tenant.runs.started(&claimed, None).await.unwrap();
    let reason = Some(Scrubbed::constant("no longer wanted"));
    let running = house
        .tenant
        .tasks
        .cancel(&operator(), task.id, reason.clone())
        .await
        .unwrap();
    assert_eq!(running.state, TaskState::Running);

    let told = claimed.stop.stopped().await;
    let by_row = house.tenant.runs.heartbeat(&claimed, None).await.unwrap().stop;
    assert_eq!(by_row, Some(told));
    // Whatever the stopped worker left with, the first reason stands.
    let finished = house
        .tenant
        .runs
        .finish(&claimed, &failed(false), &facts())
        .await
        .unwrap();
    let expected = Outcome::Cancelled {
        by: CancelledBy::Principal,
        reason,
    };
    assert_eq!(finished.outcome.outcome, expected);
    assert_eq!(finished.task.unwrap().state, TaskState::Cancelled);
}

async fn a_task_that_is_done_is_not_retried(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    house
        .tenant
        .runs
        .finish(&claimed, &success(), &facts())
        .await
        .unwrap();
    let refused = house
        .tenant
        .tasks
        .retry(&operator(), task.id, Steps::Kept)
        .await
        .unwrap_err();
    match &refused {
        CommandError::Rejected {
            state, event, reason, ..
        } => {
            assert_eq!((*state, *event, *reason), ("done", "retry", Reason::End));
        }
        other => panic!("{other}"),
    }
    assert_eq!(
        refused.to_string(),
        format!("task:{} is done: retry is refused, it has ended", task.id)
    );
}
