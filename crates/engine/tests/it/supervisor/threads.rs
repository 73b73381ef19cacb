//! Futures that keep their thread: their clocks, their neighbours and the engine go on without it.

use std::num::NonZeroUsize;
use std::sync::mpsc;

use dormouse_engine::Subject;
use dormouse_engine::lease::{Heartbeat, LeaseOptions};
use dormouse_engine::step::{Failure, StepContext, WorkerThreads};
use dormouse_engine::supervisor::RunEnd;
use dormouse_filesystem::Records;

use super::*;

/// A run that has so long.
async fn claimed(house: &House, wall_clock_ms: u64) -> Claimed {
    let command = CommandSpec {
        wall_clock_ms: Some(wall_clock_ms),
        grace_ms: Some(300),
        ..sh("is not run: a future does the work")
    };
    let task = NewTask {
        command: Some(command),
        ..NewTask::new(alice(), "a task")
    };
    house.claimed(task).await
}

/// WK-18
#[tokio::test]
async fn a_future_that_blocks_its_thread_ends_in_time_and_is_counted_until_it_returns() {
    let options = EngineOptions {
        worker_threads: WorkerThreads::Own(NonZeroUsize::new(2).unwrap()),
        lease: LeaseOptions {
            ttl: Duration::from_secs(6),
            heartbeat: Duration::from_millis(500),
            self_stop: Duration::from_secs(4),
            ..LeaseOptions::default()
        },
        ..open_to_all()
    };
    let house = bed().open_with_alice_and(options).await;
    let (blocked, neighbour) = (claimed(&house, 1_000).await, claimed(&house, 60_000).await);
    let (run, of_neighbour) = (blocked.run.id, neighbour.run.id);
    let (let_go, held) = mpsc::channel::<()>();
    let (runs, other_runs) = (house.tenant.runs.clone(), house.tenant.runs.clone());
    // On a thread of the test's own runtime nothing but the drivers runs.
    let blocking = tokio::spawn(async move {
        runs.drive(blocked, async move |_: StepContext| -> Result<(), Failure> {
            let _ = held.recv();
            Ok(())
        })
        .await
    });
    let (end, mut ended) = tokio::sync::watch::channel(false);
    let neighbouring = tokio::spawn(async move {
        other_runs
            .drive(
                neighbour,
                async move |steps: StepContext| -> Result<(), Failure> {
                    ended.wait_for(|ended| *ended).await?;
                    let once = async |_| Ok(1);
                    steps
                        .step("a", &"input", dormouse_engine::step::Effect::External, once)
                        .await?;
                    Ok(())
                },
            )
            .await
    });
    let RunEnd::Recorded(finished) = blocking.await.unwrap() else {
        panic!("its end is recorded")
    };
    assert_eq!(finished.outcome.outcome, wall_timeout(1_000));
    let took = finished.outcome.ended_at.duration_since(finished.run.started_at);
    assert!(took <= SignedDuration::from_millis(1_300 + 5_000), "{took}");
    assert_eq!(house.engine.workers_stuck(), 1);
    // Its neighbour is held still, by heartbeats that go on while the thread is kept, and does what it has to do.
    let beats = Records::<Heartbeat>::new(house.tenant.space());
    until(
        "two beats of the neighbour behind the end of the clock",
        async || {
            let beat = beats.get(&Subject::Run(of_neighbour)).await.unwrap().unwrap();
            let since = beat.beat_at.duration_since(finished.outcome.ended_at);
            since > SignedDuration::from_millis(500)
        },
    )
    .await;
    assert_eq!(house.engine.workers_stuck(), 1, "it was kept all the while");
    let row = house.tenant.runs.get(of_neighbour).await.unwrap();
    assert!(row.outcome.is_none(), "{row:?}");
    end.send_replace(true);
    let RunEnd::Recorded(neighbour) = neighbouring.await.unwrap() else {
        panic!("its end is recorded")
    };
    assert_eq!(neighbour.outcome.outcome.name(), "success");
    assert_eq!(house.engine.workers_stuck(), 1, "it has not returned");
    drop(let_go);
    until("it has returned", async || house.engine.workers_stuck() == 0).await;
    // What it said in the end is said too late.
    let row = house.tenant.runs.get(run).await.unwrap();
    assert_eq!(outcome(&row).name(), "timeout");
}
