//! A store that several machines share: what recovery of one does to the runs of another.

use std::sync::Arc;
use std::time::Duration;

use dormouse_engine::Seat;
use dormouse_engine::recovery::OrphanFate;
use dormouse_engine::run::RunState;
use dormouse_engine::task::TaskState;
use dormouse_filesystem::RecordStore;
use dormouse_filesystem::wrapper::{Fault, FaultKind, Operation};

use super::hooked::Hooked;
use super::house::{House, facts, success};
use super::recovery::{Fate, here, running};

#[tokio::test]
async fn a_live_run_of_another_process_of_this_machine_is_left_alone() {
    let house = House::shared().await;
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    let process = here(claimed.run.id);
    house.tenant.runs.started(&claimed, Some(&process)).await.unwrap();
    for seat in [None, Some(Seat::new("another"))] {
        let other = house.neighbour_on(seat).await;
        let orphans = Fate::new(OrphanFate::Killed);
        assert!(other.recover(&orphans).await.unwrap().is_empty());
        assert!(orphans.asked().is_empty(), "its processes are not touched");
    }
    let finished = house.tenant.runs.finish(&claimed, &success(), &facts()).await;
    assert_eq!(finished.unwrap().outcome.outcome, success());
}

#[tokio::test]
async fn a_run_whose_lease_expired_is_ended_wherever_its_holder_was() {
    let house = House::shared().await;
    let (task, run) = running(&house, here).await;
    // Its time to live and what clocks may differ.
    house.clock.advance(96);
    let other = house.neighbour_on(None).await;
    let orphans = Fate::new(OrphanFate::Killed);
    let recovery = other.recover(&orphans).await.unwrap();
    assert_eq!((recovery.killed, recovery.ended.len()), (vec![run], 1));
    let after = house.tenant.tasks.get(task.id).await.unwrap();
    assert!(matches!(after.state, TaskState::Failed { .. }), "{after:?}");
}

/// A machine whose clock is far ahead takes a lease for expired and is about to end its run; the holder renews first.
#[tokio::test(start_paused = true)]
async fn a_run_whose_lease_was_renewed_meanwhile_is_not_ended_by_what_was_read_before() {
    let store = Arc::new(Fault::scripted(Hooked::new()));
    let house = House::over_shared(Arc::clone(&store) as Arc<dyn RecordStore>).await;
    let task = house.ready_task().await;
    let claimed = house.claim(&task).await;
    // Its time to live and what clocks may differ.
    let ahead = house.neighbour_ahead(96).await;
    let met = store.met();
    store.next(Operation::Commit, FaultKind::Delay(Duration::from_secs(1)));
    let renewing = async {
        while store.met() == met {
            tokio::task::yield_now().await;
        }
        house.clock.advance(1);
        house.tenant.runs.heartbeat(&claimed, None).await.unwrap();
    };
    let orphans = Fate::new(OrphanFate::Gone);
    let (recovery, ()) = tokio::join!(ahead.recover(&orphans), renewing);
    let recovery = recovery.unwrap();
    assert!(recovery.is_empty(), "{recovery:?}");
    let row = house.tenant.runs.get(claimed.run.id).await.unwrap();
    assert_ne!(row.run.state, RunState::Ended);
    let finished = house.tenant.runs.finish(&claimed, &success(), &facts()).await;
    assert_eq!(finished.unwrap().outcome.outcome, success());
}

#[tokio::test]
async fn who_has_the_seat_of_a_dead_holder_ends_its_runs_at_once() {
    let house = House::shared().await;
    let (_, run) = running(&house, here).await;
    let next = house.neighbour_on(Some(House::seat())).await;
    let orphans = Fate::new(OrphanFate::Gone);
    let recovery = next.recover(&orphans).await.unwrap();
    assert_eq!(recovery.ended.len(), 1);
    assert_eq!(orphans.asked(), [run].into(), "its processes end first");
    let row = house.tenant.runs.get(run).await.unwrap();
    assert_eq!(row.run.state, RunState::Ended);
    assert!(next.recover(&orphans).await.unwrap().is_empty());
}

impl House {
    /// In a store that is not this process's alone, on a seat.
    pub(super) async fn shared() -> Self {
        Self::over_shared(Hooked::new()).await
    }
}
