//! Every way a run can end leaves one outcome, in the commit of the end.

use dormouse_engine::outcome::{BlockReason, PartialCause};
use dormouse_engine::run::RunState;
use dormouse_engine::step::{Failure, StepContext};
use dormouse_engine::supervisor::RunEnd;
use dormouse_secrets::Scrubbed;

use super::*;
use crate::stores::place::Place;

/// The places of every backend that is there.
fn places() -> Vec<Place> {
    let mut places = vec![Place::memory(), Place::sled(), Place::local()];
    places.extend(Place::postgres());
    places
}

/// A run of which its holder says this.
async fn said(house: &House, outcome: &Outcome) -> RunId {
    let claimed = house.claimed(NewTask::new(alice(), "a task")).await;
    let facts = crate::stores::facts();
    let runs = &house.tenant.runs;
    runs.finish(&claimed, outcome, &facts).await.unwrap();
    claimed.run.id
}

/// What providers, keepers and guards say, and blocks: the rows that no command line makes.
fn rows() -> Vec<Outcome> {
    let failed = |reason, permanent| Outcome::Failed {
        reason,
        permanent,
        retry_at: None,
        message: Scrubbed::constant("why"),
        hint: None,
    };
    vec![
        Outcome::Blocked {
            reason: BlockReason::LoginWall,
            evidence: None,
        },
        Outcome::Partial {
            cause: PartialCause::MaxTurns,
            text: None,
        },
        failed(FailReason::Refused, true),
        failed(FailReason::RateLimited, false),
        failed(FailReason::Overloaded, false),
        failed(FailReason::StreamEnded, false),
        failed(FailReason::KeeperLost, false),
        failed(FailReason::Abandoned, false),
    ]
}

/// A run whose future panics.
async fn panicked(house: &House) -> RunId {
    let claimed = house.claimed(NewTask::new(alice(), "a task")).await;
    let id = claimed.run.id;
    let work = async move |_: StepContext| -> Result<(), Failure> { panic!("on purpose") };
    let end = house.tenant.runs.drive(claimed, work).await;
    assert!(matches!(end, RunEnd::Recorded(_)), "{end:?}");
    id
}

/// A worker that is at work, and then this is done to it.
async fn at_work(house: &House, done: impl AsyncFnOnce(RunId)) -> RunId {
    let run = house.begin(sh("echo up; sleep 300")).await;
    house.printed(run, "up").await;
    done(run).await;
    house.ended(run).await;
    run
}

/// That its outcome is one row, written in the commit of its end, before anything follows from it.
async fn ended_once(house: &House, run: RunId, kind: &str) {
    let row = house.tenant.runs.get(run).await.unwrap();
    let outcome = row.outcome.as_ref().unwrap_or_else(|| panic!("{kind}: {row:?}"));
    assert_eq!((outcome.outcome.name(), row.run.state), (kind, RunState::Ended));
    assert_eq!(outcome.op, row.run.op, "{kind}: one commit");
    let page = house
        .tenant
        .events
        .read_after(Position::START, 1000)
        .await
        .unwrap();
    let subject = format!("run:{run}");
    let its: Vec<_> = page
        .events
        .iter()
        .filter(|at| at.event.subject == subject)
        .collect();
    let ends: Vec<_> = its.iter().filter(|at| at.event.kind == "run.ended").collect();
    assert_eq!(ends.len(), 1, "{kind}: {its:?}");
    assert_eq!(ends[0].event.op, outcome.op, "{kind}: one commit");
    assert_eq!(
        its.last().unwrap().position,
        ends[0].position,
        "{kind}: nothing of it comes behind"
    );
    // What becomes of its task is told behind it, by the same command.
    let task = row.run.task.unwrap();
    let task = format!("task:{task}");
    let of_task = page.events.iter().rfind(|at| at.event.subject == task).unwrap();
    assert!(of_task.position > ends[0].position, "{kind}: {of_task:?}");
    assert_eq!(of_task.event.op, outcome.op, "{kind}: one commit");
}

/// WK-23, with `after_a_kill_at_any_commit_each_task_is_done_once_by_the_next_process`; its row 2 is
/// `a_cancel_at_any_step_of_a_success_leaves_one_outcome_and_a_later_one_gets_it`.
///
/// ST-34: all but the kill, which is `after_kill_9_the_run_is_lost_its_worker_dead_and_the_task_failed` of the program.
#[tokio::test]
async fn every_way_to_end_leaves_one_outcome_in_the_commit_of_the_end() {
    for place in places() {
        let bed = bed_over(place.open().await);
        // As many bad ends would pause her.
        let options = EngineOptions {
            agent_intensity: None,
            ..open_to_all()
        };
        let house = bed.open_with_alice_and(options).await;
        let mut ends = vec![
            (house.run(sh("true")).await.run.id, "success"),
            (house.run(sh("exit 3")).await.run.id, "failed"),
            (house.run(sh("kill -9 $$")).await.run.id, "failed"),
            (house.run(sh("exit 126")).await.run.id, "failed"),
            (panicked(&house).await, "failed"),
        ];
        let part = CommandSpec {
            partial_codes: vec![75],
            ..sh("exit 75")
        };
        ends.push((house.run(part).await.run.id, "partial"));
        for outcome in rows() {
            ends.push((said(&house, &outcome).await, outcome.name()));
        }
        let missing = CommandSpec::new(vec!["no-such-program".into()]);
        ends.push((house.run(missing).await.run.id, "failed"));
        let slow = CommandSpec {
            wall_clock_ms: Some(1000),
            ..sh("sleep 300")
        };
        ends.push((house.run(slow).await.run.id, "timeout"));
        let (supervisor, tenant, by) = (&house.supervisor, &house.tenant, operator());
        let cancelled = at_work(&house, async |run| {
            let cancel = supervisor.cancel(tenant, &by, run, Force::Cooperative, None);
            cancel.await.unwrap();
        });
        ends.push((cancelled.await, "cancelled"));
        let shut_down = at_work(&house, async |_| supervisor.shutdown().await);
        ends.push((shut_down.await, "cancelled"));
        for (run, kind) in &ends {
            ended_once(&house, *run, kind).await;
        }
        let log = house.event_types().await;
        assert_eq!(
            log.iter().filter(|kind| *kind == "run.ended").count(),
            ends.len(),
            "{place:?}"
        );
    }
}
