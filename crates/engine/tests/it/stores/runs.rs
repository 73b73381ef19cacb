//! Runs through their service: claims, ends, and the events that tell of them.

use std::collections::BTreeSet;

use dormouse_engine::command::{CommandSpec, Effects};
use dormouse_engine::outcome::{ClockKind, Outcome};
use dormouse_engine::run::{
    Checkpoint, ClaimOptions, OutcomeKind, Process, ProcessMark, RunFilter, RunState, Started, StopReason,
};
use dormouse_engine::task::{NewTask, TaskState};
use dormouse_engine::{CommandError, Reason, RunId};
use futures::future::join_all;

use super::house::{House, facts, failed, operator, partial, success};

super::on_every_store! {
    of_a_hundred_claims_of_one_task_one_wins;
    a_hundred_claimers_of_fifty_tasks_claim_each_once;
    /// ST-35, the first half; the second is the cancels below.
    a_run_has_one_outcome_and_the_same_end_may_be_told_again;
    /// ST-35
    the_same_end_told_twice_at_once_is_one_end;
    /// ST-35
    a_cancel_that_races_success_leaves_one_outcome;
    /// ST-35: a failure that comes after the cancel is the cancel's.
    a_stop_that_came_first_stands;
    /// ST-35
    a_cancel_that_races_a_failure_is_not_lost;
    a_shutdown_is_counted_nowhere;
    a_run_told_to_stop_before_it_went_does_not_go;
    an_opaque_command_has_a_side_effect_open_while_it_runs;
    each_change_has_its_event_in_the_order_of_commits;
    runs_are_listed_with_their_outcomes;
    only_recovery_finds_a_run_lost;
}

async fn of_a_hundred_claims_of_one_task_one_wins(house: House) {
    let task = house.ready_task().await.id;
    let claims = join_all((0..100).map(|_| {
        let runs = house.tenant.runs.clone();
        tokio::spawn(async move { runs.claim(&operator(), task, ClaimOptions::default()).await })
    }));
    let claims: Vec<_> = claims.await.into_iter().map(Result::unwrap).collect();
    let lost = claims.iter().filter(|claim| {
        matches!(
            claim,
            Err(CommandError::Rejected {
                reason: Reason::Lost,
                ..
            })
        )
    });
    assert_eq!(
        (claims.iter().filter(|claim| claim.is_ok()).count(), lost.count()),
        (1, 99)
    );
    assert_eq!(
        house.event_types().await,
        ["agent.created", "task.created", "run.started"]
    );
}

async fn a_hundred_claimers_of_fifty_tasks_claim_each_once(house: House) {
    let alice = house.agent("alice").await;
    let tasks = join_all((0..50).map(|n| house.task(NewTask::new(alice.clone(), format!("sheep {n}")))));
    let ids: Vec<_> = tasks.await.into_iter().map(|task| task.id).collect();
    let claims = join_all((0..100_usize).map(|n| {
        let (runs, task) = (house.tenant.runs.clone(), ids[n % 50]);
        tokio::spawn(async move { runs.claim(&operator(), task, ClaimOptions::default()).await })
    }));
    let claims = claims.await.into_iter().map(Result::unwrap);
    let claimed: Vec<_> = claims
        .filter_map(Result::ok)
        .map(|claimed| claimed.task.id)
        .collect();
    assert_eq!(claimed.len(), 50);
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>().len(), 50);
}

async fn a_run_has_one_outcome_and_the_same_end_may_be_told_again(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let runs = &house.tenant.runs;
    let first = runs.finish(&claimed, &success(), &facts()).await.unwrap();
    let events = house.events().await;
    assert_eq!(runs.finish(&claimed, &success(), &facts()).await.unwrap(), first);
    let other = runs.finish(&claimed, &partial(), &facts()).await;
    assert!(
        matches!(
            other,
            Err(CommandError::Rejected {
                reason: Reason::End,
                ..
            })
        ),
        "{other:?}"
    );
    assert_eq!(house.events().await, events);
    assert_eq!(
        runs.get(claimed.run.id)
            .await
            .unwrap()
            .outcome
            .unwrap()
            .into_inner(),
        first.outcome
    );
}

async fn the_same_end_told_twice_at_once_is_one_end(house: House) {
    let alice = house.agent("alice").await;
    for n in 0..20 {
        let task = house
            .task(NewTask::new(alice.clone(), format!("sheep {n}")))
            .await;
        let claimed = house.claim(&task).await;
        let (done, facts, runs) = (success(), facts(), &house.tenant.runs);
        let (one, two) = (
            runs.finish(&claimed, &done, &facts),
            runs.finish(&claimed, &done, &facts),
        );
        let (one, two) = tokio::join!(one, two);
        assert_eq!(one.unwrap(), two.unwrap());
    }
}

/// However the two meet, a task whose cancel was acknowledged does not come back.
async fn a_cancel_that_races_a_failure_is_not_lost(house: House) {
    let alice = house.agent("alice").await;
    for n in 0..20 {
        let task = house
            .task(NewTask::new(alice.clone(), format!("sheep {n}")))
            .await;
        let claimed = house.claim(&task).await;
        let (by, bad, facts) = (operator(), failed(false), facts());
        let cancel = house.tenant.tasks.cancel(&by, task.id, None);
        let finish = house.tenant.runs.finish(&claimed, &bad, &facts);
        let (cancelled, finished) = tokio::join!(cancel, finish);
        cancelled.unwrap();
        let answered = finished.unwrap().outcome;
        assert_eq!(
            house.tenant.tasks.get(task.id).await.unwrap().state,
            TaskState::Cancelled
        );
        // The cancel's, unless the run had ended before it: then its task waited to be tried again.
        let stored = house.tenant.runs.get(claimed.run.id).await.unwrap();
        let was_stopped = stored.run.stop_reason.is_some();
        let outcome = stored.outcome.unwrap();
        assert_eq!(*outcome, answered);
        let wanted = if was_stopped { "cancelled" } else { "failed" };
        assert_eq!(outcome.outcome.name(), wanted);
    }
}

async fn a_shutdown_is_counted_nowhere(house: House) {
    let alice = house.agent("alice").await;
    let outcome = OutcomeKind::Lost;
    let ends = [
        (Effects::Repeatable, TaskState::Ready),
        (Effects::Opaque, TaskState::Failed { outcome }),
    ];
    for (effects, state) in ends {
        let command = CommandSpec {
            effects: Some(effects),
            ..CommandSpec::new(vec!["true".to_owned()])
        };
        let new = NewTask {
            command: Some(command),
            ..NewTask::new(alice.clone(), "sleep")
        };
        let claimed = house.claim(&house.task(new).await).await;
        let runs = &house.tenant.runs;
        runs.started(&claimed, Some(&process(claimed.run.id)))
            .await
            .unwrap();
        runs.stopping(&claimed, &StopReason::Shutdown).await.unwrap();
        let finished = runs.finish(&claimed, &failed(false), &facts()).await.unwrap();
        assert_eq!(finished.outcome.outcome, StopReason::Shutdown.outcome());
        let task = finished.task.unwrap();
        assert_eq!((task.state, task.failures, task.reclaims), (state, 0, 0));
    }
}

async fn a_cancel_that_races_success_leaves_one_outcome(house: House) {
    let alice = house.agent("alice").await;
    for n in 0..20 {
        let task = house
            .task(NewTask::new(alice.clone(), format!("sheep {n}")))
            .await;
        let claimed = house.claim(&task).await;
        let (by, done, facts) = (operator(), success(), facts());
        let cancel = house.tenant.tasks.cancel(&by, task.id, None);
        let finish = house.tenant.runs.finish(&claimed, &done, &facts);
        let (cancelled, finished) = tokio::join!(cancel, finish);
        cancelled.unwrap();
        assert_eq!(finished.unwrap().outcome.outcome, success());
        let stored = house.tenant.runs.get(claimed.run.id).await.unwrap();
        assert_eq!(
            (stored.run.state, stored.outcome.unwrap().outcome.name()),
            (RunState::Ended, "success")
        );
        let ended = house.tenant.tasks.get(task.id).await.unwrap();
        assert_eq!(ended.state.word(), "done");
    }
}

async fn a_stop_that_came_first_stands(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let runs = &house.tenant.runs;
    runs.started(&claimed, None).await.unwrap();
    let wall = StopReason::Clock {
        clock: ClockKind::Wall,
        limit_ms: 1_000,
    };
    assert_eq!(runs.stopping(&claimed, &wall).await.unwrap(), wall);
    assert_eq!(
        runs.stopping(&claimed, &StopReason::Shutdown).await.unwrap(),
        wall
    );
    house
        .tenant
        .tasks
        .cancel(&operator(), task.id, None)
        .await
        .unwrap();
    assert_eq!(claimed.stop.stopped().await, wall);

    let finished = runs.finish(&claimed, &failed(false), &facts()).await.unwrap();
    let timeout = Outcome::Timeout {
        clock: ClockKind::Wall,
        limit_ms: 1_000,
    };
    assert_eq!(finished.outcome.outcome, timeout);
    let outcome = OutcomeKind::Timeout;
    assert_eq!(finished.task.unwrap().state, TaskState::Failed { outcome });
}

async fn a_run_told_to_stop_before_it_went_does_not_go(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    house
        .tenant
        .tasks
        .cancel(&operator(), task.id, None)
        .await
        .unwrap();
    let started = house.tenant.runs.started(&claimed, None).await.unwrap();
    assert!(
        matches!(started, Started::Stop(StopReason::Cancel { .. })),
        "{started:?}"
    );
}

async fn an_opaque_command_has_a_side_effect_open_while_it_runs(house: House) {
    let alice = house.agent("alice").await;
    for (effects, is_open) in [(Effects::Opaque, true), (Effects::Repeatable, false)] {
        let command = CommandSpec {
            effects: Some(effects),
            ..CommandSpec::new(vec!["true".to_owned()])
        };
        let new = NewTask {
            command: Some(command),
            ..NewTask::new(alice.clone(), "sleep")
        };
        let claimed = house.claim(&house.task(new).await).await;
        assert_eq!(claimed.run.checkpoint, Checkpoint::None);
        house
            .tenant
            .runs
            .started(&claimed, Some(&process(claimed.run.id)))
            .await
            .unwrap();
        let run = house.tenant.runs.get(claimed.run.id).await.unwrap().run;
        assert_eq!(run.state, RunState::Running);
        assert_eq!(matches!(run.checkpoint, Checkpoint::SideEffect { .. }), is_open);
        house
            .tenant
            .runs
            .finish(&claimed, &success(), &facts())
            .await
            .unwrap();
    }
}

fn process(run: RunId) -> Process {
    Process {
        run,
        host: "burrow".to_owned(),
        boot_id: "this-boot".to_owned(),
        keeper: ProcessMark {
            pid: 4_242,
            start_time: 17,
        },
        worker: None,
    }
}

async fn each_change_has_its_event_in_the_order_of_commits(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let runs = &house.tenant.runs;
    runs.started(&claimed, None).await.unwrap();
    runs.heartbeat(&claimed, None).await.unwrap();
    house
        .tenant
        .tasks
        .cancel(&operator(), task.id, None)
        .await
        .unwrap();
    runs.finish(&claimed, &failed(false), &facts()).await.unwrap();

    let events = house.events().await;
    let told: Vec<(String, String)> = events
        .iter()
        .map(|e| (e.kind.clone(), e.subject.clone()))
        .collect();
    let (task, run) = (format!("task:{}", task.id), format!("run:{}", claimed.run.id));
    let expected = [
        ("agent.created", "agent:alice"),
        ("task.created", &task),
        ("run.started", &run),
        ("run.stopping", &run),
        ("run.ended", &run),
        ("task.cancelled", &task),
    ];
    assert_eq!(
        told,
        expected.map(|(kind, subject)| (kind.to_owned(), subject.to_owned()))
    );
    assert!(events.iter().all(|event| event.change().is_some()));
    assert!(
        events
            .iter()
            .all(|event| event.agent.as_ref().unwrap().as_str() == "alice")
    );
    let row = runs.get(claimed.run.id).await.unwrap();
    assert_eq!(events[4].op, row.run.op);
}

async fn runs_are_listed_with_their_outcomes(house: House) {
    let alice = house.agent("alice").await;
    let mut ids = Vec::new();
    for outcome in [success(), failed(true), success()] {
        house.clock.advance(1);
        let task = house.task(NewTask::new(alice.clone(), "sleep")).await;
        let claimed = house.claim(&task).await;
        house
            .tenant
            .runs
            .finish(&claimed, &outcome, &facts())
            .await
            .unwrap();
        ids.insert(0, claimed.run.id);
    }
    let list = async |filter: RunFilter| {
        let page = house.tenant.runs.list(&filter, None, 10).await.unwrap();
        assert!(page.rows.iter().all(|row| row.outcome.is_some()));
        page.rows.iter().map(|row| row.run.id).collect::<Vec<_>>()
    };
    assert_eq!(list(RunFilter::All).await, ids);
    assert_eq!(list(RunFilter::Agent(alice)).await, ids);
    assert_eq!(
        list(RunFilter::Outcome(OutcomeKind::Success)).await,
        [ids[0], ids[2]]
    );
    assert_eq!(list(RunFilter::Outcome(OutcomeKind::Failed)).await, [ids[1]]);
    assert_eq!(
        house.tenant.runs.resolve(&ids[0].to_string()).await.unwrap(),
        ids[0]
    );
}

async fn only_recovery_finds_a_run_lost(house: House) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let lost = Outcome::Lost {
        last_heartbeat_at: None,
    };
    let refused = house
        .tenant
        .runs
        .finish(&claimed, &lost, &facts())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "invalid");
}
