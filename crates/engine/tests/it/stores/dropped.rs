//! Drivers of runs that are dropped: their runs end at once, and wait for no lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dormouse_engine::RunId;
use dormouse_engine::lease::Lease;
use dormouse_engine::outcome::{CancelledBy, FailReason, Outcome};
use dormouse_engine::run::{Checkpoint, RunRow, StopReason};
use dormouse_engine::step::{Effect, Failure, StepContext, StepFault};
use dormouse_engine::supervisor::RunEnd;
use dormouse_engine::task::{TaskState, Wait};
use dormouse_filesystem::Records;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::at_step::until_gone;
use super::house::{House, operator};
use super::until;

super::on_every_store! {
    /// WK-27: a dropped guard, with `every_way_to_end_leaves_one_outcome_in_the_commit_of_the_end` and the rows of `classify`
    who_drops_what_drives_a_run_ends_it_as_abandoned;
    what_a_dropped_driver_was_told_before_stands;
    a_driver_that_is_gone_with_its_process_leaves_its_run_to_its_lease;
}

/// Says when it is dropped.
struct Held(Arc<AtomicBool>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A driver of a run whose work is in an external step, and whether that work is dropped.
async fn driving(
    house: &House,
) -> (
    JoinHandle<Option<RunEnd>>,
    RunId,
    Arc<AtomicBool>,
    oneshot::Sender<()>,
) {
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let (runs, id) = (house.tenant.runs.clone(), claimed.run.id);
    let (is_dropped, (begins, begun)) = (Arc::new(AtomicBool::new(false)), oneshot::channel());
    let held = Held(Arc::clone(&is_dropped));
    let drive = async move {
        let work = async move |steps: StepContext| -> Result<(), Failure> {
            let within = async move |_| {
                let _held = held;
                begins.send(()).unwrap();
                std::future::pending::<Result<u32, StepFault>>().await
            };
            steps.step("pay", &7, Effect::External, within).await?;
            Ok(())
        };
        runs.drive(claimed, work).await
    };
    let (lives, dies) = oneshot::channel();
    let driving = tokio::spawn(until_gone(drive, dies));
    begun.await.unwrap();
    (driving, id, is_dropped, lives)
}

async fn ended(house: &House, id: RunId) -> RunRow {
    let runs = &house.tenant.runs;
    until("it has ended", async || {
        runs.get(id).await.unwrap().outcome.is_some()
    })
    .await;
    runs.get(id).await.unwrap()
}

async fn who_drops_what_drives_a_run_ends_it_as_abandoned(house: House) {
    let (driving, id, is_dropped, _lives) = driving(&house).await;
    driving.abort();
    let row = ended(&house, id).await;
    let outcome = &row.outcome.as_ref().unwrap().outcome;
    assert!(
        matches!(
            outcome,
            Outcome::Failed {
                reason: FailReason::Abandoned,
                permanent: false,
                ..
            }
        ),
        "{outcome:?}"
    );
    assert!(is_dropped.load(Ordering::SeqCst), "first its work is dropped");
    assert!(
        matches!(row.run.checkpoint, Checkpoint::SideEffect { .. }),
        "{row:?}"
    );
    let task = house.tenant.tasks.get(row.run.task.unwrap()).await.unwrap();
    assert!(
        matches!(
            task.state,
            TaskState::Waiting {
                on: Wait::Until { .. }
            }
        ),
        "{:?}",
        task.state
    );
    let leases = Records::<Lease>::new(house.tenant.space());
    assert!(leases.get(&row.run.subject()).await.unwrap().is_none());
}

async fn what_a_dropped_driver_was_told_before_stands(house: House) {
    let (driving, id, _, _lives) = driving(&house).await;
    let claimed = house.tenant.runs.get(id).await.unwrap().run;
    let task = claimed.task.unwrap();
    let tasks = &house.tenant.tasks;
    tasks.cancel(&operator(), task, None).await.unwrap();
    driving.abort();
    let row = ended(&house, id).await;
    assert!(
        matches!(row.run.stop_reason, Some(StopReason::Cancel { .. })),
        "{row:?}"
    );
    let outcome = row.outcome.as_ref().unwrap().outcome.clone();
    assert!(
        matches!(
            outcome,
            Outcome::Cancelled {
                by: CancelledBy::Principal,
                ..
            }
        ),
        "{outcome:?}"
    );
    assert_eq!(tasks.get(task).await.unwrap().state, TaskState::Cancelled);
}

async fn a_driver_that_is_gone_with_its_process_leaves_its_run_to_its_lease(house: House) {
    let (driving, id, is_dropped, lives) = driving(&house).await;
    drop(lives);
    assert_eq!(driving.await.unwrap(), None);
    until("its work is dropped", async || is_dropped.load(Ordering::SeqCst)).await;
    assert!(house.tenant.runs.get(id).await.unwrap().outcome.is_none());
}
